"""A fake host of a lab, its containers, and how commands and functions run in them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from . import syscalls
from .births import Born
from .forked import Forked
from .holder import Holder
from .networks import NETWORKS, bind_new_network, unbind_network

T = TypeVar("T")

_HOST_NAMESPACES = syscalls.CLONE_NEWNET | syscalls.CLONE_NEWNS | syscalls.CLONE_NEWUTS
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# What the caller's shell says about the caller's own session, not about a fake host.
_FOREIGN = ("PYNET_", "CNI_", "XDG_", "DBUS_")


class CommandFailed(subprocess.CalledProcessError):
    """A command in a lab ended with another status than 0; says what it printed."""

    def __str__(self) -> str:
        said = b"\n".join(filter(None, (self.output, self.stderr)))
        return f"{super().__str__()}\n{said.decode(errors='replace')}"


class Process(subprocess.Popen[bytes]):
    """A command in a lab. A process outside stands for it, and passes on what it is sent."""

    def kill(self) -> None:
        """Send the command SIGKILL."""
        self.send_signal(syscalls.KILL)


class Container:
    """A network namespace bound at `path` in its host's mount namespace, as a runtime makes it."""

    def __init__(self, host: Host, name: str) -> None:
        self.host = host
        self.name = name
        self.path = f"{NETWORKS}/{name}"

    def run(self, argv: Sequence[str], **options: Any) -> subprocess.CompletedProcess[bytes]:
        """`Host.run` with the container's network namespace in place of the host's."""
        return self.host.run(argv, netns=self, **options)


class Host:
    """A fake host: its own net, mount and uts namespaces, kept by one process of the lab.

    `pid` is that process as the lab's maker sees it, `inner_pid` as the lab's processes do.
    Wherever `netns` is asked for, a container, its name or a path will do.
    """

    def __init__(self, holder: Holder, name: str, born: Born) -> None:
        self.name = name
        self._holder = holder
        self.pidfd, self.pid, self.inner_pid = born

    def close(self) -> None:
        """Let go of the host; it lives on until its lab ends."""
        os.close(self.pidfd)

    def enter(self, netns: Container | str | None = None) -> None:
        """Move this process, which must have one thread, into the host; its children's pids too."""
        self._holder.enter(self.pidfd, _HOST_NAMESPACES)
        self.enter_network(netns)

    def enter_network(self, netns: Container | str | None) -> None:
        """Where this process is in the host: move it into one of the host's other networks."""
        if netns:
            path = netns.path if isinstance(netns, Container) else netns
            with (Path(NETWORKS) / path).open("rb") as namespace:
                syscalls.setns(namespace.fileno(), syscalls.CLONE_NEWNET)

    def open_network(self, netns: str = "") -> int:
        """A descriptor of the host's network namespace, or of one of its containers'."""
        place = f"root{NETWORKS}/{netns}" if netns else "ns/net"
        return os.open(f"/proc/{self.pid}/{place}", os.O_RDONLY | os.O_CLOEXEC)

    def popen(
        self,
        argv: Sequence[str],
        *,
        netns: Container | str | None = None,
        env: Mapping[str, str] | None = None,
        **options: Any,
    ) -> Process:
        """Start a command in the host; `env` is added to the lab's plain environment."""
        return Process(
            list(argv),
            env={**plain_environment(), **(env or {})},
            preexec_fn=lambda: self._stand_in(netns),
            **options,
        )

    def run(
        self,
        argv: Sequence[str],
        *,
        netns: Container | str | None = None,
        input: bytes = b"",
        env: Mapping[str, str] | None = None,
        check: bool = True,
        timeout: float = 60,
        **options: Any,
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a command in the host to its end (`timeout` in seconds).

        Raises `CommandFailed` for another status than 0 where `check` is set, and
        `subprocess.TimeoutExpired`.
        """
        pipe = subprocess.PIPE
        options = {"stdin": pipe, "stdout": pipe, "stderr": pipe, **options}
        with self.popen(argv, netns=netns, env=env, **options) as process:
            try:
                stdout, stderr = process.communicate(input, timeout=timeout)
            except BaseException:
                process.kill()
                raise
        if check and process.returncode:
            raise CommandFailed(process.returncode, list(argv), stdout, stderr)
        return subprocess.CompletedProcess(list(argv), process.returncode, stdout, stderr)

    def fork_call(
        self, function: Callable[..., T], *args: Any, netns: Container | str | None = None
    ) -> Forked[T]:
        """Start `function(*args)` in a fork of this process, inside the host.

        `.wait()` gives its result, raises its exception, or `DiedBySignal`.
        """
        return Forked(lambda: function(*args), lambda: self.enter(netns))

    def call(
        self, function: Callable[..., T], *args: Any, netns: Container | str | None = None
    ) -> T:
        """The result of `function(*args)`, run in a fork of this process inside the host."""
        return self._holder.call(lambda: function(*args), lambda: self.enter(netns))

    def container(self, name: str) -> Container:
        """`ip netns add NAME`: a container's network namespace; its loopback is down."""
        container = Container(self, name)
        self.call(bind_new_network, container.path)
        return container

    def delete_container(self, container: Container | str) -> None:
        """`ip netns del NAME`"""
        name = container if isinstance(container, str) else container.name
        self.call(unbind_network, f"{NETWORKS}/{name}")

    def end(self) -> None:
        """Kill all that runs in the host; without a process its namespaces are gone."""
        # Held open until all are found: once it is gone, a host that is made now gets its number.
        with Path(f"/proc/{self.pid}/ns/mnt").open("rb") as kept:
            mounts = os.fstat(kept.fileno())
            for process in Path("/proc").glob("[0-9]*"):
                with contextlib.suppress(OSError):
                    if os.path.samestat((process / "ns/mnt").stat(), mounts):
                        os.kill(int(process.name), signal.SIGKILL)
        self.close()

    def _stand_in(self, netns: Container | str | None) -> None:
        """Between fork and exec: enter the host, fork again, and let only the grandchild go on."""
        self.enter(netns)
        syscalls.die_with_parent()
        syscalls.fork_and_stand_in()
        syscalls.die_with_parent()


def plain_environment() -> dict[str, str]:
    """This process's environment without its session, and with the system's directories."""
    kept = {key: text for key, text in os.environ.items() if not key.startswith(_FOREIGN)}
    return {**kept, "PATH": f"{kept.get('PATH', '')}:{_SYSTEM_PATH}"}
