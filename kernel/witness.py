"""What is left of a pair or a container's namespace, looked for wherever it may stand now."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..model.errors import KernelError, NamespaceError
from ..model.link_pair import PAIRS, LinkPair
from ..model.query import DYING, OWN, Link
from ..model.witness import Pair
from . import namespaces
from .netlink import links, numbers
from .netlink.rtnl_socket import Socket
from .places import Places

_INODES = range(0xF0000000, 1 << 32)
"""Of namespaces (fs/proc/generic.c, PROC_DYNAMIC_FIRST); few files have such a one."""


def pair_stands(sock: Socket, mac: str, peer_mac: str) -> bool | None:
    """Whether a pair's end here has MAC `mac`, or another end of MAC `peer_mac`, whatever its name.

    None where another end can't be looked at.
    """
    ends = links.pair_ends(sock)
    if any(end.mac == mac for end in ends):
        return True
    hidden = False
    for end in ends:
        if end.peer_number < 0:
            continue
        try:
            other = numbers.link_in(sock, end.peer_number, end.peer)
        except KernelError:
            hidden = True
            continue
        if other is not None and other.kind == end.kind and other.mac == peer_mac:
            return True
    return None if hidden else False


def pair_named(sock: Socket, name: str) -> Pair | None:
    """The pair whose end on the host is called NAME; None where there is none."""
    end = links.by_name(sock, name)
    if end is None or end.kind not in PAIRS:
        return None
    bridge = links.by_index(sock, end.master) if end.master else None
    if end.peer_number == OWN:
        return Pair(end, bridge, links.by_index(sock, end.peer), ())
    if end.peer_number == DYING:
        return Pair(end, bridge, None, ())
    found = numbers.addresses_in(sock, end.peer_number)
    if found is None:
        return Pair(end, bridge, None, None)
    return Pair(
        end,
        bridge,
        numbers.link_in(sock, end.peer_number, end.peer),
        tuple(one.address for one in found if one.link == end.peer and not one.link_local),
    )


def delete_from_inside(at: Places, pair: LinkPair) -> None:
    """Delete the container's end of the pair, whose other end is not where it was made.

    Raises `KernelError`.
    """
    for link in ends_inside(at, pair):
        delete_inside(at, link)


def ends_inside(at: Places, pair: LinkPair) -> list[Link]:
    """The container's end of the pair, whatever its name.

    It is found by its MAC or, where it has another by now, by its other end.
    """
    host = at.socket("host")
    found = links_inside(at)
    return [link for link in found if link.kind == pair.kind and _is_ours(link, pair, host)]


def links_inside(at: Places) -> list[Link]:
    """What the container has, by its path or its number; [] where it is dead, or hidden."""
    if at.has("sandbox"):
        return links.everything(at.socket("sandbox"))
    return (numbers.links_in(at.socket("host"), at.number) or []) if at.number >= 0 else []


def delete_inside(at: Places, link: Link) -> None:
    """Delete one of `links_inside`. One that is gone is no error. Raises `KernelError`."""
    if at.has("sandbox"):
        at.delete_link(link.index, link.name, "sandbox")
    else:
        numbers.delete_link(at.socket("host"), at.number, link.index, link.name)


@contextmanager
def lost_sandbox(at: Places) -> Iterator[Socket | None]:
    """A socket in the namespace that no path of the caller's leads to, by way of a process.

    One that is in there, or has it open, or mounted where the caller does not see it. None where
    there is none: what keeps it then (a socket, say) has no name here.
    """
    sock = None
    for path in _doors(at):
        with suppress(OSError, NamespaceError):
            fd = namespaces.open_namespace(path)
            try:
                if numbers.of(at.socket("host"), fd) == at.number:  # and not what came since
                    sock = Socket.inside(fd, at.name("sandbox"))
                    break
            finally:
                os.close(fd)
    try:
        yield sock
    finally:
        if sock is not None:
            sock.close()


def _doors(at: Places) -> Iterator[str]:
    """What may lead into the namespace, the surest first."""
    host = at.socket("host")
    processes = [path for path in Path("/proc").iterdir() if path.name.isdecimal()]
    for process in processes:
        if numbers.of_process(host, int(process.name)) == at.number:
            yield f"{process}/ns/net"
    seen: set[int] = set()
    for process in processes:
        for inode, path in (*_opened(process), *_mounted(process)):
            if inode in _INODES and inode not in seen:
                seen.add(inode)
                yield path


def _opened(process: Path) -> Iterator[tuple[int, str]]:
    """Inodes of what it has open. To look at the files themselves might wait for a server."""
    with suppress(OSError):
        for each in (process / "fdinfo").iterdir():
            with suppress(OSError):
                found = re.search(r"^ino:\s*(\d+)$", each.read_text(), re.MULTILINE)
                yield int(found[1]) if found else 0, f"{process}/fd/{each.name}"


def _mounted(process: Path) -> Iterator[tuple[int, str]]:
    """Inodes of the namespaces that are mounted where it is (proc_pid_mountinfo(5))."""
    with suppress(OSError):
        for line in (process / "mountinfo").read_text().splitlines():
            _, _, _, root, where, *_ = line.split()
            if root.startswith("net:["):
                yield int(root[5:-1]), f"{process}/root{where}"


def _is_ours(end: Link, pair: LinkPair, host: Socket) -> bool:
    """By its other end; by its MAC where that is not here, or where the name agrees, too.

    By its MAC alone it may be another network's, which was asked for the same one.
    """
    other = _other_end(end, host)
    if other is not None and other.mac == pair.mac:
        return True
    return end.mac == pair.peer_mac and (other is None or end.name == pair.peer)


def _other_end(end: Link, host: Socket) -> Link | None:
    other = links.by_index(host, end.peer) if end.peer else None
    if other is None or other.kind != end.kind or other.peer != end.index:
        return None
    return other
