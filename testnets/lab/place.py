"""A place in a testnet: where commands and functions run, and what addresses are there."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeVar

from .forked import Forked
from .host import Container, Host, Process

T = TypeVar("T")
Kind = Literal["host", "router", "external", "container"]


class Place:
    """A host, a router, an external node or a container, by its name in the topology.

    `interfaces` has the addresses that were given to it, as CIDRs; link-local ones are not
    among them.
    """

    def __init__(
        self,
        name: str,
        kind: Kind,
        host: Host,
        container: Container | None,
        interfaces: Mapping[str, Sequence[str]],
    ) -> None:
        self.name = name
        self.kind: Kind = kind
        self.host = host
        self.container = container
        self.interfaces = {link: tuple(cidrs) for link, cidrs in interfaces.items()}

    def __repr__(self) -> str:
        return f"<{self.kind} {self.name}>"

    @property
    def addresses(self) -> tuple[str, ...]:
        """Without prefix length, the main one of each family first.

        An external node's servers' addresses on `lo` are its main ones.
        """
        own = [cidr for cidrs in self.interfaces.values() for cidr in cidrs]
        first = [cidr for cidr in self.interfaces.get("lo", ()) if self.kind == "external"]
        return tuple(dict.fromkeys(cidr.partition("/")[0] for cidr in (*first, *own)))

    def address(self, family: int) -> str | None:
        """The main address of the family, 4 or 6; None where there is none."""
        found = (text for text in self.addresses if (":" in text) == (family == 6))
        return next(found, None)

    def run(self, argv: Sequence[str], **options: Any) -> subprocess.CompletedProcess[bytes]:
        """A command in it, to its end: `Host.run`."""
        return self.host.run(argv, netns=self.container, **options)

    def popen(self, argv: Sequence[str], **options: Any) -> Process:
        """A command in it: `Host.popen`."""
        return self.host.popen(argv, netns=self.container, **options)

    def call(self, function: Callable[..., T], *args: Any) -> T:
        """The result of `function(*args)` in a fork of this process inside it."""
        return self.host.call(function, *args, netns=self.container)

    def fork_call(self, function: Callable[..., T], *args: Any) -> Forked[T]:
        """Start `function(*args)` in a fork of this process inside it."""
        return self.host.fork_call(function, *args, netns=self.container)

    def open_network(self) -> int:
        """A descriptor of its network namespace, to be closed by who asked.

        Who isn't root may enter it from inside the lab only: see `Lab.fork_call`.
        """
        return self.host.open_network(self.container.name if self.container else "")
