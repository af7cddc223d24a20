"""The ranges that are known of a pool, looked up by the addresses that they hold.

SQLite would look at every range that begins before: a pool may have twenty thousand.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable
from typing import NamedTuple


class Span(NamedTuple):
    """From `first` to `last`, both held; addresses are numbers."""

    first: int
    last: int
    id: int


class Spans:
    def __init__(self, spans: Iterable[Span]) -> None:
        self._spans = sorted(spans)
        self._longest = max((span.last - span.first for span in self._spans), default=0)

    def add(self, span: Span) -> None:
        insort(self._spans, span)
        self._longest = max(self._longest, span.last - span.first)

    def meeting(self, first: int, last: int) -> list[int]:
        """The ids of those that have an address from `first` to `last`."""
        begin = bisect_left(self._spans, first - self._longest, key=_first)
        end = bisect_right(self._spans, last, key=_first)
        return [span.id for span in self._spans[begin:end] if span.last >= first]


def _first(span: Span) -> int:
    return span.first
