"""Ranges of addresses, from the text of a configuration: pure, and checked once for all.

What is taken and refused is what the reference's host-local takes and refuses
(plugins/ipam/host-local, "Canonicalize"); but the errors say which key and value it was.

Addresses are (family, number): neither `ipaddress` nor netaddr is worth its import here.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton
from typing import NamedTuple

from .errors import ConfigError
from .resources import Range
from .value import Value

_BITS = {AF_INET: 32, AF_INET6: 128}
_MAPPED = 0xFFFF << 32


class RangeText(Value):
    """One range as it is written; "" for what is left out.

    `where` is the path of its key, e.g. "ipam.ranges[0][1]", for the errors.
    """

    subnet: str
    start: str = ""
    end: str = ""
    gateway: str = ""
    where: str = "ipam"


class Ip(NamedTuple):
    """An address. `family` is AF_INET or AF_INET6; they sort by family, then by number."""

    family: int
    number: int

    def __str__(self) -> str:
        size = _BITS[AF_INET if self.family == AF_INET else AF_INET6] // 8
        return inet_ntop(self.family, self.number.to_bytes(size))


class _Subnet(NamedTuple):
    network: Ip
    length: int
    last: int

    def __str__(self) -> str:
        return f"{self.network}/{self.length}"

    def __contains__(self, ip: object) -> bool:
        return (
            isinstance(ip, Ip)
            and ip.family == self.network.family
            and self.network.number <= ip.number <= self.last
        )


def parse_ip(text: str, where: str) -> Ip:
    """Raises `ConfigError` naming `where` (the key's path) and the value.

    An IPv4 address written in IPv6 ("::ffff:10.0.0.1") is that IPv4 address, as in Go.
    """
    family = AF_INET6 if ":" in text else AF_INET
    try:
        number = int.from_bytes(inet_pton(family, text))
    except (OSError, ValueError) as error:
        raise ConfigError(f'{where}: "{text}" is not an IP address') from error
    if family == AF_INET6 and number >> 32 == 0xFFFF:
        return Ip(AF_INET, number - _MAPPED)
    return Ip(family, number)


def parse_range(text: RangeText) -> Range:
    """Fill in what is left out. Raises `ConfigError` naming key and value.

    Start is the subnet's first address after the network's, end its last (IPv4: the last
    before broadcast); these two ends are never given out even where they are asked for.
    The gateway is the first address after the network's, unless another is named.
    """
    subnet = _parse_subnet(text)
    family = subnet.network.family
    first_usable = Ip(family, subnet.network.number + 1)
    last_usable = Ip(family, subnet.last - 1 if family == AF_INET else subnet.last)
    start = _within(subnet, text.start, f"{text.where}.rangeStart") or first_usable
    end = _within(subnet, text.end, f"{text.where}.rangeEnd") or last_usable
    gateway = _gateway(subnet, text.gateway, f"{text.where}.gateway") or first_usable
    if start > end:
        raise ConfigError(
            f'{text.where}.rangeStart: "{start}" comes after {text.where}.rangeEnd "{end}"'
        )
    start, end = max(start, first_usable), min(end, last_usable)
    if start > end or start == end == gateway:
        raise ConfigError(
            f"{text.where}: no address can be given out between rangeStart "
            f'"{text.start or start}" and rangeEnd "{text.end or end}" of {subnet}'
        )
    return (str(start), str(end), subnet.length, str(gateway))


@lru_cache(maxsize=256)
def parse_range_sets(sets: tuple[tuple[RangeText, ...], ...]) -> tuple[tuple[Range, ...], ...]:
    """Each set's ranges, checked against each other. Raises `ConfigError`.

    An attachment gets one address out of each set; a set is of one family, and no two
    ranges, of whatever sets, overlap.
    """
    parsed: list[tuple[Range, ...]] = []
    seen: list[_Span] = []
    for texts in sets:
        if not texts:
            raise ConfigError(
                f"ipam.ranges[{len(parsed)}] is empty: give it a range, or leave it out"
            )
        ranges = tuple(map(parse_range, texts))
        spans = [_span(range) for range in ranges]
        for text, (start, end) in zip(texts, spans, strict=True):
            if start.family != spans[0][0].family:
                raise ConfigError(
                    f'{text.where}.subnet: "{text.subnet}" is of another address family than '
                    f'"{texts[0].subnet}" in the same set; give each family a set of its own'
                )
            _insert(seen, _Span(start, end, text))
        parsed.append(ranges)
    return tuple(parsed)


def range_of(ranges: Sequence[Range], address: str) -> Range | None:
    """The range that holds `address`; None where none does."""
    ip = parse_ip(address, "address")
    for range in ranges:
        start, end = _span(range)
        if start.family == ip.family and start <= ip <= end:
            return range
    return None


def place_requested(ranges: Sequence[Range], address: str, where: str) -> Range:
    """The range a requested address is in. Raises `ConfigError` naming `where`.

    For no range holds it, or it is a range's gateway.
    """
    canonical = str(parse_ip(address, where))
    range = range_of(ranges, canonical)
    if range is None:
        spans = ", ".join(described_shortly(range) for range in ranges)
        raise ConfigError(f'{where}: requested address "{address}" is not in {spans}')
    if canonical in gateways(ranges):
        raise ConfigError(f'{where}: requested address "{address}" is the gateway\'s')
    return range


def gateways(ranges: Sequence[Range]) -> frozenset[str]:
    """What must never be given out."""
    return frozenset(gateway for _, _, _, gateway in ranges if gateway)


def size(range: Range) -> int:
    """How many addresses there are from its first to its last."""
    start, end = _span(range)
    return end.number - start.number + 1


def describe(range: Range) -> str:
    return f"{range[0]}-{range[1]}/{range[2]}"


def described_shortly(range: Range) -> str:
    """A subnet that is given out from its first address to its last is called by its name."""
    start, end = _span(range)
    bits = _BITS[AF_INET if start.family == AF_INET else AF_INET6] - range[2]
    network = start.number >> bits << bits
    last = network + (1 << bits) - 1
    if start.number - network <= 1 and last - end.number <= 1:
        return f"{Ip(start.family, network)}/{range[2]}"
    return describe(range)


def _parse_subnet(text: RangeText) -> _Subnet:
    where, value = f"{text.where}.subnet", text.subnet
    address, slash, tail = value.partition("/")
    if not value or not slash:
        raise ConfigError(f'{where}: "{value}" is not a subnet; it needs the form 10.0.0.0/24')
    ip = parse_ip(address, where)
    bits = _BITS[AF_INET] if ip.family == AF_INET else _BITS[AF_INET6]
    if not (tail.isascii() and tail.isdigit() and int(tail) <= bits):
        raise ConfigError(f'{where}: "{value}" has prefix length "{tail}", not one of 0 to {bits}')
    length = int(tail)
    hosts = (1 << (bits - length)) - 1
    if ip.number & hosts:
        network = Ip(ip.family, ip.number & ~hosts)
        raise ConfigError(
            f'{where}: "{value}" has host bits set; the network is {network}/{length}'
        )
    if length > bits - 2:
        raise ConfigError(f'{where}: "{value}" is too small to give out addresses from')
    subnet = _Subnet(ip, length, ip.number | hosts)
    if Ip(AF_INET6, _MAPPED) in subnet:
        raise ConfigError(
            f'{where}: "{value}" holds IPv4 addresses written in IPv6 (::ffff:0:0/96); '
            "choose another subnet"
        )
    return subnet


def _within(subnet: _Subnet, value: str, where: str) -> Ip | None:
    if not value:
        return None
    ip = parse_ip(value, where)
    if ip not in subnet:
        raise ConfigError(f'{where}: "{value}" is not in subnet {subnet}')
    return ip


def _gateway(subnet: _Subnet, value: str, where: str) -> Ip | None:
    """It may be outside of the subnet: a link-local one, or the one gateway of many subnets."""
    if not value:
        return None
    ip = parse_ip(value, where)
    if ip.family != subnet.network.family:
        raise ConfigError(f'{where}: "{value}" is of another address family than {subnet}')
    return ip


class _Span(NamedTuple):
    start: Ip
    end: Ip
    text: RangeText


def _insert(seen: list[_Span], span: _Span) -> None:
    """Into what is in order, and overlaps nowhere. Raises `ConfigError` where this does."""
    at = bisect_right(seen, span.start, key=lambda other: other.start)
    for other in seen[max(0, at - 1) : at + 1]:
        if span.start <= other.end and other.start <= span.end:
            raise ConfigError(
                f"{span.text.where}: {span.start}-{span.end} overlaps with"
                f" {other.start}-{other.end} of {other.text.where}"
            )
    seen.insert(at, span)


def _span(range: Range) -> tuple[Ip, Ip]:
    return parse_ip(range[0], "range"), parse_ip(range[1], "range")
