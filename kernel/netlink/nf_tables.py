"""Messages to nf_tables as bytes: changes, transactions of them, questions. Nothing is sent here.

Layouts are those of linux/netfilter/nf_tables.h and nfnetlink.h.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence

from ...model.value import Value
from . import packed

TABLE = "pynet"
"""The name of our tables; whatever has another one is somebody else's."""

NFNL_SUBSYS_NFTABLES = 10
NFNL_MSG_BATCH_BEGIN = 0x10
NFNL_MSG_BATCH_END = 0x11

NFT_MSG_NEWSETELEM = 12
NFT_MSG_GETSETELEM = 13
NFT_MSG_DELSETELEM = 14
NFT_MSG_NEWGEN = 15
NFT_MSG_GETGEN = 16

_COMMENT = 0
"""libnftnl's NFTNL_UDATA_*_COMMENT: of a table, a set and a rule alike."""

NFPROTO = {"inet": 1, "ip": 2, "arp": 3, "netdev": 5, "bridge": 7, "ip6": 10}
_HEADS = {family: struct.pack("!BBH", number, 0, 0) for family, number in NFPROTO.items()}
"""struct nfgenmsg of a message about a table of that family."""


class Change(Value):
    """One message of a transaction, still without a sequence number."""

    type: int
    flags: int
    family: str
    body: bytes


def message(change: Change, sequence: int, flags: int = 0) -> bytes:
    """`change` as an nf_tables message."""
    return packed.message(
        NFNL_SUBSYS_NFTABLES << 8 | change.type,
        packed.NLM_F_REQUEST | change.flags | flags,
        sequence,
        _HEADS[change.family] + change.body,
    )


def batch(changes: Sequence[Change], first: int) -> bytes:
    """A transaction: begin with sequence `first`, `changes` with the following ones, end.

    Only the last change asks for an acknowledgement: errors come unasked, before it, and
    a thousand acknowledgements would not fit in the socket's buffer. With the echo of its
    first change a transaction tells of the generation it made: none if it changed nothing.
    """
    flags = [0] * len(changes)
    flags[0] |= packed.NLM_F_ECHO
    flags[-1] |= packed.NLM_F_ACK
    parts = [_bracket(NFNL_MSG_BATCH_BEGIN, first)]
    parts += [
        message(change, first + 1 + index, flag)
        for index, (change, flag) in enumerate(zip(changes, flags, strict=True))
    ]
    parts.append(_bracket(NFNL_MSG_BATCH_END, first + 1 + len(changes)))
    return b"".join(parts)


def _bracket(type_: int, sequence: int) -> bytes:
    body = struct.pack("!BBH", socket.AF_UNSPEC, 0, NFNL_SUBSYS_NFTABLES)
    return packed.message(type_, packed.NLM_F_REQUEST, sequence, body)


def comment_in(userdata: bytes) -> str:
    """The comment among libnftnl's (type, length, value) triples; "" for none."""
    offset = 0
    while offset + 2 <= len(userdata):
        type_, length = userdata[offset], userdata[offset + 1]
        if type_ == _COMMENT:
            return userdata[offset + 2 : offset + 2 + length].rstrip(b"\0").decode(errors="replace")
        offset += 2 + length
    return ""
