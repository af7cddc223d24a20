"""Forgets what namespaces learned about their neighbours: `ip neighbour flush`.

The kernel keeps one table of neighbours for all namespaces of the machine, and where it holds
`gc_thresh3` of them (1024) that are younger than five seconds, nobody learns another one: a
mesh of 33 containers is more.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterable, Iterator

from ...kernel.netlink.packed import attribute, chosen
from ...kernel.netlink.rtnl import Operation
from ...kernel.netlink.rtnl_socket import Socket

_RTM_DELNEIGH, _RTM_GETNEIGH = 29, 30  # linux/rtnetlink.h
_NDMSG = struct.Struct("=BxxxiHBB")  # linux/neighbour.h: family, interface, state, flags, type
_NDA_DST = 1
_NUD_INCOMPLETE, _NUD_FAILED, _NUD_NOARP, _NUD_PERMANENT = 0x01, 0x20, 0x40, 0x80


class Neighbours:
    """The neighbours that one namespace has learned, of one family."""

    def __init__(self, network: int, family: int) -> None:
        self._family = family
        self._socket = Socket.inside(network, "the lab")

    def close(self) -> None:
        self._socket.close()

    def forget(self) -> None:
        """Delete all but those that somebody has entered by hand. Raises `KernelError`."""
        self._delete(~(_NUD_NOARP | _NUD_PERMANENT))

    def forget_missing(self) -> None:
        """Delete those that were asked for in vain: who needs one asks at once. The same."""
        self._delete(_NUD_INCOMPLETE | _NUD_FAILED)

    def _delete(self, states: int) -> None:
        question = Operation(
            _RTM_GETNEIGH, 0, _NDMSG.pack(self._family, 0, 0, 0, 0), "ip neighbour show"
        )
        deletions = [
            Operation(_RTM_DELNEIGH, 0, body, "ip neighbour del")
            for body in _deletions(self._socket.dump(question), states)
        ]
        if deletions:
            # The kernel may have dropped one of them meanwhile.
            self._socket.transact(*deletions, tolerated=(errno.ENOENT, errno.ENXIO, errno.ENODEV))


def _deletions(bodies: Iterable[bytes], states: int) -> Iterator[bytes]:
    for body in bodies:
        family, interface, state, _, _ = _NDMSG.unpack_from(body)
        if not state & states:
            continue
        address = chosen(body, _NDMSG.size, (_NDA_DST,)).get(_NDA_DST)
        if address:
            yield _NDMSG.pack(family, interface, 0, 0, 0) + attribute(_NDA_DST, address)
