"""How a container may come into another that has an ingress policy, and whether it does.

Who asks is `other`, on a network of its own, or `bad`, on that of `good`, who is asked. An honest
END goes the same way to `friend`, whom everybody reaches.
"""

from __future__ import annotations

from collections.abc import Callable

import hostile
from attempts import FORGED, Variants
from hostile import END, PORT, RESERVED, frame, link_mac, listener, speak, udp
from hostile_site import GATEWAY, HOST, OUTSIDE, Party, Scene, know
from scenes import run

OWN_GATEWAY = {4: "10.2.0.1", 6: "fd00:2::1"}
ASKED_FROM = 7777


def route_over(gateways: dict[int, str]) -> Callable[[Scene], Variants]:
    """A route that root has set, and the MAC of whom it leads to, whatever ARP would say."""

    def intrusion(scene: Scene) -> Variants:
        bridge, subnets = link_mac("cni1"), {4: "10.1.0.0/24", 6: "fd00:1::/64"}
        for family, gateway in gateways.items():
            know(gateway, bridge, "eth0", "other")
            route = f"{subnets[family]} via {gateway} dev eth0 onlink"
            run(f"ip -{family} route replace {route}", netns="other")
            ear, gate = listener("good"), listener("friend")
            speak("other", scene.good.address[family], FORGED)
            speak("other", scene.friend.address[family], END)
            gate.heard()
            yield f"IPv{family}", ear.holds(FORGED)

    return intrusion


def send_as(*sources: str) -> Callable[[Scene], Variants]:
    """As somebody of the target's own network where no source is given."""

    def intrusion(scene: Scene) -> Variants:
        for source in sources or scene.friend.address.values():
            family = 6 if ":" in source else 4
            packet = udp(source, scene.good.address[family], FORGED)
            yield f"IPv{family}", _arrives(scene, scene.other, link_mac("cni1"), packet)

    return intrusion


def by_way_of_the_host(scene: Scene) -> Variants:
    for family in (4, 6):
        packet = udp(scene.bad.address[family], scene.good.address[family], FORGED)
        yield f"IPv{family}", _arrives(scene, scene.bad, link_mac("cni0"), packet)


def past_its_bridge(scene: Scene) -> Variants:
    for sender, bridge in ((scene.other, link_mac("cni1")), (scene.bad, link_mac("cni0"))):
        for family in (4, 6):
            packet = udp(sender.address[family], scene.good.address[family], FORGED)
            arrived = _arrives(scene, sender, bridge, packet, where=RESERVED)
            yield f"IPv{family}, {sender.name}", arrived


def as_an_answer(scene: Scene) -> Variants:
    """good has asked somebody outside, and is masqueraded; bad answers in their place."""
    for family in (4, 6):
        asked = listener("outside")
        speak("good", OUTSIDE[family], END, sender=ASKED_FROM)
        asked.heard()
        packet = udp(OUTSIDE[family], HOST[family], FORGED, ASKED_FROM, PORT)
        ear = listener("good", port=ASKED_FROM)
        gate = listener("", GATEWAY[4], PORT + 1)
        scene.send(frame(scene.bad.mac, scene.host.mac, packet), scene.end(scene.host, PORT + 1))
        gate.heard()
        yield f"IPv{family}", ear.holds(FORGED)


def _arrives(scene: Scene, sender: Party, bridge: str, packet: bytes, where: str = "") -> bool:
    ear, gate = listener("good"), listener("friend")
    end = udp(sender.address[4], scene.friend.address[4], END)
    frames = frame(sender.mac, where or bridge, packet), frame(sender.mac, bridge, end)
    hostile.send(sender.name, frames)
    gate.heard()
    return ear.holds(FORGED)


INTRUSIONS: dict[str, Callable[[Scene], Variants]] = {
    "sets a route to it over its own gateway": route_over(OWN_GATEWAY),
    "sets one over the target's gateway": route_over(GATEWAY),
    "sets one over the host's address outside": route_over(HOST),
    "sends as if it were on the target's network": send_as(),
    "sends as if it were the host, IPv4": send_as(GATEWAY[4], HOST[4]),
    "sends as if it were the host, IPv6": send_as(GATEWAY[6], HOST[6]),
    "sends as if it were outside": send_as(*OUTSIDE.values()),
    "is on the target's network, and sends by way of the host": by_way_of_the_host,
    "sends past its bridge (`01:80:c2:00:00:0e`)": past_its_bridge,
    "sends what looks like the answer to what it asked": as_an_answer,
}
