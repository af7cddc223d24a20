"""The token: who reads it owns the request, and nobody else will ever run it.

An eventfd in semaphore mode that holds 1, made by the launcher and sent along with the
request. The daemon takes it to accept the request, the launcher before it runs the request
itself. The kernel gives it to one of them, however late the other is, and wherever it was
killed. A daemon that finds that it can't serve the request after all, and holds nothing of it any
more, gives it back before it declines.
"""

from __future__ import annotations

import os
import sys

from .wire import Malformed

_SIZE = 8


def make() -> int:
    """A descriptor of a new one, to be closed by the caller. Raises OSError."""
    return os.eventfd(1, os.EFD_SEMAPHORE | os.EFD_NONBLOCK | os.EFD_CLOEXEC)


def take(token: int) -> bool:
    """Whether it was still there; from now on it is not. Never blocks.

    Raises `Malformed` where `token` can't be one.
    """
    try:
        data = _read(token)
    except BlockingIOError:
        return False
    except OSError as error:
        raise Malformed(f"the descriptor sent as the token can't be read: {error}") from error
    if len(data) != _SIZE or int.from_bytes(data, sys.byteorder) != 1:
        raise Malformed("the descriptor sent as the token is none")
    return True


def give_back(token: int) -> None:
    """What was taken is there again. Raises OSError."""
    os.eventfd_write(token, 1)


def _read(token: int) -> bytes:
    if not hasattr(os, "RWF_NOWAIT"):  # an interpreter built for a libc without preadv2
        os.set_blocking(token, False)
        return os.read(token, _SIZE)
    # O_NONBLOCK would not do: whoever sent the descriptor shares it, and could take it away.
    data = bytearray(_SIZE)
    return bytes(data[: os.preadv(token, [data], -1, os.RWF_NOWAIT)])
