"""Who has changed nf_tables: told by the kernel, one word for each transaction of others.

Rules that hold here:
- The kernel passes over what our own socket does, which is each ADD and DEL, and over what
  exactly was changed: a waiting thread sleeps through both.
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

from ..model.errors import KernelError
from .namespaces import entered
from .nft_elements import NFNL_SUBSYS_NFTABLES

_NETLINK_NETFILTER = 12
_NFNLGRP_NFTABLES = 7  # linux/netfilter/nfnetlink.h
_NFT_MSG_NEWGEN = 15
_SO_ATTACH_FILTER = 26

_LOAD_HALF, _LOAD_WORD, _JUMP_IF_EQUAL, _RETURN = 0x28, 0x20, 0x15, 0x06  # linux/bpf_common.h
_TYPE_AT, _PORT_AT = 4, 12  # in struct nlmsghdr
_ALL = 0xFFFF

Subject = TypeVar("Subject")


def listen(namespace: int, port: int) -> socket.socket:
    """A socket that can be read when somebody else than `port` has changed nf_tables there.

    `nft monitor`, without what was changed. Raises `KernelError`.
    """
    try:
        with entered(namespace):
            listener = socket.socket(
                socket.AF_NETLINK,
                socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK,
                _NETLINK_NETFILTER,
            )
        try:
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
    """Only the end of a transaction (NFT_MSG_NEWGEN), and not of one that `port` has sent."""
    word = (NFNL_SUBSYS_NFTABLES << 8 | _NFT_MSG_NEWGEN).to_bytes(2, sys.byteorder)
    program = b"".join(
        struct.pack("=HBBI", *instruction)
        for instruction in (
            (_LOAD_HALF, 0, 0, _TYPE_AT),
            (_JUMP_IF_EQUAL, 0, 3, int.from_bytes(word, "big")),  # loaded in network order
            (_LOAD_WORD, 0, 0, _PORT_AT),
            (_JUMP_IF_EQUAL, 1, 0, int.from_bytes(port.to_bytes(4, sys.byteorder), "big")),
            (_RETURN, 0, 0, _ALL),
            (_RETURN, 0, 0, 0),
        )
    )
    held = ctypes.create_string_buffer(program)
    head = struct.pack("@HP", len(program) // 8, ctypes.addressof(held))  # struct sock_fprog
    listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, head)


class Watch(Generic[Subject]):
    """Listeners of many namespaces, for one thread that waits. Others may add theirs.

    A subject is held weakly: with its last user goes its listener, and nobody hears of it.
    """

    def __init__(self) -> None:
        self._poll = select.epoll()
        self._subjects: WeakValueDictionary[int, Subject] = WeakValueDictionary()

    def add(self, subject: Subject, listener: socket.socket) -> None:
        """Hear of `subject` until the listener is closed, which is for the caller to do."""
        self._subjects[listener.fileno()] = subject
        self._poll.register(listener, select.EPOLLIN)

    def wait(self) -> list[Subject]:
        """Those whose nf_tables somebody else has changed; until then it sleeps."""
        subjects = [self._subjects.get(fd) for fd, _ in self._poll.poll()]
        return [subject for subject in subjects if subject is not None]


def drain(listener: socket.socket) -> None:
    """What was told until now is known."""
    with suppress(BlockingIOError):
        while True:
            try:
                listener.recv(_ALL)
            except OSError as error:
                if error.errno != errno.ENOBUFS:  # more was told than it could hold: known too
                    raise
