"""Main plugins that are not ours, played by hand: what they wire, and what they answer with.

Shapes of results as Calico, Cilium, flannel (whose delegate is a bridge) and host-device give
them, and one that tells nothing at all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from evidence import entered
from hostile import link_mac
from scenes import run

V4, V6 = "10.65.0.2", "fd00:65::2"
NETNS, ELSEWHERE = "/run/netns/c1", "/var/run/netns/c1"
"""Two ways to one namespace."""
RESULT = {"cniVersion": "1.0.0"}
IPS = [{"address": f"{V4}/32"}, {"address": f"{V6}/128"}]


@dataclass(frozen=True)
class StandIn:
    """`wire` makes eth0 of the namespace c1; `answer` is the result for its MAC."""

    wire: Callable[[], None]
    answer: Callable[[str], dict[str, Any]]
    outside: str
    """The host's interface by which it is reached."""
    forwards: bool = True
    """Whether the host's FORWARD is to be opened for it."""

    def attach(self) -> dict[str, Any]:
        """Its result, once c1 is wired."""
        run("ip netns add c1")
        run("ip -n c1 link set lo up")
        for netns in ("", "c1"):  # link-local addresses are usable at once
            run("sysctl -qw net.ipv6.conf.default.accept_dad=0", netns=netns)
        self.wire()
        run("sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1")
        return {**RESULT, **self.answer(link_mac("eth0", "c1"))}


def routed(name: str) -> Callable[[], None]:
    """A pair, and a route to each of its addresses alone."""

    def wire() -> None:
        run(f"ip link add {name} type veth peer name eth0 netns c1")
        run(f"ip link set {name} up")
        run(f"ip addr add 169.254.1.1/32 dev {name}")
        run(f"ip addr add fe80::1/64 dev {name} nodad")
        with entered("c1"):
            run("ip link set eth0 up")
            run(f"ip addr add {V4}/32 dev eth0")
            run(f"ip addr add {V6}/128 dev eth0 nodad")
            run("ip route add 169.254.1.1 dev eth0 scope link")
            run("ip route add default via 169.254.1.1 dev eth0")
            run("ip route add default via fe80::1 dev eth0")
        run(f"ip route add {V4}/32 dev {name}")
        run(f"ip route add {V6}/128 dev {name}")

    return wire


def bridged() -> None:
    run("ip link add theirs0 type bridge")
    run("ip addr add 10.65.0.1/24 dev theirs0")
    run("ip addr add fd00:65::1/64 dev theirs0 nodad")
    run("ip link set theirs0 up")
    run("ip link add veththeirs type veth peer name eth0 netns c1")
    run("ip link set veththeirs master theirs0 up")
    _on_link()


def moved() -> None:
    """A card of the host's that is in the container now; it is cabled to another card here."""
    run("ip link add card0 type veth peer name eth0 netns c1")
    run("ip addr add 10.65.0.1/24 dev card0")
    run("ip addr add fd00:65::1/64 dev card0 nodad")
    run("ip link set card0 up")
    _on_link()


def _on_link() -> None:
    with entered("c1"):
        run("ip link set eth0 up")
        run(f"ip addr add {V4}/24 dev eth0")
        run(f"ip addr add {V6}/64 dev eth0 nodad")
        run("ip route add default via 10.65.0.1")
        run("ip route add default via fd00:65::1")


def _calico(mac: str) -> dict[str, Any]:
    return {"interfaces": [{"name": "cali1234"}], "ips": IPS}


def _cilium(mac: str) -> dict[str, Any]:
    interfaces = [
        {"name": "lxc1234", "mac": link_mac("lxc1234")},
        {"name": "eth0", "mac": mac, "sandbox": ELSEWHERE},
    ]
    return {"interfaces": interfaces, "ips": [{**ip, "interface": 1} for ip in IPS]}


def _flannel(mac: str) -> dict[str, Any]:
    interfaces = [
        {"name": "theirs0", "mac": link_mac("theirs0")},
        {"name": "veththeirs", "mac": link_mac("veththeirs")},
        {"name": "eth0", "mac": mac, "sandbox": ELSEWHERE},
    ]
    ips = [
        {"address": f"{V4}/24", "gateway": "10.65.0.1", "interface": 2},
        {"address": f"{V6}/64", "gateway": "fd00:65::1", "interface": 2},
    ]
    return {"interfaces": interfaces, "ips": ips, "routes": [{"dst": "0.0.0.0/0"}]}


def _host_device(mac: str) -> dict[str, Any]:
    interfaces = [{"name": "eth0", "mac": mac, "sandbox": NETNS}]
    return {"interfaces": interfaces, "ips": [{"address": f"{V4}/24"}, {"address": f"{V6}/64"}]}


def _nothing(mac: str) -> dict[str, Any]:
    return {}


def _addresses(mac: str) -> dict[str, Any]:
    return {"ips": IPS}


STAND_INS = {
    "calico": StandIn(routed("cali1234"), _calico, "cali1234"),
    "cilium": StandIn(routed("lxc1234"), _cilium, "lxc1234"),
    "flannel": StandIn(bridged, _flannel, "theirs0"),
    "host-device": StandIn(moved, _host_device, "card0", forwards=False),
    "addresses alone": StandIn(routed("pair0"), _addresses, "pair0"),
    "nothing": StandIn(routed("pair0"), _nothing, "pair0", forwards=False),
}
