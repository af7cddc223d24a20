"""A host with two networks and a neighbour, and who reaches whom there."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import drive
from drive import Outcome
from published import FAMILIES, KINDS, Served, ask, both, start_servers, whereabouts

from pynet.testnets.lab.lab import Container, Forked, Host, Lab

PLACES = ("host", "outside", "same network", "other network", "itself")
PORT = 8080
HOST = {"v4": "192.0.2.1", "v6": "2001:db8::1"}
OUTSIDE = {"v4": "192.0.2.2", "v6": "2001:db8::2"}
SIDES = (HOST, OUTSIDE)
LENGTH = {"v4": 24, "v6": 64}
SUBNETS = {"web": ("10.1.0.0/24", "fd00:1::/64"), "db": ("10.2.0.0/24", "fd00:2::/64")}


def bridge(network: str, name: str) -> dict[str, Any]:
    return {
        **drive.BRIDGE,
        "name": network,
        "bridge": name,
        "hairpinMode": True,  # where bridged frames are translated, the only way back to oneself
        "ipam": {
            "type": "host-local",
            "ranges": [[{"subnet": subnet}] for subnet in SUBNETS[network]],
        },
    }


def _nothing(host: Host) -> None:
    """As a machine is without other people's firewalls."""


@dataclass
class Site:
    """A host `h1` with networks web and db, and a neighbour of it; all have servers on port 80.

    `target` and `neighbour` are on web, `other` is on db; `target` is published on PORT.
    """

    host: Host
    outside: Host
    target: Served
    neighbour: Served
    other: Served
    policy: str

    @classmethod
    def of(cls, lab: Lab, policy: str = "open", prepare: Callable[[Host], None] = _nothing) -> Site:
        """`prepare` is done to the host before the first container comes."""
        host, outside = lab.host("h1"), lab.host("outside")
        prepare(host)
        ends = [tuple(f"{side[family]}/{LENGTH[family]}" for family in LENGTH) for side in SIDES]
        lab.wire(host, "out0", outside, "eth0", addresses=(ends[0], ends[1]))
        for network in SUBNETS.values():
            for subnet, family in zip(network, LENGTH, strict=True):
                outside.run(["ip", "route", "add", subnet, "via", HOST[family]])
        start_servers(lab, outside)
        web, db = bridge("web", "cni0"), bridge("db", "cni1")
        target = Served(lab, host, "target", web)
        target.container.run(["ip", "link", "set", "lo", "up"])
        site = cls(
            host,
            outside,
            target,
            Served(lab, host, "neighbour", web),
            Served(lab, host, "other", db),
            policy,
        )
        for served in site.all:
            site.guard(served)
        target.publish(both(PORT))
        return site

    @property
    def all(self) -> tuple[Served, ...]:
        return self.target, self.neighbour, self.other

    def place(self, name: str) -> Host | Container:
        """One of PLACES, as seen from the target."""
        return {
            "host": self.host,
            "outside": self.outside,
            "same network": self.neighbour.container,
            "other network": self.other.container,
            "itself": self.target.container,
        }[name]

    def ask(
        self, place: str, protocol: str, address: str, port: int, *, hopeful: bool = True
    ) -> Forked[str]:
        """One who is not `hopeful` gives up sooner."""
        host, netns = whereabouts(self.place(place))
        timeout = 3.0 if hopeful else 0.6
        return host.fork_call(ask, protocol, address, port, timeout, netns=netns)

    def call(self, command: str, served: Served, **keys: Any) -> Outcome:
        """firewall for one of the containers; network db is open."""
        network = served.bridge["name"]
        config = {
            "cniVersion": "1.1.0",
            "name": network,
            "type": "firewall",
            "ingressPolicy": self.policy if network == "web" else "open",
            **keys,
            "prevResult": served.result,
        }
        return self.host.call(drive.call, command, config, served.runtime)

    def succeed(self, command: str, served: Served, **keys: Any) -> Any:
        outcome = self.call(command, served, **keys)
        assert outcome.status == 0, outcome.stdout
        return outcome.document

    def guard(self, served: Served) -> None:
        assert self.succeed("ADD", served) == served.result, "passed through"

    def release(self, served: Served) -> None:
        self.succeed("DEL", served)

    def ways_through(self) -> bool:
        """Whether containers reach each other and the world, and the world what they publish."""
        asked = []
        for family, index in FAMILIES.items():
            inner = self.target.address(index)
            for protocol in KINDS:
                asked += [
                    self.ask("itself", protocol, OUTSIDE[family], 80),
                    self.ask("same network", protocol, inner, 80),
                    self.ask("other network", protocol, inner, 80),
                    self.ask("outside", protocol, HOST[family], PORT),
                    self.ask("other network", protocol, HOST[family], PORT),
                ]
        return all_reached(asked)

    def closed(self, *families: str) -> bool:
        """Whether nobody outside reaches what is not published; of `families`, else of all."""
        inner = [self.target.address(FAMILIES[family]) for family in families or FAMILIES]
        return not any_reached(self.ask("outside", "tcp", one, 80, hopeful=False) for one in inner)


def all_reached(asked: Iterable[Forked[str]]) -> bool:
    return {reached(one) for one in asked} <= {True}  # every one is waited for


def any_reached(asked: Iterable[Forked[str]]) -> bool:
    return True in {reached(one) for one in asked}


def reached(asking: Forked[str]) -> bool:
    try:
        return bool(asking.wait())
    except OSError:
        return False
