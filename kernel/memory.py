"""This process's memory: looked for beforehand, and put into huge pages."""

from __future__ import annotations

import ctypes
import mmap
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from ..model.errors import Exhausted
from ..model.exhaustion import RAISE

_SETTINGS = Path("/sys/kernel/mm/transparent_hugepage")
_FORBIDDEN = "[never]"
_MAPPINGS = Path("/proc/self/maps")
_OURS = "rw-p"
"""How memory is mapped that no file is behind and no other process sees."""
_HEAP = "[heap]"
_MADV_HUGEPAGE = 14  # linux/mman.h
_MADV_COLLAPSE = 25

# Python takes memory for small objects by the arena, and gives back one that is empty.
_ARENA = 1 << 20
_SMALL = 448
_kept: list[bytes] = []


def look_for(size: int, what: str) -> None:
    """Raises `Exhausted` where there are not so many bytes for `what`."""
    try:
        mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS).close()
    except OSError as error:
        raise Exhausted(f"no memory for {what}; {RAISE}") from error


def make_room(size: int) -> None:
    """Have Python take so many bytes for small objects now, next to each other.

    By and by it would take them between the libraries that are loaded meanwhile, in pieces that
    `join_pages` can do little with.
    """
    taken = [bytes(_SMALL - sys.getsizeof(b"")) for _ in range(size // _SMALL)]
    _kept.extend(taken[:: _ARENA // _SMALL])  # one of each arena, so that it stays


def join_pages() -> None:
    """Have the kernel put what this process has made by now into huge pages: `madvise`(2).

    A process that has slept finds little of it in the processor's caches. In small pages it looks
    up as many addresses again, in a virtual machine twice each. Nothing happens where the machine
    has no huge page to spare, where its owner forbids them, or before Linux 6.1.
    """
    with suppress(OSError, ValueError):
        if _FORBIDDEN in (_SETTINGS / "enabled").read_text():
            return
        size = int((_SETTINGS / "hpage_pmd_size").read_text())
        madvise = ctypes.CDLL(None).madvise
        madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
        for start, end in _made_here():
            first, last = -(-start // size) * size, end // size * size
            if first < last and not madvise(first, last - first, _MADV_HUGEPAGE):
                madvise(first, last - first, _MADV_COLLAPSE)


def _made_here() -> Iterator[tuple[int, int]]:
    """Where memory without a file begins and ends, the stack left out."""
    for line in _MAPPINGS.read_text().splitlines():
        addresses, permissions, _, _, _, *name = line.split(maxsplit=5)
        if permissions == _OURS and name in ([], [_HEAP]):
            start, end = addresses.split("-")
            yield int(start, 16), int(end, 16)
