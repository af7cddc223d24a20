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
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from . import syscalls
from .births import Born
from .forked import DiedBySignal, Forked, LabError
from .holder import Holder
from .standing import birth

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
            with (Path("/run/netns") / path).open("rb") as namespace:
                syscalls.setns(namespace.fileno(), syscalls.CLONE_NEWNET)

    def open_network(self, netns: str = "") -> int:
        """A descriptor of the host's network namespace, or of one of its containers'."""
        place = f"root/run/netns/{netns}" if netns else "ns/net"
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
        return self.fork_call(function, *args, netns=netns).wait()

    def container(self, name: str) -> Container:
        """`ip netns add NAME`: a container's network namespace; its loopback is down."""
        container = Container(self, name)
        self.call(bind_new_network, container.path)
        return container

    def delete_container(self, container: Container | str) -> None:
        """`ip netns del NAME`"""
        name = container if isinstance(container, str) else container.name
        self.call(unbind_network, f"/run/netns/{name}")

    def end(self) -> None:
        """Kill all that runs in the host; without a process its namespaces are gone."""
        mounts = Path(f"/proc/{self.pid}/ns/mnt").readlink()
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if (process / "ns/mnt").readlink() == mounts:
                    os.kill(int(process.name), signal.SIGKILL)
        self.close()

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
        self._take(Holder())
        self._closing.callback(self._holder.close)

    def _take(self, holder: Holder) -> None:
        self.hosts: dict[str, Host] = {}
        self._next_index = 1000
        self._closing = contextlib.ExitStack()
        self._holder = holder
        self.pid = holder.pid

    @classmethod
    def attached(cls, state: Mapping[str, Any]) -> Lab:
        """The lab that `state` tells of, of this user; closing it leaves it running.

        Raises `LabError` where it has ended.
        """
        lab = cls.__new__(cls)
        lab._take(Holder.attached(opened(state["holder"], "the lab")))
        lab._closing.callback(lab._holder.leave)
        lab._next_index = state["next_index"]
        for name, told in state["hosts"].items():
            pidfd = opened(told, f"host {name!r}")
            lab._adopt(name, Born(pidfd, told["pid"], told["inner_pid"]))
        return lab

    def state(self) -> dict[str, Any]:
        """What another process needs to take the lab up: plain values, for JSON."""
        hosts = {
            name: {"pid": host.pid, "born": birth(host.pid), "inner_pid": host.inner_pid}
            for name, host in self.hosts.items()
        }
        holder = {"pid": self.pid, "born": birth(self.pid)}
        return {"holder": holder, "next_index": self._next_index, "hosts": hosts}

    def stay(self) -> None:
        """From now on the lab lives until it is killed; closing it here leaves it running."""
        self._holder.stay()
        self._closing.pop_all()
        self._closing.callback(self._holder.leave)
        for host in self.hosts.values():
            self._closing.callback(host.close)

    def end(self) -> None:
        """Kill the lab, whoever made it: no process of it is left when this returns."""
        self._closing.pop_all()
        for host in self.hosts.values():
            host.close()
        self._holder.close()

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
        return self.add_hosts([name])[0]

    def add_hosts(self, names: Sequence[str]) -> list[Host]:
        """The same for many, which come up at once."""
        for name in names:
            if name in self.hosts:
                raise LabError(f"this lab has a host {name!r} already; choose another name")
        born = self._holder.keep_hosts(names)
        return [self._adopt(*each) for each in zip(names, born, strict=True)]

    def remove_host(self, name: str) -> None:
        """End a host, all that runs in it, and its links."""
        self.hosts.pop(name).end()

    def _adopt(self, name: str, born: Born) -> Host:
        host = self.hosts[name] = Host(self._holder, name, born)
        self.at_close(lambda: self._let_go(host))
        return host

    def _let_go(self, host: Host) -> None:
        if self.hosts.get(host.name) is host:
            host.close()

    @property
    def stands(self) -> bool:
        """Whether its holder lives."""
        return bool(birth(self.pid))

    def fork_call(self, function: Callable[..., T], *args: Any) -> Forked[T]:
        """Start `function(*args)` in a fork of this process, in the lab but in none of its hosts.

        It may enter every network namespace of the lab, by descriptors that are open here.
        """
        return Forked(lambda: function(*args), self._holder.enter_lab)

    def call(self, function: Callable[..., T], *args: Any) -> T:
        """The result of `function(*args)`, run in a fork of this process inside the lab."""
        return self.fork_call(function, *args).wait()

    def open_network(self, name: str) -> int:
        """A descriptor of a network namespace that is the lab's own, bound in its /run/netns."""
        return os.open(f"/proc/{self.pid}/root/run/netns/{name}", os.O_RDONLY | os.O_CLOEXEC)

    def next_index(self) -> int:
        """An index for an interface that no other has in this lab.

        Ends of a pair with the same index in their namespaces get their carrier up to a second
        late: the kernel takes an interface whose peer has its own index for one without a peer.
        """
        self._next_index += 1
        return self._next_index

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
        first = ["name", one_link, "index", str(self.next_index()), "type", "veth"]
        second = ["peer", "name", other_link, "index", str(self.next_index())]
        one.run(["ip", "link", "add", *first, *second, "netns", str(other.inner_pid)])
        for host, link, texts in ((one, one_link, addresses[0]), (other, other_link, addresses[1])):
            lines = [f"address add {text} dev {link} {_no_dad(text)}" for text in texts]
            batch = "\n".join([*lines, f"link set dev {link} up", ""])
            host.run(["ip", "-batch", "-"], input=batch.encode())


def opened(told: Mapping[str, Any], what: str) -> int:
    """The pidfd of a process that is the one it was. Raises `LabError`."""
    try:
        pidfd = os.pidfd_open(told["pid"])
    except ProcessLookupError:
        raise LabError(f"{what} has ended") from None
    # Asked after it was opened: the number may be another process's by now.
    if birth(told["pid"]) == told["born"]:
        return pidfd
    os.close(pidfd)
    raise LabError(f"{what} has ended")


def plain_environment() -> dict[str, str]:
    """This process's environment without its session, and with the system's directories."""
    kept = {key: text for key, text in os.environ.items() if not key.startswith(_FOREIGN)}
    return {**kept, "PATH": f"{kept.get('PATH', '')}:{_SYSTEM_PATH}"}


def _no_dad(address: str) -> str:
    """Duplicate address detection would keep an IPv6 address tentative for more than a second."""
    return "nodad" if ":" in address else ""


def bind_new_network(path: str) -> None:
    """`ip netns add`, of a path; this process is left in the new namespace. Raises `OSError`."""
    Path(path).touch(exist_ok=False)
    syscalls.unshare(syscalls.CLONE_NEWNET)
    syscalls.mount("/proc/self/ns/net", path, flags=syscalls.MS_BIND)


def unbind_network(path: str) -> None:
    """`ip netns del`, of a path. Raises `OSError`."""
    syscalls.unmount(path)
    Path(path).unlink()
