"""libnftables, for what is made once per host: it turns rules into the kernel's expressions.

It is opened for each use and closed again: that takes some milliseconds, and a context kept open
would hold its namespace.

Rules that hold here:
- It waits by `select`, which ends the process where its descriptor is 1,024 or more: so it is used
  in a thread that has a table of descriptors to itself, empty but for the first three.
- Nothing of Python's that holds a descriptor is let go in that thread: the number means another
  file in there. So the garbage collector waits meanwhile.
- It ends the process where it gets no memory, or no socket: so these are looked for before.
"""

from __future__ import annotations

import ctypes
import gc
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ...model.errors import Exhausted, KernelError
from ...model.exhaustion import RAISE
from .. import memory, threads
from ..namespaces import entered, setns

_LIBRARY = "libnftables.so.1"
_NETLINK_NETFILTER = 12
_FIRST_OTHER = 3
_CLOSE_RANGE, _CLOSE_RANGE_UNSHARE = 436, 2  # the same on all architectures, Linux 5.9
_ALL = 0xFFFFFFFF
_LOW = 512
"""Where the lowest free descriptor is below this, those that it opens are below 1,024."""
_MEMORY = 32 << 20
"""Bytes: more than it takes for our tables, and for what it reads of others'."""

_lock = threading.Lock()
_libc = ctypes.CDLL(None, use_errno=True)


def run(namespace: int, commands: str) -> str:
    """`nft -f -` with `commands` in `namespace`, as one transaction: "" or what nft says.

    Raises `KernelError` where libnftables or its Python module is not installed, `Exhausted`.
    """
    context = _module()
    with _lock, _no_collection():
        memory.look_for(_MEMORY, "libnftables")
        said: list[str] = []
        try:
            threads.run(lambda: said.append(_apart(namespace, context, commands)))
        except (Exhausted, _NoTable):
            said.append(_beside_others(namespace, context, commands))
    return said[0]


class _NoTable(Exception):
    """No table of descriptors of its own is to be had."""


def _apart(namespace: int, context: Callable[[], Any], commands: str) -> str:
    """In a thread that ends afterwards. Raises OSError."""
    setns(namespace)
    if _libc.syscall(_CLOSE_RANGE, _FIRST_OTHER, ctypes.c_uint(_ALL), _CLOSE_RANGE_UNSHARE):
        raise _NoTable
    return _tell(context, commands)


def _beside_others(namespace: int, context: Callable[[], Any], commands: str) -> str:
    """In this thread, among all the descriptors there are."""
    free = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    os.close(free)
    if free >= _LOW:
        raise Exhausted(f"libnftables can't be used with {free} open files; {RAISE}")
    with entered(namespace):
        return _tell(context, commands)


def _tell(context: Callable[[], Any], commands: str) -> str:
    socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER).close()
    library = context()
    try:
        status, _output, message = library.cmd(commands)
    finally:
        del library  # here, where its socket is; the frames of an error would take it elsewhere
    if status == 0:
        return ""
    return str(message).strip() or f"status {status}"


@contextmanager
def _no_collection() -> Iterator[None]:
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _module() -> Callable[[], Any]:
    """What opens a context."""
    try:
        import nftables

        # First alone: where it fails, the module's destructor would fail as well, visibly.
        ctypes.CDLL(_LIBRARY)
    except ImportError as error:
        raise KernelError(
            "the Python module 'nftables' is missing: install pip-nftables (PyPI)"
            f" or python3-nftables (Debian): {error}"
        ) from error
    except OSError as error:
        raise KernelError(
            f"{_LIBRARY} can't be loaded: install the package libnftables1"
            f" (Debian, Ubuntu) or nftables-libs (Fedora): {error}"
        ) from error
    return lambda: nftables.Nftables(sofile=_LIBRARY)
