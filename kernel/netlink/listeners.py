"""Who listens on a host's ports, asked of the kernel (linux/inet_diag.h).

Rules that hold here:
- The kernel picks the ports: a host with ten thousand sockets tells of a few.
- What it can't tell of (a protocol whose diagnosis is not built in) counts as nobody.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterable, Iterator

from ...model.errors import KernelError
from ...model.query import Listener
from ..namespaces import entered
from . import packed

_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_PROTOCOLS = {"tcp": 6, "udp": 17, "sctp": 132}
_LISTENING, _UNCONNECTED = 1 << 10, 1 << 7  # TCP_LISTEN; TCP_CLOSE, which UDP sockets are in
_INET_DIAG_REQ_BYTECODE = 1
_INET_DIAG_SKV6ONLY = 11
_S_GE, _S_LE = 2, 3

# inet_diag_req_v2 and, in it, inet_diag_sockid: ports, addresses, interface, cookie
_REQUEST = struct.Struct("=BBBBI HH 16s16s III")
_ANSWER = struct.Struct("!BBBB H2x 16s")  # inet_diag_msg up to the source address
_ANSWER_SIZE = 72
_INSTRUCTION = struct.Struct("=BBH")
_ANY_COOKIE = 0xFFFFFFFF
_RECEIVE = 65536


def on(namespace: int, ports: Iterable[tuple[str, int]]) -> tuple[Listener, ...]:
    """`ss -ln` of these (protocol, port) pairs. Raises `KernelError`."""
    wanted: dict[str, set[int]] = {}
    for protocol, port in ports:
        wanted.setdefault(protocol, set()).add(port)
    with entered(namespace):
        sock = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_SOCK_DIAG
        )
    found: list[Listener] = []
    with sock:
        for protocol, numbers in wanted.items():
            for family in (socket.AF_INET, socket.AF_INET6):
                found += _dump(sock, family, protocol, numbers)
    return tuple(found)


def _dump(sock: socket.socket, family: int, protocol: str, ports: set[int]) -> Iterator[Listener]:
    states = _UNCONNECTED if protocol == "udp" else _LISTENING
    head = _REQUEST.pack(
        family, _PROTOCOLS[protocol], 0, 0, states, 0, 0, b"", b"", 0, _ANY_COOKIE, _ANY_COOKIE
    )
    program = packed.attribute(_INET_DIAG_REQ_BYTECODE, _between(min(ports), max(ports)))
    flags = packed.NLM_F_REQUEST | packed.NLM_F_DUMP
    sock.send(packed.message(_SOCK_DIAG_BY_FAMILY, flags, 1, head + program))
    for body in _answers(sock):
        listener = _parse(family, protocol, body)
        if listener.port in ports:
            yield listener


def _between(first: int, last: int) -> bytes:
    """The kernel's filter program "source port >= FIRST and <= LAST".

    An instruction has an operand of its own size; it goes `yes` bytes on, else `no`. To leave
    exactly at the end accepts, to leave beyond rejects.
    """
    return (
        _INSTRUCTION.pack(_S_GE, 8, 20)
        + _INSTRUCTION.pack(0, 0, first)
        + _INSTRUCTION.pack(_S_LE, 8, 12)
        + _INSTRUCTION.pack(0, 0, last)
    )


def _parse(family: int, protocol: str, body: bytes) -> Listener:
    *_, port, raw = _ANSWER.unpack_from(body)
    if family == socket.AF_INET:
        return Listener(protocol, socket.inet_ntop(family, raw[:4]), port)
    address = socket.inet_ntop(family, raw)
    only_6 = dict(packed.attributes(body[_ANSWER_SIZE:])).get(_INET_DIAG_SKV6ONLY, b"\0")
    return Listener(protocol, "*" if address == "::" and not any(only_6) else address, port)


def _answers(sock: socket.socket) -> Iterator[bytes]:
    while True:
        for answer in packed.messages(sock.recv(_RECEIVE)):
            if answer.type == packed.NLMSG_DONE:
                return
            if answer.type == packed.NLMSG_ERROR:
                if answer.errno not in _CANT_TELL:
                    raise KernelError(f"ss -ln: {os.strerror(answer.errno)}", errno=answer.errno)
                return
            yield answer.body


_CANT_TELL = (errno.ENOENT, errno.EINVAL, errno.EOPNOTSUPP)
