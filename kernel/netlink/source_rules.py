"""Policy rules by source: which tables are asked for what an interface's own addresses send.

Made and removed, too.
"""

from __future__ import annotations

import errno
import socket
import struct
from ipaddress import ip_interface
from typing import NamedTuple

from ...model.errors import KernelError
from . import addresses
from .packed import NLM_F_CREATE, NLM_F_EXCL, attribute, attributes
from .rtnl import Operation, address_bytes, address_text, number, u32
from .rtnl_socket import Socket

RTM_NEWRULE = 32  # linux/rtnetlink.h, and linux/fib_rules.h
RTM_DELRULE = 33
_RTM_GETRULE = 34
_ACTION_TABLE = 1
_FRA_SRC, _FRA_PRIORITY, _FRA_TABLE = 2, 6, 15
_FRA_SUPPRESS_IFGROUP, _FRA_SUPPRESS_PREFIXLEN, _FRA_PROTOCOL, _FRA_PAD = 13, 14, 21, 18
_OF_ALL_PACKETS = frozenset(
    (
        _FRA_SRC,
        _FRA_PRIORITY,
        _FRA_TABLE,
        _FRA_SUPPRESS_IFGROUP,
        _FRA_SUPPRESS_PREFIXLEN,
        _FRA_PROTOCOL,
        _FRA_PAD,
    )
)
"""A rule with anything else is for some of the packets alone."""

# fib_rule_hdr: family, dst length, src length, tos, table, two unused, action, flags
_HEADER = struct.Struct("=BBBBBBBBI")
_NO_RULES = (errno.EOPNOTSUPP, errno.EAFNOSUPPORT)


class Rule(NamedTuple):
    """`ip rule` "PRIORITY: from SOURCE lookup TABLE"."""

    source: bytes
    table: int
    priority: int = 0

    @property
    def text(self) -> str:
        return f"from {address_text(self.source)} lookup {self.table}"

    def body(self) -> bytes:
        table = self.table if self.table < 256 else 0
        family = socket.AF_INET6 if len(self.source) == 16 else socket.AF_INET
        header = _HEADER.pack(family, 0, 8 * len(self.source), 0, table, 0, 0, _ACTION_TABLE, 0)
        first = u32(_FRA_PRIORITY, self.priority) if self.priority else b""
        return header + attribute(_FRA_SRC, self.source) + u32(_FRA_TABLE, self.table) + first


def tables(sock: Socket, index: int, family: int) -> list[int]:
    """Of each `ip rule` "from ADDRESS lookup TABLE" for an address of the link `index`."""
    own = of_link(sock, index, family)
    return [rule.table for rule in listed(sock, family) if rule.source in own]


def of_link(sock: Socket, index: int, family: int = 0) -> set[bytes]:
    """The addresses of the link `index`; `family` 0 is both."""
    return {ip_interface(each.address).ip.packed for each in addresses.on(sock, index, family)}


def added(address: str, table: int) -> Operation:
    """`ip rule add from ADDRESS lookup TABLE`: before the rules that are there."""
    rule = Rule(address_bytes(address), table)
    return Operation(
        RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, rule.body(), f"ip rule add {rule.text}"
    )


def removed(rule: Rule) -> Operation:
    """`ip rule del from ADDRESS lookup TABLE priority PRIORITY`"""
    return Operation(RTM_DELRULE, 0, rule.body(), f"ip rule del {rule.text}")


def listed(sock: Socket, family: int) -> list[Rule]:
    """`ip rule show`: those from one address, for all of its packets."""
    of_one = []
    for body in rules(sock, family):
        _, to_length, from_length, tos, table, _, _, action, _ = _HEADER.unpack_from(body)
        found = dict(attributes(body[_HEADER.size :]))
        source = found.get(_FRA_SRC, b"")
        narrower = to_length or tos or not found.keys() <= _OF_ALL_PACKETS
        if action == _ACTION_TABLE and not narrower and from_length == 8 * len(source) > 0:
            table = number(found.get(_FRA_TABLE, b"")) or table
            of_one.append(Rule(source, table, number(found.get(_FRA_PRIORITY, b""))))
    return of_one


def asked(sock: Socket, family: int) -> set[int]:
    """`ip rule show`: the tables that any rule asks."""
    tables = set()
    for body in rules(sock, family):
        if _HEADER.unpack_from(body)[7] == _ACTION_TABLE:
            found = dict(attributes(body[_HEADER.size :]))
            tables.add(number(found.get(_FRA_TABLE, b"")) or _HEADER.unpack_from(body)[4])
    return tables


def rules(sock: Socket, family: int) -> list[bytes]:
    """The kernel's messages, a rule each."""
    question = Operation(_RTM_GETRULE, 0, _HEADER.pack(family, *(0,) * 8), "ip rule show")
    try:
        return sock.dump(question)
    except KernelError as error:
        if error.errno not in _NO_RULES:
            raise
        return []
