"""Published ports in few words: once for both IP families, neighbours as one range."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from ...model.published import PublishedPort, dead_end

_MOST = 20
"""How many ranges are shown; no line is to hold thousands."""


class Unpublished(NamedTuple):
    """A port that was asked for, of an address of the host that can't lead to the container."""

    protocol: str
    host_address: str
    host_port: int
    port: int


@dataclass(frozen=True)
class _Range:
    """Host ports from `first` on, `length` of them, which lead to `target` and, by `step`, on."""

    side: tuple[str, str]
    first: int
    length: int
    target: int
    step: int

    def with_next(self, port: PublishedPort) -> _Range | None:
        """One longer by `port`; None where that is no next one."""
        step = port.port - (self.target + self.step * (self.length - 1))
        follows = _side(port) == self.side and port.host_port == self.first + self.length
        if not follows or step not in (0, 1) or (self.length > 1 and step != self.step):
            return None
        return _Range(self.side, self.first, self.length + 1, self.target, step)

    def __str__(self) -> str:
        address, protocol = self.side
        host = _span(self.first, self.length)
        to = _span(self.target, self.length if self.step else 1)
        return f"{address}{host}/{protocol} to {to}"


def published(ports: Iterable[PublishedPort]) -> str:
    """`8080/tcp to 80, 127.0.0.1:53/udp to 53, 9000-9999/tcp to 9000-9999`."""
    return _shortened([str(each) for each in _ranges(ports)])


def unpublished(ports: Iterable[Unpublished]) -> list[str]:
    """A line for each reason: why not, and `[2001:db8::1]:8080/tcp to 80` and so on."""
    said: dict[str, list[str]] = {}
    for port in ports:
        host = f"{_before_port(port.host_address)}{port.host_port}/{port.protocol}"
        said.setdefault(_why_not(port.host_address), []).append(f"{host} to {port.port}")
    return [f"not published, as {why}: {_shortened(lines)}" for why, lines in sorted(said.items())]


def _why_not(address: str) -> str:
    version = 6 if ":" in address else 4
    return dead_end(address) or f"the container has no IPv{version} address"


def _shortened(said: list[str]) -> str:
    more = len(said) - _MOST
    return ", ".join(said[:_MOST]) + (f" and {more} more (`--json` has all)" if more > 0 else "")


def _ranges(ports: Iterable[PublishedPort]) -> Iterator[_Range]:
    sides: dict[tuple[str, str], dict[tuple[int, int], PublishedPort]] = {}
    for port in ports:
        sides.setdefault(_side(port), {}).setdefault((port.host_port, port.port), port)
    for side, found in sides.items():
        last: _Range | None = None
        for _, port in sorted(found.items()):
            longer = last.with_next(port) if last else None
            if last and not longer:
                yield last
            last = longer or _Range(side, port.host_port, 1, port.port, 0)
        if last:
            yield last


def _side(port: PublishedPort) -> tuple[str, str]:
    """Where on the host, and with which protocol: "", "tcp" or "127.0.0.1:", "udp"."""
    if port.everywhere:
        return "", port.protocol
    return _before_port(port.host_address), port.protocol


def _before_port(address: str) -> str:
    return f"[{address}]:" if ":" in address else f"{address}:"


def _span(first: int, length: int) -> str:
    return str(first) if length == 1 else f"{first}-{first + length - 1}"
