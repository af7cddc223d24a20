"""What a daemon may be at: bounds that fit into the descriptors there are, and whose turn it is."""

from __future__ import annotations

import threading

import pytest

from pynet.daemon import turns
from pynet.daemon.limits import Limits, limits
from pynet.daemon.turns import Turns


@pytest.mark.parametrize("descriptors", [0, 20, 64, 100, 256, 1024, 4096, 20_000, 1 << 16])
def test_bounds_fit_into_the_descriptors_there_are(descriptors: int) -> None:
    found = limits(descriptors, 20)
    assert 1 <= found.turns <= found.conversations <= 512
    if descriptors >= 256:
        taken = found.conversations * 10 + found.turns * 18 + found.hosts * 10
        assert 20 + taken <= descriptors
    if descriptors >= 20_000:
        assert found == Limits()


def test_one_that_is_late_gets_no_turn_and_takes_none() -> None:
    work = Turns(2)
    first, second = work.take(), work.take()
    assert first is not None and second is not None
    assert work.take() is None
    assert work.take(0.01) is None
    work.end(first)
    assert work.take() is not None
    assert work.take() is None


def test_one_that_waits_is_told_when_another_ends() -> None:
    work = Turns(1)
    first = work.take()
    assert first is not None
    got: list[int | None] = []
    waiting = threading.Thread(target=lambda: got.append(work.take(30)))
    waiting.start()
    work.end(first)
    waiting.join(30)
    assert got != [None]


def test_nobody_waits_for_those_that_are_stuck(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(turns, "monotonic", lambda: now[0])
    work = Turns(1)
    first = work.take()
    now[0] += turns.STUCK
    assert work.take(1e9) is None
    assert first is not None
    work.end(first)
    assert work.take() is not None


def test_those_that_take_long_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(turns, "monotonic", lambda: now[0])
    work = Turns(100)
    for _ in range(turns.AT_ONCE):
        assert work.take() is not None
    assert work.take() is None
    now[0] += turns.LONG
    for _ in range(turns.AT_ONCE):
        assert work.take() is not None
    assert work.take() is None
