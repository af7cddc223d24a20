"""A DHCPv4 server that misbehaves, with real sockets, in a node of a lab."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dhcp4_answers import answer

from pynet.dhcp import wire4
from pynet.dhcp.message4 import ACK, DISCOVER, OFFER, REQUEST, Message, parse
from pynet.testnets.fixtures.net import Net

Manners = Callable[[Message, int, str], list[bytes]]
"""What is said to a message: by which one of its kind it is, from 0 on, and where it was sent."""
_IP_PKTINFO = 8  # linux/in.h


def politely(asked: Message, **changes: Any) -> list[bytes]:
    """What one that behaves says."""
    kinds = {DISCOVER: OFFER, REQUEST: ACK}
    return [answer(kinds[asked.kind], asked, **changes)] if asked.kind in kinds else []


@contextmanager
def rogue(net: Net, folder: Path, manners: Manners) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """One with these manners at `server`'s eth0; what it yields tells what has come in so far."""
    heard, ready = folder / "heard", folder / "ready"
    heard.write_text("")
    with net.server.place.fork_call(_serve, manners, heard, ready):
        net.wait(ready.exists)
        yield lambda: [json.loads(line) for line in heard.read_text().splitlines()]


def _serve(manners: Manners, heard: Path, ready: Path) -> None:
    counts: dict[int, int] = {}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock, heard.open("a") as notes:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
        sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        sock.bind(("", 67))
        ready.touch()
        while True:
            data, [(_, _, info)], _, (source, _) = sock.recvmsg(4096, 256)
            asked = parse(data)
            number = counts[asked.kind] = counts.get(asked.kind, -1) + 1
            to = socket.inet_ntoa(info[8:12])
            for said in manners(asked, number, to):
                sock.sendto(said, ("255.255.255.255", 68))
            note = {"kind": asked.kind, "from": source, "to": to, "broadcast": asked.broadcast}
            print(json.dumps(note), file=notes, flush=True)


def frame(message: bytes, mac: str, damage: int = 0, fragment: int = 0) -> bytes:
    """An Ethernet frame with `message` from the server to everybody.

    `damage` is added to the UDP checksum, `fragment` stands where a fragment says so.
    """
    packet = bytearray(wire4.datagram(message, b"\x0a\x14\x00\x01", b"\xff" * 4))
    packet[20:24] = packet[22:24] + packet[20:22]  # the other way; no checksum minds
    checksum = (int.from_bytes(packet[26:28], "big") + damage) % 0xFFFF
    packet[26:28] = checksum.to_bytes(2, "big")
    packet[6:8] = fragment.to_bytes(2, "big")
    header = int.from_bytes(packet[10:12], "big") - fragment
    packet[10:12] = (header % 0xFFFF).to_bytes(2, "big")
    return b"\xff" * 6 + bytes.fromhex(mac.replace(":", "")) + b"\x08\x00" + bytes(packet)
