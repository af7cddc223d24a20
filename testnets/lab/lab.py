"""A lab: fake hosts in namespaces, all under one process whose death leaves nothing.

    with Lab() as lab:
        host = lab.host("h1")
        container = host.container("c1")
        host.run(["ip", "link"], netns=container)

Three rules hold. Nothing has a name outside the lab, so labs run side by side. Every process
of a lab lives in the lab's pid namespace, whose pid 1, the holder, ends when it is killed or
when whoever made the lab ends, and the kernel kills all the rest. The lab needs no privilege:
without root it uses a user namespace.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from .births import Born, born_at
from .forked import DiedBySignal, Forked, LabError
from .holder import Holder
from .host import CommandFailed, Container, Host, Process
from .networks import NETWORKS
from .plumbing import Gate, Pair, Part, Port, Work, carry_out

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
            name: {"pid": host.pid, "born": born_at(host.pid), "inner_pid": host.inner_pid}
            for name, host in self.hosts.items()
        }
        holder = {"pid": self.pid, "born": born_at(self.pid)}
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
        return bool(born_at(self.pid))

    def fork_call(self, function: Callable[..., T], *args: Any) -> Forked[T]:
        """Start `function(*args)` in a fork of this process, in the lab but in none of its hosts.

        It may enter every network namespace of the lab, by descriptors that are open here.
        """
        return Forked(lambda: function(*args), self._holder.enter_lab)

    def call(self, function: Callable[..., T], *args: Any) -> T:
        """The result of `function(*args)`, run in a fork of this process inside the lab."""
        return self._holder.call(lambda: function(*args), self._holder.enter_lab)

    def open_network(self, name: str) -> int:
        """A descriptor of a network namespace that is the lab's own, bound in its /run/netns."""
        return os.open(f"/proc/{self.pid}/root{NETWORKS}/{name}", os.O_RDONLY | os.O_CLOEXEC)

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

        `ip link add ONE_LINK type veth peer name OTHER_LINK netns OTHER`; packets pass when this
        returns. Raises `KernelError`.
        """
        near = Port(one.name, one_link, self.next_index())
        far = Port(other.name, other_link, self.next_index())
        wanted: dict[str, dict[str, Sequence[str]]] = {one.name: {}, other.name: {}}
        for port, texts in zip((near, far), addresses, strict=True):
            wanted[port.node][port.name] = texts
        more = {name: Part(texts) for name, texts in wanted.items()}
        self.call(carry_out, Work(self.gates(wanted), pairs=[Pair(near, far)], more=more))

    def give(self, wanted: Mapping[str, Part]) -> None:
        """Addresses and routes, by names of hosts. Raises `KernelError`."""
        self.call(carry_out, Work(self.gates(wanted), more=wanted))

    def gates(self, names: Iterable[str]) -> dict[str, Gate]:
        """For `plumbing`: how to get into a host's network, or into one that is the lab's own."""
        return {
            name: self.hosts[name].pidfd if name in self.hosts else f"{NETWORKS}/{name}"
            for name in names
        }


def opened(told: Mapping[str, Any], what: str) -> int:
    """The pidfd of a process that is the one it was. Raises `LabError`."""
    try:
        pidfd = os.pidfd_open(told["pid"])
    except ProcessLookupError:
        raise LabError(f"{what} has ended") from None
    # Asked after it was opened: the number may be another process's by now.
    if born_at(told["pid"]) == told["born"]:
        return pidfd
    os.close(pidfd)
    raise LabError(f"{what} has ended")
