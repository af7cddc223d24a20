"""A host with a way out and networks on which somebody is hostile, for `attempts`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import drive
import hostile
from hostile import END, PORT, address_shown, frame, link_mac, udp
from published import config
from scenes import add, container, run

HOST = {4: "192.0.2.1", 6: "2001:db8::1"}
OUTSIDE = {4: "192.0.2.2", 6: "2001:db8::2"}
STRANGER = {4: "198.51.100.7", 6: "2001:db8:bad::7"}
GATEWAY = {4: "10.1.0.1", 6: "fd00:1::1"}
NOT_A_GATEWAY = {4: "10.3.0.254", 6: "fd00:3::fe"}
SUBNETS = {"web": ("10.1.0.0/24", "fd00:1::/64"), "db": ("10.2.0.0/24", "fd00:2::/64"),
           "closed": ("10.3.0.0/24", "fd00:3::/64")}  # fmt: skip


def network(name: str, bridge: str, **keys: Any) -> dict[str, Any]:
    ranges = [[{"subnet": subnet}] for subnet in SUBNETS[name]]
    ipam = {"type": "host-local", "ranges": ranges}
    return {**drive.BRIDGE, "name": name, "bridge": bridge, "ipam": ipam, **keys}


@dataclass(frozen=True)
class Party:
    """A container as its neighbours know it."""

    name: str
    mac: str
    address: dict[int, str]
    link_local: str
    result: Any = None

    @classmethod
    def join(cls, name: str, config: dict[str, Any]) -> Party:
        result = add(config, container(name))
        texts = [one["address"].partition("/")[0] for one in result["ips"]]
        return cls(
            name,
            result["interfaces"][2]["mac"],
            {6 if ":" in text else 4: text for text in texts},
            address_shown("scope link", name)["local"],
            result,
        )

    def chain(self, plugin: dict[str, Any]) -> None:
        runtime = drive.Runtime(self.name, f"/run/netns/{self.name}")
        add({**plugin, "prevResult": self.result}, runtime)


class Scene:
    """A host with a way out. On web are bad, good and friend, on db is other.

    `keys` are web's, and those of `closed`, a network without a gateway, with inmate and mate. With
    `theirs`, somebody else has made the bridges.
    """

    def __init__(self, *, theirs: bool = False, **keys: Any) -> None:
        # Frames sent from one processor overtake each other nowhere.
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        _a_way_out()
        for bridge in ("cni0", "cni1", "cni2") if theirs else ():
            run(f"ip link add {bridge} up type bridge")
        self.portmap: dict[str, Any] = {}
        self.closed = network("closed", "cni2", isDefaultGateway=False, ipMasq=False, **keys)
        web = network("web", "cni0", **keys)
        self.bad, self.good, self.friend = (
            Party.join(name, web) for name in ("bad", "good", "friend")
        )
        self.other = Party.join("other", network("db", "cni1", ipMasq=False))
        self.host = Party("", link_mac("cni0"), GATEWAY, "")
        # Nothing the host sends on waits for an answer meanwhile.
        for bridge, party in (
            *(("cni0", party) for party in (self.bad, self.good, self.friend)),
            ("cni1", self.other),
            ("out0", Party("outside", link_mac("eth0", "outside"), OUTSIDE, "")),
        ):
            for address in party.address.values():
                know(address, party.mac, bridge)
        for setting in ("ipv6.conf.eth0.accept_dad=1", "ipv4.neigh.eth0.locktime=0"):
            run(f"sysctl -qw net.{setting}", netns="friend")
        run("sysctl -qw net.ipv4.neigh.cni0.locktime=0")

    def publish(self, party: Party, *ports: dict[str, Any]) -> None:
        party.chain(config(**self.portmap, runtimeConfig={"portMappings": ports}))

    def firewall(self, party: Party, policy: str) -> None:
        party.chain({**drive.FIREWALL, "ingressPolicy": policy})

    def interface(self, party: Party) -> str:
        return "eth0" if party.name else "cni0"

    def send(self, *frames: bytes, to: Party | None = None) -> None:
        """From bad; after them comes an honest END `to` somebody."""
        hostile.send("bad", [*frames, *([self.end(to)] if to else [])])

    def end(self, to: Party, port: int = PORT) -> bytes:
        return frame(self.bad.mac, to.mac, udp(self.bad.address[4], to.address[4], END, port))


def know(address: str, mac: str, device: str, netns: str = "", state: str = "permanent") -> None:
    """An entry of the neighbour table."""
    run(f"ip neigh replace {address} lladdr {mac} dev {device} nud {state}", netns=netns)


def _a_way_out() -> None:
    """outside's eth0, with routes to the containers; nothing looks at sources on the way."""
    run("ip netns add outside")
    run("ip link add out0 type veth peer name eth0 netns outside")
    for family, bits in ((4, 24), (6, 64)):
        nodad = " nodad" if family == 6 else ""
        run(f"ip addr add {HOST[family]}/{bits} dev out0{nodad}")
        run(f"ip -n outside addr add {OUTSIDE[family]}/{bits} dev eth0{nodad}")
    run("ip link set out0 up")
    run("ip -n outside link set eth0 up")
    run("sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0")
    for family in (4, 6):
        run(f"ip -{family} route add default via {OUTSIDE[family]}")
