"""What others have changed in nf_tables: told by the kernel, message by message.

Rules that hold here:
- What our own socket does, which is each ADD and DEL, the kernel passes over: a waiting thread
  sleeps through it.
- Nothing is asked back: what is in a message says whether anybody has to look.
- An open listener keeps its namespace alive; it belongs to a `HostEntry`, and closes with it.
"""

from __future__ import annotations

import ctypes
import errno
import select
import socket
import struct
import sys
from contextlib import suppress
from typing import Generic, TypeVar
from weakref import WeakValueDictionary

from msgspec import Struct, field

from ...model.errors import KernelError
from ...model.forwarding import OUR_CHAIN
from ..foreign.chains import DOCKER, is_at_forward
from ..foreign.ours import SIGNATURE
from ..namespaces import entered
from ..netlink import packed
from ..netlink.nf_tables import (
    NFNL_SUBSYS_NFTABLES,
    NFPROTO,
    NFT_MSG_DELSETELEM,
    NFT_MSG_NEWGEN,
    NFT_MSG_NEWSETELEM,
    TABLE,
)
from .encoder import elements_in, keys_in, set_in
from .owner import OWNER_SETS

_NETLINK_NETFILTER = 12
_NFNLGRP_NFTABLES = 7  # linux/netfilter/nfnetlink.h
_NFT_MSG_NEWCHAIN, _NFT_MSG_DELCHAIN, _NFT_MSG_NEWRULE, _NFT_MSG_DELRULE = 3, 5, 6, 8
_OF_CHAINS = (_NFT_MSG_NEWCHAIN, _NFT_MSG_DELCHAIN)
_OF_RULES = (_NFT_MSG_NEWRULE, _NFT_MSG_DELRULE)
_NFTA_RULE_CHAIN = 2
_NFTA_CHAIN_NAME = 3
_SO_ATTACH_FILTER = 26
_SO_RCVBUFFORCE = 33

_LOAD_WORD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06  # linux/bpf_common.h
_PORT_AT = 12  # in struct nlmsghdr
_ALL = 0xFFFF
_BUFFER = 1 << 20
"""Bytes of the kernel's, while nobody has read: some thousand changes."""

_OURS = TABLE.encode() + b"\0"
_FIREWALLD = b"firewalld\0"
_FAMILIES = {number: name for name, number in NFPROTO.items()}
_MARKS = frozenset(described.name for described in OWNER_SETS.values())
_WAYS = (OUR_CHAIN, DOCKER, "FORWARD")
"""Chains in which rules of ours may stand, or that lead to them."""

Subject = TypeVar("Subject")


def _listen(namespace: int, port: int) -> socket.socket:
    try:
        with entered(namespace):
            listener = socket.socket(
                socket.AF_NETLINK,
                socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK,
                _NETLINK_NETFILTER,
            )
        try:
            with suppress(PermissionError):  # it takes CAP_NET_ADMIN of the whole machine
                listener.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
            _filter(listener, port)
            listener.bind((0, 1 << (_NFNLGRP_NFTABLES - 1)))
        except BaseException:
            listener.close()
            raise
    except OSError as error:
        raise KernelError(
            f"changes of nftables can't be watched: {error.strerror}", errno=error.errno or 0
        ) from error
    return listener


def _filter(listener: socket.socket, port: int) -> None:
    """Nothing that `port` has sent. What is put together is of one transaction."""
    ours = int.from_bytes(port.to_bytes(4, sys.byteorder), "big")  # loaded in network order
    program = b"".join(
        struct.pack("=HBBI", *instruction)
        for instruction in (
            (_LOAD_WORD, 0, 0, _PORT_AT),
            (_JUMP_IF_EQUAL, 0, 1, ours),
            (_RETURN, 0, 0, 0),
            (_RETURN, 0, 0, _ALL),
        )
    )
    held = ctypes.create_string_buffer(program)
    head = struct.pack("@HP", len(program) // 8, ctypes.addressof(held))  # struct sock_fprog
    listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, head)


class Heard(Struct):
    """What others have done, as far as it is of account here.

    `ours` tells that chains, rules or sets of our tables were changed, `removed` names elements
    that were taken out of our sets as (family, set, key), `added` those that were put in, with
    their value. `forward` tells that another's chain was made or changed that forwarded packets
    pass, or rules where ours may stand, or that lead there; `chains` names those that are gone.
    `signed` tells that a rule with our name on it was put among another's, whoever did that.
    With `lost` there was more than could be kept, so it may be anything.
    """

    lost: bool = False
    ours: bool = False
    forward: bool = False
    signed: bool = False
    chains: set[str] = field(default_factory=set)
    removed: set[tuple[str, str, bytes]] = field(default_factory=set)
    added: set[tuple[str, str, bytes, bytes]] = field(default_factory=set)

    def note(self, message: packed.Message) -> None:
        kind = message.type & 0xFF
        if message.type >> 8 != NFNL_SUBSYS_NFTABLES or kind == NFT_MSG_NEWGEN:
            return
        _, table = next(iter(packed.attributes(message.body[4:])), (0, b""))  # told first of all
        if table == _OURS:
            self._note_ours(kind, message.body)
        elif kind in (*_OF_CHAINS, *_OF_RULES):
            held = dict(packed.attributes(message.body[4:]))
            name = _NFTA_RULE_CHAIN if kind in _OF_RULES else _NFTA_CHAIN_NAME
            chain = held.get(name, b"").rstrip(b"\0").decode(errors="replace")
            if kind == _NFT_MSG_DELCHAIN:
                self.chains.add(chain)  # by then it is told of no hook
            self.forward |= chain in _WAYS or (kind in _OF_CHAINS and is_at_forward(held))
            # As when an interface is taken out of a zone: which one, only firewalld knows.
            self.forward |= table == _FIREWALLD and kind == _NFT_MSG_DELRULE
            self.signed |= kind == _NFT_MSG_NEWRULE and SIGNATURE in message.body

    def _note_ours(self, kind: int, body: bytes) -> None:
        family = _FAMILIES.get(body[0], "")
        if kind == NFT_MSG_DELSETELEM:
            self.removed.update((family, *element) for element in keys_in(body[4:]))
        elif kind == NFT_MSG_NEWSETELEM:
            name = set_in(body[4:])
            if name in _MARKS:
                return
            self.added.update((family, name, *element) for element in elements_in(body[4:]))
        else:
            self.ours = True


class Watch(Generic[Subject]):
    """Listeners of many namespaces, for one thread that waits. Others may add theirs.

    A subject is held weakly: with its last user goes its listener, and nobody hears of it.
    """

    def __init__(self) -> None:
        self._poll = select.epoll()
        self._subjects: WeakValueDictionary[int, Subject] = WeakValueDictionary()

    def add(self, subject: Subject, listener: Changes) -> None:
        """Hear of `subject` until the listener is closed, which is for the caller to do."""
        self._subjects[listener.fileno()] = subject
        self._poll.register(listener.fileno(), select.EPOLLIN)

    def wait(self, seconds: float | None = None) -> list[Subject]:
        """Those in whose nf_tables somebody else has changed something.

        Until then it sleeps, for so many `seconds` at most where they are given.
        """
        subjects = [self._subjects.get(fd) for fd, _ in self._poll.poll(seconds)]
        return [subject for subject in subjects if subject is not None]


class Changes:
    """What others than `port` change in one namespace: `nft monitor`. Raises `KernelError`."""

    def __init__(self, namespace: int, port: int) -> None:
        self._socket = _listen(namespace, port)
        self._read = 0

    def fileno(self) -> int:
        return self._socket.fileno()

    def quiet(self) -> int | None:
        """What stays the same as long as others change nothing; None where they just have.

        The kernel tells of a change before who made it goes on.
        """
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return None if poll.poll(0) else self._read

    def heard(self) -> Heard:
        """What was told until now."""
        self._read += 1  # before it is read: from here on there is nothing to be seen of it
        found = Heard()
        with suppress(BlockingIOError):
            while True:
                try:
                    data = self._socket.recv(_ALL)
                except OSError as error:
                    if error.errno != errno.ENOBUFS:
                        raise
                    found.lost = True
                    continue
                for message in packed.messages(data):
                    found.note(message)
        return found

    def close(self) -> None:
        self._socket.close()
