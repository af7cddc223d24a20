"""What a DHCPv6 client makes of an answer: which address it takes, and what it has until when."""

from __future__ import annotations

from ipaddress import IPv6Address

from .client import FOREVER, Lease
from .message6 import Answer
from .options6 import Address, Association, Code

_RENEW, _REBIND = 0.5, 0.8
"""Of the preferred lifetime, where the server leaves T1 and T2 to the client (RFC 8415, 21.4)."""
_REFRESH, _SHORTEST_REFRESH = 86400, 600
"""IRT_DEFAULT and IRT_MINIMUM (section 21.23)."""


def usable(association: Association | None, wanted: str) -> Address | None:
    """The address to take of it, `wanted` where that is among them; None for nothing."""
    if association is None or association.status.code != Code.SUCCESS:
        return None
    if association.renew_after > association.rebind_after > 0:
        return None  # section 21.4: as though it were not there
    given = [each for each in association.addresses if _is_usable(each)]
    return next((each for each in given if each.address == wanted), given[0] if given else None)


def withdrawn(association: Association, address: str) -> bool:
    """Whether the server says that nobody has it any more (18.2.10.1)."""
    return any(each.address == address and not each.valid for each in association.addresses)


def lease(answer: Answer, association: Association, address: Address, since: float) -> Lease:
    renew, rebind = times(association, address)
    return Lease(
        address=f"{address.address}/128",
        server=answer.server.hex(),
        since=since,
        renew_after=renew,
        rebind_after=rebind,
        lifetime=address.valid,
        options=_in_hex(answer),
    )


def configuration(answer: Answer, since: float) -> Lease:
    """Of a stateless client: to be asked for anew once it may be outdated."""
    told = _REFRESH if answer.refresh is None else answer.refresh
    return Lease(
        address="",
        server=answer.server.hex(),
        since=since,
        renew_after=max(_SHORTEST_REFRESH, told),
        rebind_after=FOREVER,
        lifetime=FOREVER,
        options=_in_hex(answer),
    )


def times(association: Association, address: Address) -> tuple[float, float]:
    """After how many seconds to renew and to rebind, `FOREVER` for never.

    T1 and T2 of 0 are for the client to choose. So are those at which the address is gone already,
    or that never come, while it does not live forever: a lease that is sure to be lost serves
    nobody.
    """
    renew = _time(association.renew_after, _RENEW, address)
    rebind = _time(association.rebind_after, _REBIND, address)
    return min(renew, rebind), rebind


def _time(told: int, share: float, address: Address) -> float:
    if told and (told < address.valid or address.valid == FOREVER):
        return told
    ends = address.preferred or address.valid
    return FOREVER if ends == FOREVER else share * ends


def _is_usable(address: Address) -> bool:
    """Section 21.6, and an address that an interface may have beside its link-local one."""
    found = IPv6Address(address.address)
    special = found.is_multicast or found.is_unspecified or found.is_loopback or found.is_link_local
    lives = 0 < address.valid >= address.preferred
    refused = special or found.ipv4_mapped is not None or address.status.code != Code.SUCCESS
    return lives and not refused


def _in_hex(answer: Answer) -> tuple[tuple[int, str], ...]:
    return tuple((code, data.hex()) for code, data in answer.rest)
