"""libnftables, for what is made once per host: it turns rules into the kernel's expressions.

It is opened for each use and closed again: that takes some milliseconds, and a context
kept open would hold its namespace.
"""

from __future__ import annotations

import ctypes
import threading
from typing import Any

from ..model.errors import KernelError
from .namespaces import entered

_LIBRARY = "libnftables.so.1"
_lock = threading.Lock()


def run(namespace: int, commands: str) -> str:
    """`nft -f -` with `commands` in `namespace`, as one transaction: "" or what nft says.

    Raises `KernelError` where libnftables or its Python module is not installed.
    """
    with _lock, entered(namespace):
        status, _output, message = _opened().cmd(commands)
    if status == 0:
        return ""
    return str(message).strip() or f"status {status}"


def _opened() -> Any:
    try:
        import nftables

        # First alone: where it fails, the module's destructor would fail as well, visibly.
        ctypes.CDLL(_LIBRARY)
        return nftables.Nftables(sofile=_LIBRARY)
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
