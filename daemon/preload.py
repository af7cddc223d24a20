"""Import now what the first request would otherwise wait for.

A module first imported in the middle of a request costs that request milliseconds (a
pydantic model alone tens), and holds the import lock against all others.
"""

from __future__ import annotations

import gc
from contextlib import suppress
from functools import cache
from importlib import import_module
from pkgutil import iter_modules

_FLOORS = ("model", "cni", "store", "kernel", "ipam", "plugins", "engine")
_IMPORTED_LATE = ("json", "nftables", "pydantic", "shutil", "sqlite3", "subprocess")
"""What our modules import inside functions, to spare the one-shot."""

_YOUNG = 20_000
"""New objects between two passes of the garbage collector; Python's own choice is 700."""


def preload() -> None:
    """Import all of it for good: the garbage collector need not walk it at every pass."""
    load()
    gc.collect()
    gc.freeze()
    # A request makes some thousand objects and leaves none: several passes over them would
    # find nothing each time.
    gc.set_threshold(_YOUNG)


@cache
def load() -> None:
    """All of ours that a request may pass through, and what they import late."""
    root = __package__.rpartition(".")[0]
    for floor in _FLOORS:
        package = import_module(f"{root}.{floor}")
        for module in iter_modules(package.__path__):
            _load(f"{root}.{floor}.{module.name}")
    for name in _IMPORTED_LATE:
        _load(name)


def _load(name: str) -> None:
    with suppress(ImportError):  # the request that needs it will say so; the others need not fail
        import_module(name)
