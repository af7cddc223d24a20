"""The MTU of a container whose network asks for none: what its host's way out takes.

A container that sent larger packets would depend on everybody on the way telling it so, and many
do not (RFC 4821, section 1). Reference plugins give the kernel's 1500 whatever the way out takes.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..model.link_attributes import DEFAULT_MTU
from ..model.query import Query, Seen, WayOutMtu

MIN_IPV6_MTU = 1280
"""RFC 8200, section 5."""


def questions(configured: int) -> Iterator[Query[int]]:
    """What `mtu` will ask."""
    if not configured:
        yield WayOutMtu()


def mtu(configured: int, seen: Seen) -> int:
    """`configured` where it is not 0, else what the way out takes; 0 where the default fits."""
    limit = 0 if configured else seen[WayOutMtu()]
    return max(limit, MIN_IPV6_MTU) if 0 < limit < DEFAULT_MTU else configured
