"""A lab as a test holds it: nodes and containers by name, and what is expected of them.

What does not come true raises `NetAssertion`, which says where the packet was last seen.
"""

from __future__ import annotations

import shlex
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from . import naming
from .checks.capturing import capture
from .checks.checking import Outcome, run_checks
from .checks.pinging import unanswered
from .crashing import Command, Crash, crash
from .spec import notation
from .spec.topology import Check, Deny, Family, Impairment, Mesh, Mtu, Reach, Target, Topology
from .spec.topology import Path as Way

if TYPE_CHECKING:
    from .place import Place
    from .testnet import Testnet
    from .wiring import LiveLink

T = TypeVar("T")


class NetAssertion(AssertionError):
    """Something that was expected of a lab's network did not come true."""


class Net:
    """A lab: `net.a` or `net["a"]` is the node or container of that name.

    Where a name is one of the methods below, or no identifier, `net["a"]` alone will do.
    """

    def __init__(self, testnet: Testnet, folder: Callable[[], Path]) -> None:
        self.testnet = testnet
        self._folder = folder
        self._named = False

    def __getitem__(self, name: str) -> Node:
        try:
            return Node(self, self.testnet.places[name])
        except KeyError:
            there = ", ".join(self.testnet.places)
            raise KeyError(f"this lab has no {name!r}; it has {there}") from None

    def __getattr__(self, name: str) -> Node:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self[name]
        except KeyError as error:
            raise AttributeError(error.args[0]) from None

    @property
    def topology(self) -> Topology:
        """What it was made from, with all filled in that may be left out."""
        return self.testnet.topology

    def __iter__(self) -> Iterator[Node]:
        return (self[name] for name in self.testnet.places)

    def check(self) -> None:
        """What the topology's file says has to be true is true."""
        __tracebackhide__ = True
        self.expect(*self.topology.checks)

    def mesh(self, *members: Node | str, family: Family | None = None, within: float = 5.0) -> None:
        """Each of `members`, or of all containers, reaches each other (`within` in seconds)."""
        __tracebackhide__ = True
        names = tuple(str(member) for member in members)
        self.expect(Mesh(members=names, family=family, within=within))

    def expect(self, *checks: Check) -> None:
        """All `checks` hold. Raises `NetAssertion` with a paragraph for each that doesn't.

        Where the kernel has not what one of them needs, the test is skipped in the end.
        """
        __tracebackhide__ = True
        outcomes = run_checks(self.testnet, checks)
        skipped = [outcome for outcome in outcomes if outcome.skipped]
        failed = [outcome for outcome in outcomes if not (outcome.passed or outcome.skipped)]
        if failed:
            raise NetAssertion(_told(failed))
        if skipped:
            import pytest  # not at the top: a lab is of use without it

            pytest.skip(_told(skipped))

    def resolve_names(self) -> None:
        """From now on commands know all nodes by name."""
        if not self._named:  # not done beforehand: most tests run no commands
            naming.resolve_names(self.testnet)
            self._named = True

    def link(self, one: Node | str, other: Node | str) -> Line:
        """The link between two nodes. Raises KeyError where there is none."""
        names = {f"{one} -- {other}", f"{other} -- {one}"}
        for name, live in self.testnet.links.items():
            if name in names:
                return Line(live)
        there = ", ".join(self.testnet.links) or "none"
        raise KeyError(f"no link between {one} and {other}; there is {there}")

    @contextmanager
    def capture(self, point: str, path: str | Path = "") -> Iterator[Recording]:
        """Record what passes the interface `point` ("h1:eth0") until the `with` block ends.

        In a file at `path`, or in one among the run's temporary files. Raises `LabError` for an
        interface that is not there.
        """
        node, _, interface = point.partition(":")
        recording = Recording(Path(path or self._folder() / f"{node}-{interface}.pcap"))
        with capture(self[node].place, interface, recording.path) as taken:
            yield recording
        recording.packets = taken.packets

    def wait(self, condition: Callable[[], T], *, within: float = 5.0) -> T:
        """The first true answer of `condition`, asked again and again for `within` seconds.

        An assertion that fails in it, or an OSError, is an answer that is not true yet. Raises
        `NetAssertion`, from that one if there was one.
        """
        __tracebackhide__ = True
        end = time.monotonic() + within
        while True:
            error: Exception | None = None
            try:
                if answer := condition():
                    return answer
            except (AssertionError, OSError) as failure:
                error = failure
            if time.monotonic() > end:
                raise NetAssertion(f"not true within {within} s: {error or condition}") from error
            time.sleep(_PAUSE)


_PAUSE = 0.01
"""Seconds between two questions."""


@dataclass
class Recording:
    """What passed an interface: the pcap file, and once it is done how many packets are in it."""

    path: Path
    packets: int = 0


class Node:
    """A host, router, external node or container of a lab, and what it reaches.

    `to` is another node, or a text such as "b:80", "h1:8080", "[2001:db8::1]:80". Without `family`
    all those are tried that both sides have. `within` is how many seconds it may take to come
    true. Where nothing listens, a listener stands there meanwhile.
    """

    def __init__(self, net: Net, place: Place) -> None:
        self._net = net
        self.place = place
        self.name = place.name
        self.kind = place.kind

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"<{self.kind} {self.name}>"

    @property
    def addresses(self) -> tuple[str, ...]:
        """Its global addresses, without prefix lengths, the main ones first."""
        return self.place.addresses

    def address(self, family: Family = 4) -> str:
        """Its main address of a family. Raises LookupError where it has none."""
        found = self.place.address(family)
        if found is None:
            raise LookupError(f"{self} has no IPv{family} address")
        return found

    def run(
        self, command: str | Sequence[str], **options: Any
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a command in it to its end; a text is split as a shell would.

        The names of all nodes resolve in it. Raises `CommandFailed` for another status than 0,
        with what it printed.
        """
        self._net.resolve_names()
        argv = shlex.split(command) if isinstance(command, str) else command
        return self.place.run(argv, **options)

    def call(self, function: Callable[..., T], *arguments: Any) -> T:
        """The result of `function(*arguments)`, run in it by a fork of this process."""
        return self.place.call(function, *arguments)

    def crash(
        self, network: str, *, command: Command = "ADD", plugin: str = "", at: int = 1
    ) -> AbstractContextManager[Crash]:
        """A host's plugin killed at its `at`-th fault point, in the ADD or DEL of a container.

        The container is a new one, on `network`; `plugin` is one of the network's, or its first.
        In the `with` block stands what was left; at its end a DEL is made, which must succeed, and
        the container goes. `killed` is False where the plugin came to its end before that point.
        """
        place = self.place
        return crash(self._net.testnet, place.host, network, command=command, plugin=plugin, at=at)

    def ping(self, to: Node | str, *, family: Family | None = None, within: float = 5.0) -> None:
        """It sends an echo request and is answered, by who was meant."""
        __tracebackhide__ = True
        wrong = unanswered(self._net.testnet, self.name, _target(to), family, within)
        if wrong:
            raise NetAssertion(wrong)

    def tcp(self, to: Node | str, *, seen_as: Node | str = "", **limits: Any) -> None:
        """It opens a connection and is answered; the server sees the address of `seen_as`."""
        __tracebackhide__ = True
        self._reaches("tcp", to, seen_as=str(seen_as), **limits)

    def udp(self, to: Node | str, *, seen_as: Node | str = "", **limits: Any) -> None:
        """It sends a datagram and is answered."""
        __tracebackhide__ = True
        self._reaches("udp", to, seen_as=str(seen_as), **limits)

    def http(
        self,
        to: Node | str,
        *,
        status: int = 200,
        answer: str = "",
        seen_as: Node | str = "",
        **limits: Any,
    ) -> None:
        """It gets a page with that `status`, whose body has `answer` in it."""
        __tracebackhide__ = True
        self._reaches("http", to, status=status, answer=answer, seen_as=str(seen_as), **limits)

    def deny(
        self,
        to: Node | str,
        *,
        protocol: Literal["tcp", "udp", "icmp"] = "tcp",
        **limits: Any,
    ) -> None:
        """It gets no answer, though something listens there."""
        __tracebackhide__ = True
        self._net.expect(Deny(source=self.name, to=_target(to), protocol=protocol, **limits))

    def path(self, to: Node | str, via: Sequence[Node | str], **limits: Any) -> None:
        """What it sends there passes the nodes `via`, in this order."""
        __tracebackhide__ = True
        names = tuple(str(node) for node in via)
        self._net.expect(Way(source=self.name, to=_target(to), via=names, **limits))

    def mtu(self, to: Node | str, size: int, **limits: Any) -> None:
        """The largest IP packet that gets there whole has `size` bytes."""
        __tracebackhide__ = True
        self._net.expect(Mtu(source=self.name, to=_target(to), size=size, **limits))

    def _reaches(self, kind: Literal["tcp", "udp", "http"], to: Node | str, **wanted: Any) -> None:
        __tracebackhide__ = True
        self._net.expect(Reach(kind=kind, source=self.name, to=_target(to), **wanted))


class Line:
    """A link of a lab, as a test bends it.

    What is done to it holds from the call on; in a `with` statement it is undone at the end.
    """

    def __init__(self, live: LiveLink) -> None:
        self._live = live

    def down(self) -> ExitStack:
        """Nothing passes any more, and both ends know it: they have no carrier."""
        self._live.down()
        return _undone_by(self._live.up)

    def up(self) -> None:
        """It is as it was before `down`."""
        self._live.up()

    def impair(
        self,
        *,
        rate: str | int | None = None,
        delay: str | float | None = None,
        loss: str | float | None = None,
    ) -> ExitStack:
        """Each direction is as slow, late and lossy as that: "10mbit", "20ms", "5%".

        Raises `ValueError` for what is no rate, delay or loss, and `LabError` for what this kernel
        can't do.
        """
        wanted = {"rate": rate, "delay": delay, "loss": loss}
        before = self._live.impairment
        self._live.impair(Impairment.model_validate(wanted))
        return _undone_by(partial(self._live.impair, before))


def _undone_by(undo: Callable[[], object]) -> ExitStack:
    stack = ExitStack()
    stack.callback(undo)
    return stack


def _told(outcomes: Iterable[Outcome]) -> str:
    return "\n".join(f"{outcome.name}: {outcome.message}" for outcome in outcomes)


def _target(to: Node | str) -> Target:
    return notation.parse_target(str(to))
