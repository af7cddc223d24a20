"""What root in a container offers its neighbours to do for them, for `attempts`."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import hostile
from hostile import (
    ALL_NODES,
    IGMP_QUERY,
    IGMP_ROUTER,
    LISTENER_QUERY,
    MULTICAST_ROUTER,
    PORT,
    SERVICE_VLAN,
    VLAN,
    address_shown,
    frame,
    icmp_redirect,
    icmpv6,
    igmp,
    listener,
    mld,
    redirect,
    tagged,
    tap,
    udp,
)
from hostile_site import GATEWAY, STRANGER, Party, Scene, know
from scenes import BROADCAST, entered, ip, run

FORGED = b"forged"
Variants = Iterator[tuple[str, bool]]
TAGS = ((), (VLAN,), (VLAN, VLAN), (SERVICE_VLAN, VLAN))


def be_another_s_dhcp_server(scene: Scene) -> Variants:
    """RFC 2131, section 4.1: to whom has no address yet, or to whom has one."""
    bad, friend = scene.bad, scene.friend
    for sender in (67, 4444):
        for where, target in ((BROADCAST, "255.255.255.255"), (friend.mac, friend.address[4])):
            for source in (bad.address[4], GATEWAY[4]):
                packet = udp(source, target, FORGED, 68, sender)
                for tags in TAGS:
                    sent = tagged(frame(bad.mac, where, packet), *tags)
                    told = f"from {source}, port {sender} to {target}, {len(tags)} tags"
                    yield told, _takes(scene, "0.0.0.0", 68, sent)


def be_another_s_dhcpv6_server(scene: Scene) -> Variants:
    """RFC 8415, section 7.2"""
    bad, friend = scene.bad, scene.friend
    for sender in (547, 4444):
        for option in (False, True):
            target = friend.link_local
            packet = udp(bad.link_local, target, FORGED, 546, sender, option=option)
            for tags in TAGS:
                sent = tagged(frame(bad.mac, friend.mac, packet), *tags)
                told = f"from port {sender}, {option and 'behind a header, '}{len(tags)} tags"
                yield told, _takes(scene, "::", 546, sent)


def _takes(scene: Scene, address: str, port: int, sent: bytes) -> bool:
    """Whether the friend's kernel takes it for its own, at that address and port."""
    ear, gate = listener("friend", address, port), listener("friend")
    scene.send(sent, to=scene.friend)
    gate.heard()
    return ear.holds(FORGED)


def redirect_what_another_sends(scene: Scene) -> Variants:
    """In the name of its gateway: who would take it from anybody else?"""
    bad, friend = scene.bad, scene.friend
    gateway = address_shown("scope link", "", "cni0")["local"]
    know(bad.address[4], bad.mac, "eth0", "friend")
    run(f"ip -6 route replace {STRANGER[6]} via {gateway} dev eth0", netns="friend")
    for family in (4, 6):
        target, far = friend.address[family], STRANGER[family]
        for tags in TAGS:
            with _flow(friend, family, far) as sent:
                if family == 4:
                    packet = icmp_redirect(GATEWAY[4], target, bad.address[4], sent)
                else:
                    packet = redirect(gateway, target, bad.link_local, far)
                before = ip(f"-{family} route get {far}", "friend")
                ear = listener("friend")
                scene.send(tagged(frame(bad.mac, friend.mac, packet), *tags), to=friend)
                ear.heard()
                after = ip(f"-{family} route get {far}", "friend")
            run(f"ip -{family} route flush cache", netns="friend")
            yield f"IPv{family}, {len(tags)} tags", _hop(after) != _hop(before)
    run(f"ip -6 route del {STRANGER[6]} via {gateway} dev eth0", netns="friend")


@contextmanager
def _flow(of: Party, family: int, far: str) -> Iterator[bytes]:
    """A packet of one that stands: what concerns no socket is not heeded."""
    kind = socket.AF_INET6 if family == 6 else socket.AF_INET
    with entered(of.name), socket.socket(kind, socket.SOCK_DGRAM) as flow:
        flow.bind((of.address[family], 0))
        flow.connect((far, PORT))
        yield udp(of.address[family], far, b"sent", PORT, flow.getsockname()[1])


def _hop(routes: Any) -> str:
    return str(routes[0].get("gateway"))


def be_the_bridge_s_multicast_router(scene: Scene) -> Variants:
    """Who is one is sent all that is sent to any group."""
    bad = scene.bad
    port = bad.result["interfaces"][1]["name"]
    for what, where, packet in (
        ("IGMP query", "224.0.0.1", igmp(bad.address[4], "224.0.0.1", IGMP_QUERY)),
        ("IGMP router", "224.0.0.106", igmp(bad.address[4], "224.0.0.106", IGMP_ROUTER)),
        ("MLD query", ALL_NODES, mld(bad.link_local, ALL_NODES, LISTENER_QUERY)),
        ("MLD router", "ff02::6a", mld(bad.link_local, "ff02::6a", MULTICAST_ROUTER)),
    ):
        group = hostile.multicast_mac(where)
        run(f"ip link set {port} type bridge_slave mcast_router 0")
        run(f"ip link set {port} type bridge_slave mcast_router 1")
        ear = listener("friend")
        scene.send(frame(bad.mac, group, packet), to=scene.friend)
        ear.heard()
        (shown,) = json.loads(run("bridge -j -d mdb show dev cni0"))
        yield what, port in [one["port"] for one in shown["router"].get("cni0", [])]


def answer_for_another_s_name(scene: Scene) -> Variants:
    """Multicast DNS (RFC 6762): whose a name is only its messages say."""
    bad = scene.bad
    for source, group in ((bad.address[4], "224.0.0.251"), (bad.link_local, "ff02::fb")):
        packet = udp(source, group, FORGED, 5353, 5353)
        ear = tap("eth0", "friend")
        scene.send(frame(bad.mac, hostile.multicast_mac(group), packet), to=scene.friend)
        yield group, ear.heard(FORGED)


def have_another_send_smaller_packets(scene: Scene) -> Variants:
    """RFC 4443, section 3.2: any address on the way may say so."""
    bad, friend = scene.bad, scene.friend
    far = scene.other.address[6]
    with _flow(friend, 6, far) as sent:
        body = struct.pack("!I", 1280) + sent
        packet = icmpv6(bad.address[6], friend.address[6], hostile.TOO_BIG, body)
        ear = listener("friend")
        scene.send(frame(bad.mac, friend.mac, packet), to=friend)
        ear.heard()
        (route,) = ip(f"-6 route get {far}", "friend")
    run("ip -6 route flush cache", netns="friend")
    yield "told", "1280" in str(route)


OFFERS: dict[str, Callable[[Scene], Variants]] = {
    "redirect what another sends": redirect_what_another_sends,
    "become another's DHCP server": be_another_s_dhcp_server,
    "become another's DHCPv6 server": be_another_s_dhcpv6_server,
    "answer for another's name by mDNS": answer_for_another_s_name,
    "have another send smaller packets (IPv6)": have_another_send_smaller_packets,
    # The last: once it was asked for, the bridge sends a group to whom it concerns only.
    "become the bridge's multicast router": be_the_bridge_s_multicast_router,
}
