"""A lab: fake hosts in namespaces, all under one process whose death leaves nothing.

    with Lab() as lab:
        host = lab.host("h1")
        container = host.container("c1")
        host.run(["ip", "link"], netns=container)

Three rules hold. Nothing has a name outside the lab, so labs run side by side. Every process
of a lab lives in the lab's pid namespace, whose pid 1, the holder, ends when it is killed or
when whoever made the lab ends, and the kernel kills all the rest. The lab needs no privilege:
who isn't root gets a user namespace.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from . import syscalls
from .forked import DiedBySignal, Forked, LabError
from .holder import Holder

__all__ = [
    "CommandFailed",
    "Container",
    "DiedBySignal",
    "Forked",
    "Host",
    "Lab",
    "LabError",
    "Process",
]

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
        self.path = f"/run/netns/{name}"

    def run(self, argv: Sequence[str], **options: Any) -> subprocess.CompletedProcess[bytes]:
        """`Host.run` with the container's network namespace in place of the host's."""
        return self.host.run(argv, netns=self, **options)


class Host:
    """A fake host: its own net, mount and uts namespaces, kept by one process of the lab.

    `pid` is that process as the lab's maker sees it, `inner_pid` as the lab's processes do.
    Wherever `netns` is asked for, a container, its name or a path will do.
    """

    def __init__(self, holder: Holder, name: str) -> None:
        self.name = name
        self._holder = holder
        self._pidfd, self.pid, self.inner_pid = holder.keep_host(name)

    def close(self) -> None:
        """Let go of the host; it lives on until its lab ends."""
        os.close(self._pidfd)

    def enter(self, netns: Container | str | None = None) -> None:
        """Move this process, which must have one thread, into the host; its children's pids too."""
        self._holder.enter(self._pidfd, _HOST_NAMESPACES)
        if netns is not None:
            path = netns.path if isinstance(netns, Container) else netns
            with (Path("/run/netns") / path).open("rb") as namespace:
                syscalls.setns(namespace.fileno(), syscalls.CLONE_NEWNET)

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
        return self.fork_call(function, *args, netns=netns).wait()

    def container(self, name: str) -> Container:
        """`ip netns add NAME`: a container's network namespace; its loopback is down."""
        container = Container(self, name)
        self.call(_bind_new_network, container.path)
        return container

    def delete_container(self, container: Container | str) -> None:
        """`ip netns del NAME`"""
        name = container if isinstance(container, str) else container.name
        self.call(_unbind_network, f"/run/netns/{name}")

    def _stand_in(self, netns: Container | str | None) -> None:
        """Between fork and exec: enter the host, fork again, and let only the grandchild go on."""
        self.enter(netns)
        syscalls.die_with_parent()
        child = os.fork()
        if child:
            syscalls.stand_for(child)
        syscalls.die_with_parent()


class Lab:
    """Fake hosts under one holder. Use it as a context manager, or `close()` it.

    Raises `LabError` where this machine allows no namespaces, naming what forbids them.
    """

    def __init__(self) -> None:
        self.hosts: dict[str, Host] = {}
        self._indexes = itertools.count(1000, 2)
        self._closing = contextlib.ExitStack()
        self._holder = Holder(user=os.geteuid() != 0)
        self._closing.callback(self._holder.close)
        self.pid = self._holder.pid

    def __enter__(self) -> Lab:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the lab: no process of it is left when this returns."""
        self._closing.close()

    def at_close(self, callback: Callable[[], object]) -> None:
        """Call `callback` before the lab ends; the last one added is called first."""
        self._closing.callback(callback)

    def host(self, name: str) -> Host:
        """Make a fake host: loopback up, /run and the like its own, IP forwarding off."""
        if name in self.hosts:
            raise LabError(f"this lab has a host {name!r} already; choose another name")
        host = self.hosts[name] = Host(self._holder, name)
        self.at_close(host.close)
        return host

    def wire(
        self,
        one: Host,
        one_link: str,
        other: Host,
        other_link: str,
        *,
        addresses: tuple[Sequence[str], Sequence[str]] = ((), ()),
    ) -> None:
        """Join two hosts by a veth pair, both ends up, with `addresses` like "192.0.2.1/24".

        `ip link add ONE_LINK type veth peer name OTHER_LINK netns OTHER`
        """
        # Ends with the same index in their namespaces get their carrier up to a second late: the
        # kernel takes an interface whose peer has its own index for one without a peer.
        index = next(self._indexes)
        first = ["name", one_link, "index", str(index), "type", "veth"]
        second = ["peer", "name", other_link, "index", str(index + 1)]
        one.run(["ip", "link", "add", *first, *second, "netns", str(other.inner_pid)])
        for host, link, texts in ((one, one_link, addresses[0]), (other, other_link, addresses[1])):
            lines = [f"address add {text} dev {link} {_no_dad(text)}" for text in texts]
            batch = "\n".join([*lines, f"link set dev {link} up", ""])
            host.run(["ip", "-batch", "-"], input=batch.encode())


def plain_environment() -> dict[str, str]:
    """This process's environment without its session, and with the system's directories."""
    kept = {key: text for key, text in os.environ.items() if not key.startswith(_FOREIGN)}
    return {**kept, "PATH": f"{kept.get('PATH', '')}:{_SYSTEM_PATH}"}


def _no_dad(address: str) -> str:
    """Duplicate address detection would keep an IPv6 address tentative for more than a second."""
    return "nodad" if ":" in address else ""


def _bind_new_network(path: str) -> None:
    Path(path).touch(exist_ok=False)
    syscalls.unshare(syscalls.CLONE_NEWNET)
    syscalls.mount("/proc/self/ns/net", path, flags=syscalls.MS_BIND)


def _unbind_network(path: str) -> None:
    syscalls.unmount(path)
    Path(path).unlink()
