"""Containers with servers on published ports, and callers from everywhere.

The servers answer with the address the caller seems to have; both protocols, both families.
"""

from __future__ import annotations

import os
import socket
import struct
from functools import partial
from typing import Any

import drive
from drive import Outcome, Runtime

from pynet.testnets.lab.lab import Container, Host, Lab

SERVER = 80
V4, V6 = socket.AF_INET, socket.AF_INET6
FAMILIES = {"v4": V4, "v6": V6}
KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}


def config(network: str = "web", **keys: Any) -> dict[str, Any]:
    return {
        "cniVersion": "1.1.0",
        "name": network,
        "type": "portmap",
        "capabilities": {"portMappings": True},
        **keys,
    }


def mapping(
    port: int, protocol: str = "tcp", address: str = "", to: int = SERVER
) -> dict[str, Any]:
    return {"hostPort": port, "containerPort": to, "protocol": protocol, "hostIP": address}


def both(port: int, **fields: Any) -> list[dict[str, Any]]:
    return [mapping(port, "tcp", **fields), mapping(port, "udp", **fields)]


def call(
    command: str,
    runtime: Runtime,
    ports: list[dict[str, Any]],
    previous: Any,
    **keys: Any,
) -> Outcome:
    """One call of portmap for `runtime`, which has prevResult `previous`."""
    given = config(**keys) | {"runtimeConfig": {"portMappings": ports}}
    if previous is not None:
        given["prevResult"] = previous
    return drive.call(command, given, runtime)


class Served:
    """A container on a bridge network, with servers on port 80; not published yet."""

    def __init__(self, lab: Lab, host: Host, name: str, bridge: dict[str, Any]) -> None:
        self.host = host
        self.bridge = bridge
        self.container: Container = host.container(name)
        self.runtime = Runtime(name, self.container.path)
        outcome = host.call(drive.call, "ADD", bridge, self.runtime)
        assert outcome.status == 0, outcome.stdout
        self.result = outcome.document
        start_servers(lab, self.container)

    def address(self, family: int) -> str:
        texts = [ip["address"].partition("/")[0] for ip in self.result["ips"]]
        return next(text for text in texts if (":" in text) == (family == V6))

    def portmap(self, command: str, ports: list[dict[str, Any]], **keys: Any) -> Outcome:
        keys.setdefault("network", self.bridge["name"])
        given = partial(call, command, self.runtime, ports, self.result, **keys)
        return self.host.call(given)

    def publish(self, ports: list[dict[str, Any]], **keys: Any) -> Any:
        outcome = self.portmap("ADD", ports, **keys)
        assert outcome.status == 0, outcome.stdout
        assert outcome.document == self.result, "passed through"
        return outcome.document


def start_servers(lab: Lab, place: Host | Container) -> None:
    """They end with the lab."""
    host, netns = whereabouts(place)
    listening, ready = os.pipe()
    server = host.fork_call(serve, ready, netns=netns)
    os.close(ready)
    with os.fdopen(listening, "rb") as told:
        told.read()
    lab.at_close(server.end)


def serve(ready: int) -> None:
    """Answer on port 80, for ever; tells `ready` by closing it."""
    import select

    tcp = socket.create_server(("::", SERVER), family=V6, dualstack_ipv6=True)
    udp = {family: socket.socket(family, socket.SOCK_DGRAM) for family in (V4, V6)}
    udp[V6].setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    for family, sock in udp.items():
        sock.bind(("0.0.0.0" if family == V4 else "::", SERVER))
    os.close(ready)
    while True:
        for sock in select.select([tcp, *udp.values()], [], [])[0]:
            if sock is tcp:
                connection, peer = tcp.accept()
                with connection:
                    connection.sendall(peer[0].removeprefix("::ffff:").encode())
            else:
                _, peer = sock.recvfrom(100)
                sock.sendto(peer[0].encode(), peer)


def ask(protocol: str, address: str, port: int, timeout: float = 2) -> str:
    """Who the server at `address` takes the caller for. Raises OSError where none answers."""
    family = V6 if ":" in address else V4
    with socket.socket(family, KINDS[protocol]) as sock:
        sock.settimeout(timeout)
        sock.connect((address, port))
        sock.send(b"?")
        return sock.recv(100).decode()


def seen(place: Host | Container, protocol: str, address: str, port: int) -> str:
    """The same from a host or a container; "" where nobody answers."""
    host, netns = whereabouts(place)
    try:
        return host.call(ask, protocol, address, port, netns=netns)
    except OSError:
        return ""


class Client:
    """A process that sends from one UDP socket, and waits for one answer each time.

    `send` gives what the answer says, "" where none comes in time.
    """

    def __init__(self, lab: Lab, place: Host | Container, address: str, port: int) -> None:
        host, netns = whereabouts(place)
        self._ours, theirs = socket.socketpair()
        self._forked = host.fork_call(_repeat, theirs, address, port, netns=netns)
        theirs.close()
        lab.at_close(self._ours.close)
        lab.at_close(self._forked.end)

    def send(self) -> str:
        self._ours.send(b"?")
        return self._ours.recv(100).decode().strip()


def _repeat(orders: socket.socket, address: str, port: int) -> None:
    family = V6 if ":" in address else V4
    with orders, socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.settimeout(0.5)
        while orders.recv(1):
            sock.sendto(b"?", (address, port))
            try:
                answer = sock.recv(100)
            except OSError:
                answer = b" "
            orders.send(answer)


class Listening:
    """A process that waits, a second at most, for one datagram."""

    def __init__(self, place: Host | Container, address: str, port: int) -> None:
        host, netns = whereabouts(place)
        listening, ready = os.pipe()
        self._forked = host.fork_call(_receive, address, port, ready, netns=netns)
        os.close(ready)
        with os.fdopen(listening, "rb") as told:
            told.read()

    def got(self) -> bool:
        return self._forked.wait()


def _receive(address: str, port: int, ready: int) -> bool:
    with socket.socket(V4, socket.SOCK_DGRAM) as sock:
        sock.bind((address, port))
        sock.settimeout(1)
        os.close(ready)
        try:
            return bool(sock.recv(100))
        except TimeoutError:
            return False


def throw(place: Host | Container, interface: str, mac: str, frame: bytes) -> None:
    """Put an IPv4 packet on the link, whatever the kernel thinks of it."""
    host, netns = whereabouts(place)
    host.call(_throw, interface, mac, frame, netns=netns)


def _throw(interface: str, mac: str, packet: bytes) -> None:
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800)) as sock:
        raw = bytes.fromhex(mac.replace(":", ""))
        sock.sendto(packet, (interface, 0x0800, 0, 0, raw))


def datagram(
    source: str, destination: str, port: int, text: bytes = b"?", *, sender: int = 5555
) -> bytes:
    """An IPv4 packet with a UDP datagram from port `sender` to `port`."""
    udp = struct.pack("!HHHH", sender, port, 8 + len(text), 0) + text
    return ipv4(source, destination, socket.IPPROTO_UDP, udp)


def ipv4(source: str, destination: str, protocol: int, payload: bytes) -> bytes:
    head = struct.pack(
        "!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 1, 0, 64, protocol, 0,
        socket.inet_aton(source), socket.inet_aton(destination),
    )  # fmt: skip
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def checksum(data: bytes) -> int:
    """RFC 1071"""
    data += bytes(len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def whereabouts(place: Host | Container) -> tuple[Host, Container | None]:
    return (place.host, place) if isinstance(place, Container) else (place, None)
