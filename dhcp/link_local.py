"""The link-local address that a DHCPv6 client speaks from: waited for until it may be used.

The kernel makes it when the link comes up, and looks for a second (after up to one more, by chance)
whether a neighbour has it (RFC 4862, 5.4). With `optimistic_dad`, set before the link is up, it may
be used meanwhile, by the rules of RFC 4429; should a neighbour have it, it is given up. The roads
not taken: `accept_dad` 0, or the address made anew without detection. With two of one MAC on a
link, nobody would ever find out.
"""

from __future__ import annotations

import errno
import os
import select
import socket
from collections.abc import Callable
from contextlib import closing, suppress
from time import monotonic

from ..kernel.netlink import addresses, links
from ..kernel.netlink.rtnl_socket import Socket
from ..model.errors import KernelError, TryLater

_RTMGRP_IPV6_IFADDR = 0x100  # linux/rtnetlink.h
_STEP = 0.25
"""Seconds between looks at whether anybody still waits."""
_MESSAGES = 65536


def wait(interface: str, seconds: float, abandoned: Callable[[], bool]) -> str:
    """The address, without its zone, in the namespace this thread is in.

    Raises `TryLater` where there is none after so long or nobody waits any more, `KernelError`
    where a neighbour has it or the kernel has no IPv6, OSError.
    """
    deadline = monotonic() + seconds
    with (
        closing(Socket("the container", groups=_RTMGRP_IPV6_IFADDR)) as changes,
        closing(Socket("the container")) as asking,
    ):
        while True:
            index = links.index(asking, interface)
            if not index:
                raise OSError(errno.ENODEV, os.strerror(errno.ENODEV), interface)
            found = _on(asking, index)
            for each in found:
                if not each.tentative or each.optimistic:
                    return each.address.partition("/")[0]
            left = deadline - monotonic()
            if left <= 0 or abandoned():
                raise TryLater(_why_not(interface, found))
            await_input(changes.raw, left)
            _drain(changes.raw)


def _on(asking: Socket, index: int) -> list[addresses.Assigned]:
    """Raises `KernelError` for one that a neighbour has, too."""
    found = [each for each in addresses.on(asking, index, socket.AF_INET6) if each.link_local]
    for each in found:
        if each.duplicate:
            address = each.address.partition("/")[0]
            raise KernelError(
                f"another host on the link has the container's link-local address {address}: "
                "have two of them the same MAC?",
                errno=errno.EADDRINUSE,
            )
    return found


def _why_not(interface: str, found: list[addresses.Assigned]) -> str:
    if found:
        return (
            f"the kernel is still looking whether a neighbour has the link-local address of "
            f"{interface}"
        )
    return (
        f"{interface} has no link-local address to speak DHCPv6 from: it is not up, or IPv6 is "
        f"off there (net.ipv6.conf.{interface}.disable_ipv6)"
    )


def await_input(sock: socket.socket, seconds: float) -> None:
    """Until something comes in, or for so long; not so long that nobody looks who still waits."""
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    poll.poll(max(0.0, min(seconds, _STEP)) * 1000)


def _drain(changes: socket.socket) -> None:
    with suppress(BlockingIOError):
        while True:
            changes.recv(_MESSAGES, socket.MSG_DONTWAIT)
