"""Import now what the first request would otherwise wait for.

A module first imported in the middle of a request costs that request milliseconds, and holds the
import lock against all others. What only others' plugins may need takes 14 MB and more: it is
imported where there are some.
"""

from __future__ import annotations

import gc
from contextlib import suppress
from functools import cache
from importlib import import_module
from pkgutil import walk_packages

from ..kernel.memory import join_pages, make_room
from ..plugins import registry

_FLOORS = ("model", "cni", "store", "kernel", "ipam", "plugins", "engine")
_IMPORTED_LATE = ("json", "nftables", "shutil", "sqlite3", "subprocess")
"""What our modules import inside functions, to spare the one-shot."""
_FOR_OTHERS = ("pydantic", f"{__package__.rpartition('.')[0]}.cni.models")

_ROOM = 12 << 20
"""Bytes for small objects, of what is loaded and of what requests make."""

_YOUNG = 20_000
"""New objects between two passes of the garbage collector; Python's own choice is 700."""


def preload() -> None:
    """Import all of it for good: the garbage collector need not walk it at every pass."""
    make_room(_ROOM)
    load()
    gc.collect()
    gc.freeze()
    join_pages()
    # A request makes some thousand objects and leaves none: several passes over them would
    # find nothing each time.
    gc.set_threshold(_YOUNG)


@cache
def load() -> None:
    """All of ours that a request may pass through, and what they import late."""
    # Others' first: a library that is loaded later lies in the middle of Python's own memory, and
    # what is there in one piece fits into huge pages.
    there_are_others = registry.names() > registry.OURS.keys()
    for name in _IMPORTED_LATE + (_FOR_OTHERS if there_are_others else ()):
        _load(name)
    root = __package__.rpartition(".")[0]
    for floor in _FLOORS:
        package = import_module(f"{root}.{floor}")
        for module in walk_packages(package.__path__, f"{root}.{floor}."):
            if module.name not in _FOR_OTHERS:
                _load(module.name)


def _load(name: str) -> None:
    with suppress(ImportError):  # the request that needs it will say so; the others need not fail
        import_module(name)
