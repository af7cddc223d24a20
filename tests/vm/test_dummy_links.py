"""An administrator's dummy links: as uplink, as a bridge's port, as what an address stands on."""

from __future__ import annotations

import socket

from drive import BRIDGE
from evidence import but_kept, nothing_left, rest
from published import Served, both, seen
from scenes import add, container, entered, in_host, ip, lines, refused, run, succeed

from pynet.testnets.lab.internet import Internet
from pynet.testnets.lab.lab import Host, Lab

UPLINK = "198.51.100.1"
ANYCAST = "203.0.113.53"


@in_host
def test_a_dummy_is_no_bridge() -> None:
    run("ip link add cni0 type dummy")
    refused(7, '"cni0"|not a bridge|dummy', "ADD", BRIDGE, container("c1"))
    assert ip("-d link show cni0")[0]["linkinfo"]["info_kind"] == "dummy"


@in_host
def test_a_bridge_in_which_an_administrator_has_put_a_link_stays() -> None:
    runtime = container("c1")
    add(BRIDGE, runtime)
    run("ip link add uplink type dummy")
    run("ip link set uplink master cni0")
    run("ip link set uplink up")
    succeed("DEL", BRIDGE, runtime)
    succeed("GC", {**BRIDGE, "cni.dev/valid-attachments": []})
    assert any(line.startswith("link uplink") and "cni0" in line for line in lines())
    add(BRIDGE, container("c2"))


@in_host
def test_an_uplink_keeps_its_addresses_and_routes() -> None:
    uplink()
    before = {line for line in lines() if "uplink" in line}
    baseline = rest()
    runtime = container("c1")
    result = add(BRIDGE, runtime)
    succeed("CHECK", {**BRIDGE, "prevResult": result}, runtime)
    succeed("DEL", BRIDGE, runtime)
    assert {line for line in lines() if "uplink" in line} == before
    kept = but_kept(nothing_left(baseline, rest()))
    assert [line for line in kept if "cni0" not in line] == []
    assert "link cni0" in kept


@in_host
def test_what_leaves_by_the_uplink_is_masqueraded() -> None:
    uplink()
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3)) as ear:
        ear.bind(("uplink", 3))  # ETH_P_ALL: sees what is sent, too
        ear.settimeout(5)
        add(BRIDGE, container("c1"))
        with entered("c1"), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"?", ("192.0.2.77", 9))
        while (packet := ear.recv(2000))[0] >> 4 != 4 or packet[9] != socket.IPPROTO_UDP:
            pass
    assert socket.inet_ntoa(packet[12:16]) == UPLINK


def test_a_port_published_at_an_address_of_a_dummy(lab: Lab, host: Host) -> None:
    """As hosts have that announce a service address themselves."""
    outside = Internet(lab, host).outside
    host.run(["ip", "link", "add", "service", "type", "dummy"])
    host.run(["ip", "address", "add", f"{ANYCAST}/32", "dev", "service"])
    host.run(["ip", "link", "set", "service", "up"])
    outside.run(["ip", "route", "add", f"{ANYCAST}/32", "via", "192.0.2.2"])
    c1 = Served(lab, host, "c1", BRIDGE)
    c1.publish(both(8080, address=ANYCAST))
    for protocol in ("tcp", "udp"):
        assert seen(outside, protocol, ANYCAST, 8080) == "192.0.2.1"
        assert seen(host, protocol, ANYCAST, 8080) == ANYCAST
        assert seen(outside, protocol, "192.0.2.2", 8080) == "", "another address of the host"


def uplink() -> None:
    """The host's only way out; whom it leads to does not answer."""
    run("ip link add uplink type dummy")
    run(f"ip addr add {UPLINK}/24 dev uplink")
    run("ip link set uplink up")
    run("ip route add default via 198.51.100.254")
