"""What a server's OFFER or ACK amounts to: the lease it would be, or why it can't be used.

A message is judged by what it says itself. What the address and the routes come from has to make
sense; an ADD that took it would fail later, and leave the user to guess why.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from . import options4
from .client import FOREVER, Lease, Malformed
from .message4 import Message

_RENEW, _REBIND = 0.5, 0.875  # RFC 2131, 4.4.5
_KEPT_APART = frozenset(
    (options4.SERVER, options4.LIFETIME, options4.RENEW_AFTER, options4.REBIND_AFTER)
)


def lease(message: Message, since: float) -> Lease:
    """What was asked for at `since` (seconds since 1970). Raises `Malformed`: why it is refused."""
    options = dict(message.options)
    renew, rebind, lifetime = _times(options)
    return Lease(
        address=_address(message.yiaddr, options),
        server=options4.host(_needed(options, options4.SERVER, "server identifier")),
        since=since,
        renew_after=renew,
        rebind_after=rebind,
        lifetime=lifetime,
        options=tuple(
            (number, data.hex()) for number, data in message.options if number not in _KEPT_APART
        ),
    )


def _address(text: str, options: dict[int, bytes]) -> str:
    """In CIDR form."""
    packed = options4.packed(text or "0.0.0.0")
    options4.host(packed)
    length = options4.prefix_length(_needed(options, options4.SUBNET_MASK, "subnet mask"))
    own = IPv4Interface((packed, length))
    if own.ip in _edges(own.network):
        raise Malformed(f"{own.ip} is the network's or the broadcast address of its /{length}")
    if options.get(options4.BROADCAST) == packed:
        raise Malformed(f"{own.ip} is said to be the broadcast address")
    _check_gateways(own, options)
    return str(own)


def _check_gateways(own: IPv4Interface, options: dict[int, bytes]) -> None:
    """The kernel takes no route by a gateway that is not on the link."""
    _, routes = options4.routing(options, str(own))
    near = [own.network, *(IPv4Network(destination) for destination, via in routes if not via)]
    for gateway in (IPv4Address(via) for _, via in routes if via):
        if gateway == own.ip:
            raise Malformed(f"{own.ip} is said to be the gateway's")
        if gateway in _edges(own.network):
            raise Malformed(f"the gateway {gateway} is no host of {own.network}")
        if not any(gateway in network for network in near):
            raise Malformed(f"{own} is not in the subnet of its gateway {gateway}")


def _edges(network: IPv4Network) -> tuple[IPv4Address, ...]:
    """The addresses in there that no host has (RFC 3021: where there are two, both do)."""
    if network.prefixlen >= 31:
        return ()
    return network.network_address, network.broadcast_address


def _times(options: dict[int, bytes]) -> tuple[float, float, float]:
    """T1, T2 and the lifetime; the usual shares of it where T1 and T2 are absent or nonsense."""
    lifetime = options4.number(_needed(options, options4.LIFETIME, "lease time"))
    if lifetime == 0:
        raise Malformed("a lease of 0 seconds")
    if lifetime == FOREVER:
        return FOREVER, FOREVER, FOREVER
    renew = _seconds(options.get(options4.RENEW_AFTER), lifetime * _RENEW)
    rebind = _seconds(options.get(options4.REBIND_AFTER), lifetime * _REBIND)
    if not 0 < renew <= rebind <= lifetime:
        renew, rebind = lifetime * _RENEW, lifetime * _REBIND
    return renew, rebind, lifetime


def _seconds(data: bytes | None, otherwise: float) -> float:
    return int.from_bytes(data, "big") if data is not None and len(data) == 4 else otherwise


def _needed(options: dict[int, bytes], number: int, name: str) -> bytes:
    if number not in options:
        raise Malformed(f"no {name} (option {number})")
    return options[number]
