"""Where something is looked for: in which of a request's two network namespaces."""

from __future__ import annotations

from typing import Literal

Place = Literal["host", "sandbox"]
"""The caller's network namespace, or the container's."""

NO_NUMBER = -1
"""Of a namespace that the host knows by no number (nsid)."""
HIGHEST_NUMBER = (1 << 31) - 1
_OURS = 1 << 30


def own_number(cookie: str) -> int:
    """The number (nsid) that a host is to know the namespace of that cookie by.

    The kernel's own choice is the lowest that is free, so that a dead namespace's is the next
    one's at once. This one is no other's until the next boot: who is known by it lives.
    """
    return _OURS | (int(cookie) & (_OURS - 1)) if cookie.isdecimal() else NO_NUMBER
