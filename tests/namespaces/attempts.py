"""What root in a container tries, each with its variants, and whether they succeed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import hostile
from hostile import (
    ALL_NODES,
    ARP,
    END,
    NONE,
    PORT,
    RESERVED,
    SERVICE_VLAN,
    VLAN,
    address_shown,
    advert,
    arp,
    frame,
    icmp_redirect,
    listener,
    redirect,
    router_advert,
    solicit,
    speak,
    tagged,
    tap,
    udp,
)
from hostile_site import GATEWAY, HOST, NOT_A_GATEWAY, OUTSIDE, STRANGER, Party, Scene, know
from offers import FORGED, OFFERS, Variants
from published import mapping
from scenes import BROADCAST, ip, run

NOBODY = "02:00:00:00:00:66"


def send_from_another_s_mac(scene: Scene) -> Variants:
    bad = scene.bad
    for to in (scene.good, scene.host):
        packets = {
            "IPv4": frame(NOBODY, to.mac, udp(bad.address[4], to.address[4], FORGED)),
            "IPv6": frame(NOBODY, to.mac, udp(bad.address[6], to.address[6], FORGED)),
            "ARP": frame(
                NOBODY,
                to.mac,
                arp(1, (NOBODY, bad.address[4]), (NOBODY, to.address[4])) + FORGED,
                ARP,
            ),
        }
        for what, packet in packets.items():
            ear = tap(scene.interface(to), to.name)
            scene.send(packet, to=to)
            yield f"{what} to {to.name or 'the host'}", ear.heard(FORGED)


def get_what_is_sent_to_another_s_mac(*lures: str) -> Callable[[Scene], Variants]:
    """A bridge learns where a MAC is from whoever sends from it, and good's kernel sends, too."""

    def attempt(scene: Scene) -> Variants:
        for where in lures or (BROADCAST, scene.good.mac):
            yield f"by a frame to {where}", any(_stolen(scene, where) for _ in range(3))

    return attempt


def _stolen(scene: Scene, where: str) -> bool:
    bad, good, friend = scene.bad, scene.good, scene.friend
    here = frame(good.mac, BROADCAST, udp(good.address[4], friend.address[4], b"here"))
    hostile.send("good", [here])
    try:
        packet = udp(bad.address[4], good.address[4], b"lure")
        scene.send(frame(good.mac, where, packet))
        ear = tap("eth0", "bad")
        packet = udp(friend.address[4], good.address[4], b"secret")
        end = udp(friend.address[4], bad.address[4], END)
        hostile.send(
            "friend", [frame(friend.mac, good.mac, packet), frame(friend.mac, BROADCAST, end)]
        )
        return ear.heard(b"secret")
    finally:
        hostile.send("good", [here])


def send_from_another_s_address(
    family: int, *ways: Callable[[Scene], tuple[Party, str]]
) -> Callable[[Scene], Variants]:
    def attempt(scene: Scene) -> Variants:
        for source in (scene.good, scene.other):
            for to, where in (way(scene) for way in ways):
                ear = listener(to.name)
                packet = udp(source.address[family], to.address[family], FORGED)
                scene.send(frame(scene.bad.mac, where, packet), to=to)
                yield f"{source.name}'s to {to.name or 'the host'} at {where}", ear.heard(FORGED)

    return attempt


def _to_a_friend(scene: Scene) -> tuple[Party, str]:
    return scene.friend, scene.friend.mac


def _to_the_host(scene: Scene) -> tuple[Party, str]:
    return scene.host, scene.host.mac


def _past_the_bridge(scene: Scene) -> tuple[Party, str]:
    return scene.host, RESERVED


def hide_behind_vlan_tags(*tagging: tuple[int, ...]) -> Callable[[Scene], Variants]:
    """Whoever receives a tag of VLAN 0 takes it off."""

    def attempt(scene: Scene) -> Variants:
        bad, good, friend = scene.bad, scene.good, scene.friend
        for family in (4, 6):
            packet = udp(good.address[family], friend.address[family], FORGED)
            for tags in tagging:
                ear = listener("friend")
                scene.send(tagged(frame(bad.mac, friend.mac, packet), *tags), to=friend)
                yield f"IPv{family}, {len(tags)} tags from {tags[0]:x}", ear.heard(FORGED)

    return attempt


def claim_another_s_address_by_arp(scene: Scene) -> Variants:
    claimed = (scene.bad.mac, scene.good.address[4])
    for to in (scene.friend, scene.host):
        asked = (to.mac, to.address[4])
        for what, where, packet in (
            ("a request", BROADCAST, arp(1, claimed, asked)),
            ("an answer", to.mac, arp(2, claimed, asked)),
            ("gratuitously", BROADCAST, arp(1, claimed, claimed)),
        ):
            claim = frame(scene.bad.mac, where, packet, ARP)
            yield f"{what} to {to.name or 'the host'}", _believed(scene, to, 4, claim)


def claim_another_s_address_by_neighbour_discovery(scene: Scene) -> Variants:
    bad, good = scene.bad, scene.good
    for to in (scene.friend, scene.host):
        mine, its, theirs = bad.address[6], good.address[6], to.address[6]
        for what, packet in (
            ("advertised from its own", advert(mine, theirs, its, bad.mac)),
            ("from its link-local one", advert(bad.link_local, theirs, its, bad.mac)),
            ("from that one", advert(its, theirs, its, bad.mac)),
            ("behind a header", advert(mine, theirs, its, bad.mac, option=True)),
            ("asking from it", solicit(its, theirs, theirs, bad.mac)),
        ):
            claim = frame(bad.mac, to.mac, packet)
            for tags in ((), (VLAN,)):
                told = f"{what} to {to.name or 'the host'}, {len(tags)} tags"
                yield told, _believed(scene, to, 6, tagged(claim, *tags))


def _believed(scene: Scene, to: Party, family: int, claim: bytes) -> bool:
    """Whether `to` afterwards takes bad's MAC for good's."""
    good, device = scene.good.address[family], scene.interface(to)
    know(good, scene.good.mac, device, to.name, "reachable")
    time.sleep(0.02)  # a claim as old as the entry is not believed (locktime, in jiffies)
    ear = listener(to.name)
    scene.send(claim, to=to)
    ear.heard()
    (entry,) = ip(f"neigh show {good} dev {device}", to.name)
    know(good, scene.good.mac, device, to.name)
    return bool(entry["lladdr"] == scene.bad.mac)


def keep_another_from_its_address(scene: Scene) -> Variants:
    """Duplicate address detection (RFC 4862, section 5.4): who asks is told that it is taken."""
    bad = scene.bad
    wanted = "fd00:1::77"
    group = hostile.solicited_node(wanted)
    for what, where, packet in (
        ("answered", ALL_NODES, advert(bad.address[6], ALL_NODES, wanted, bad.mac)),
        ("answered as it", ALL_NODES, advert(wanted, ALL_NODES, wanted, bad.mac)),
        ("asked for, too", group, solicit(NONE, group, wanted)),
    ):
        run(f"ip addr add {wanted}/64 dev eth0", netns="friend")
        sent = frame(bad.mac, hostile.multicast_mac(where), packet)
        given_up = any(_is_given_up(scene, sent, wanted) for _ in range(10))
        run(f"ip addr del {wanted}/64 dev eth0", netns="friend")
        yield what, given_up


def _is_given_up(scene: Scene, sent: bytes, wanted: str) -> bool:
    """Whether the friend has given the address up, a moment after this was sent once more."""
    ear = listener("friend")
    scene.send(sent, to=scene.friend)
    ear.heard()
    time.sleep(0.03)
    return "dadfailed" in address_shown(f"to {wanted}", "friend")


def be_another_s_router(scene: Scene) -> Variants:
    bad = scene.bad
    for what, packet in _adverts(bad):
        for tags in ((), (VLAN,), (VLAN, VLAN)):
            ear = listener("friend")
            everybody = hostile.multicast_mac(ALL_NODES)
            scene.send(tagged(frame(bad.mac, everybody, packet), *tags), to=scene.friend)
            ear.heard()
            found = ip("-6 route show default proto ra", "friend")
            run("ip -6 route flush proto ra", netns="friend")
            yield f"{what}, {len(tags)} tags", bool(found)


def _adverts(bad: Party) -> Iterator[tuple[str, bytes]]:
    yield "advertised", router_advert(bad.link_local, bad.mac)
    yield "behind a header", router_advert(bad.link_local, bad.mac, option=True)


def be_the_host_s_router(scene: Scene) -> Variants:
    bad, host = scene.bad, scene.host
    for family, far in STRANGER.items():
        before = ip(f"-{family} route get {far}")
        ear = listener()
        scene.send(*_redirects(scene, family, far), to=host)
        ear.heard()
        yield f"redirected, IPv{family}", ip(f"-{family} route get {far}") != before
    for what, packet in _adverts(bad):
        ear = listener()
        for where in (hostile.multicast_mac(ALL_NODES), host.mac, RESERVED):
            scene.send(frame(bad.mac, where, packet))
        scene.send(to=host)
        ear.heard()
        yield what, bool(ip("-6 route show proto ra"))
    yield from _be_it_from_a_closed_network(scene)


def _be_it_from_a_closed_network(scene: Scene) -> Variants:
    """Where the host is nobody's gateway, it is a host like others."""
    intruder = Party.join("intruder", scene.closed)
    end = frame(intruder.mac, BROADCAST, udp(intruder.address[4], "255.255.255.255", END))
    for what, packet in _adverts(intruder):
        places = (hostile.multicast_mac(ALL_NODES), hostile.link_mac("cni2"), RESERVED)
        ear = tap("cni2")
        hostile.send("intruder", [*(frame(intruder.mac, one, packet) for one in places), end])
        ear.heard()
        yield f"{what} from a closed network", bool(ip("-6 route show proto ra dev cni2"))


def _redirects(scene: Scene, family: int, far: str) -> Iterator[bytes]:
    bad, host = scene.bad, scene.host
    sent = udp(HOST[family], far, b"what was sent")
    for where in (host.mac, RESERVED):
        if family == 4:
            packet = icmp_redirect(bad.address[4], GATEWAY[4], bad.address[4], sent)
        else:
            packet = redirect(bad.link_local, GATEWAY[6], bad.link_local, far)
        yield frame(bad.mac, where, packet)


def have_the_host_send_on_what_is_from_another(scene: Scene) -> Variants:
    for family in (4, 6):
        for source in (
            scene.good.address[family],
            scene.other.address[family],
            STRANGER[family],
        ):
            ear = tap("eth0", "outside")
            packet = udp(source, OUTSIDE[family], FORGED)
            end = udp(scene.bad.address[4], OUTSIDE[4], END)
            scene.send(*(frame(scene.bad.mac, scene.host.mac, one) for one in (packet, end)))
            yield f"from {source}", ear.heard(FORGED)


def have_the_host_send_on_what_is_from_a_closed_network(scene: Scene) -> Variants:
    """The bridge has no address, but a MAC, and the host forwards, for other networks' sake."""
    inmate, mate = (Party.join(name, scene.closed) for name in ("inmate", "mate"))
    bridge = hostile.link_mac("cni2")
    for family, gateway in NOT_A_GATEWAY.items():
        know(gateway, bridge, "eth0", "inmate")
        run(f"ip -{family} route add default via {gateway} dev eth0 onlink", netns="inmate")
        for to, address in (("outside", OUTSIDE[family]), ("good", scene.good.address[family])):
            ear, gate = tap("eth0", to), tap("eth0", "mate")
            speak("inmate", address, FORGED)
            speak("inmate", mate.address[family], END)
            gate.heard()
            yield f"IPv{family} to {to} from {inmate.address[family]}", ear.holds(FORGED)


def reach_the_host_s_loopback(scene: Scene) -> Variants:
    """While portmap has `route_localnet` set on the bridge, which it needs for `snat`."""
    good, bad, host = scene.good, scene.bad, scene.host
    scene.publish(good, mapping(8080, "udp"), mapping(8081, "udp", "127.0.0.1"))
    setting = Path("/proc/sys/net/ipv4/conf/cni0/route_localnet").read_text()
    assert int(setting) == scene.portmap.get("snat", True)
    mine = bad.address
    for what, address, packet in (
        ("127.0.0.1", "127.0.0.1", udp(mine[4], "127.0.0.1", FORGED)),
        ("127.9.9.9", "::", udp(mine[4], "127.9.9.9", FORGED)),
        ("127.0.0.1 from itself", "127.0.0.1", udp("127.0.0.1", "127.0.0.1", FORGED)),
        ("the gateway from 127.0.0.1", "::", udp("127.0.0.1", GATEWAY[4], FORGED)),
        ("the gateway from 127.9.9.9", "::", udp("127.9.9.9", GATEWAY[4], FORGED)),
        ("the gateway from the host", "::", udp(HOST[4], GATEWAY[4], FORGED)),
        ("::1", "::1", udp(mine[6], "::1", FORGED)),
        ("::1 from itself", "::1", udp("::1", "::1", FORGED)),
        ("the gateway from ::1", "::", udp("::1", GATEWAY[6], FORGED)),
    ):
        for where in (host.mac, RESERVED):
            ear, gate = listener("", address), listener("", GATEWAY[4], PORT + 1)
            scene.send(frame(bad.mac, where, packet), scene.end(host, PORT + 1))
            gate.heard()
            yield f"{what} by {where}", ear.holds(FORGED)
    for what, packet in (
        ("a port of 127.0.0.1's", udp(mine[4], "127.0.0.1", FORGED, 8081)),
        ("a port from 127.0.0.1", udp("127.0.0.1", HOST[4], FORGED, 8080)),
    ):
        ear = listener(good.name, port=80)
        scene.send(
            frame(bad.mac, host.mac, packet),
            frame(bad.mac, good.mac, udp(mine[4], good.address[4], END, 80)),
        )
        yield what, ear.heard(FORGED)


ATTEMPTS: dict[str, Callable[[Scene], Variants]] = {
    "send from another's MAC": send_from_another_s_mac,
    "get what is sent to another's MAC": get_what_is_sent_to_another_s_mac(),
    "get it by way of `01:80:c2:00:00:0e`": get_what_is_sent_to_another_s_mac(RESERVED),
    "send from another's IPv4 address": send_from_another_s_address(
        4, _to_a_friend, _to_the_host, _past_the_bridge
    ),
    "send from another's IPv6 address": send_from_another_s_address(6, _to_a_friend, _to_the_host),
    "send IPv6 by way of `01:80:c2:00:00:0e`": send_from_another_s_address(6, _past_the_bridge),
    "hide another's address behind a VLAN tag": hide_behind_vlan_tags((VLAN,)),
    "hide it behind two": hide_behind_vlan_tags((VLAN, VLAN), (SERVICE_VLAN, VLAN)),
    "claim another's address by ARP": claim_another_s_address_by_arp,
    "claim another's address by neighbour discovery": (
        claim_another_s_address_by_neighbour_discovery
    ),
    "keep another from an address, as if it were taken": keep_another_from_its_address,
    "become another's router": be_another_s_router,
    **OFFERS,
    "have the host send on what is from another's address": (
        have_the_host_send_on_what_is_from_another
    ),
    "have the host send on what is from a network without `isGateway`": (
        have_the_host_send_on_what_is_from_a_closed_network
    ),
    "become the host's router": be_the_host_s_router,
    "reach what listens on 127.0.0.1 or ::1 of the host": reach_the_host_s_loopback,
}
