"""Published sctp ports: who reaches them, and as whom."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest
from drive import BRIDGE
from published import FAMILIES, SERVER, V4, V6, Served, both, mapping, seen, whereabouts

from pynet.testnets.lab.internet import HOST_ADDRESSES, Internet
from pynet.testnets.lab.lab import Container, Host, Lab

OUTSIDE = {V4: "192.0.2.1", V6: "2001:db8:1::1"}
GATEWAY = {V4: "10.1.0.1", V6: "fd00:1::1"}


@pytest.fixture
def outside(lab: Lab, host: Host) -> Host:
    return Internet(lab, host).outside


@pytest.fixture
def c1(lab: Lab, host: Host, outside: Host) -> Iterator[Served]:
    made = Served(lab, host, "c1", {**BRIDGE, "hairpinMode": True})
    listening, ready = os.pipe()
    server = host.fork_call(serve, ready, netns=made.container)
    os.close(ready)
    with os.fdopen(listening, "rb") as told:
        told.read()
    lab.at_close(server.end)
    yield made


def test_reached_from_everywhere_as_who_one_is(
    lab: Lab, host: Host, outside: Host, c1: Served
) -> None:
    same = Served(lab, host, "c2", c1.bridge)
    c1.publish([mapping(8080, "sctp")])
    for family in FAMILIES.values():
        address = HOST_ADDRESSES[family]
        expected = {
            outside: OUTSIDE[family],
            host: address,
            same.container: GATEWAY[family],
            c1.container: GATEWAY[family],
        }
        assert {place: asked(place, address, 8080) for place in expected} == expected
    assert asked(host, "127.0.0.1", 8080) == GATEWAY[V4]
    assert asked(outside, HOST_ADDRESSES[V4], SERVER) == "", "not published"


def test_only_the_published_protocol_and_address(outside: Host, c1: Served) -> None:
    c1.publish([mapping(8080, "tcp"), mapping(8081, "sctp", "127.0.0.1")])
    assert asked(outside, HOST_ADDRESSES[V4], 8080) == ""
    assert asked(outside, HOST_ADDRESSES[V4], 8081) == ""
    assert asked(c1.host, "127.0.0.1", 8081) == GATEWAY[V4]


def test_gone_after_del(outside: Host, c1: Served) -> None:
    ports = [mapping(8080, "sctp")]
    c1.publish(ports)
    assert asked(outside, HOST_ADDRESSES[V4], 8080) == OUTSIDE[V4]
    assert c1.portmap("CHECK", ports).status == 0
    assert c1.portmap("DEL", ports).status == 0
    assert asked(outside, HOST_ADDRESSES[V4], 8080) == ""


def test_one_number_in_three_protocols_is_three_ports(outside: Host, c1: Served) -> None:
    c1.publish([mapping(8080, "sctp"), *both(8080)])
    for family in FAMILIES.values():
        address = HOST_ADDRESSES[family]
        assert asked(outside, address, 8080) == OUTSIDE[family]
        for protocol in ("tcp", "udp"):
            assert seen(outside, protocol, address, 8080) == OUTSIDE[family]


# --- sctp by sockets in TCP's style -------------------------------------------------


def serve(ready: int) -> None:
    """Answer on port 80 of both families, for ever, with the address the caller seems to have."""
    connections = []  # not closed: whoever asked has its answer when it goes
    with stream(V6) as server:
        server.bind(("::", SERVER))
        server.listen()
        os.close(ready)
        while True:
            connection, peer = server.accept()
            connections.append(connection)
            connection.sendall(peer[0].removeprefix("::ffff:").encode())


def asked(place: Host | Container, address: str, port: int) -> str:
    """Who the server at `address` takes PLACE for; "" where nobody answers."""
    host, netns = whereabouts(place)
    try:
        return host.call(_ask, address, port, netns=netns)
    except OSError:
        return ""


def _ask(address: str, port: int) -> str:
    with stream(V6 if ":" in address else V4) as sock:
        sock.settimeout(10)  # what is lost is sent again after three seconds (net.sctp.rto_initial)
        sock.connect((address, port))
        return sock.recv(100).decode()


def stream(family: int) -> socket.socket:
    return socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_SCTP)
