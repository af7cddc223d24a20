"""Ranges by the addresses they hold: as many as one likes, overlapping or not."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pynet.store.spans import Span, Spans

BOUNDS = st.tuples(st.integers(0, 60), st.integers(0, 60)).map(lambda pair: tuple(sorted(pair)))


@given(st.lists(BOUNDS), st.lists(BOUNDS), BOUNDS)
def test_all_that_meet_are_found_and_no_other(
    read: list[tuple[int, int]], added: list[tuple[int, int]], wanted: tuple[int, int]
) -> None:
    every = [Span(first, last, id) for id, (first, last) in enumerate([*read, *added])]
    spans = Spans(every[: len(read)])
    for span in every[len(read) :]:
        spans.add(span)
    first, last = wanted
    meeting = {span.id for span in every if span.first <= last and first <= span.last}
    assert {*spans.meeting(first, last)} == meeting
