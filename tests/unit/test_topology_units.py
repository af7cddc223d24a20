"""Rates, delays and losses are read as they were written; wrong ones say what to write."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pynet.testnets.spec import units


@given(st.integers(min_value=1, max_value=10**13))
def test_a_rate_is_read_as_it_was_written(rate: int) -> None:
    assert units.parse_rate(units.rate_text(rate)) == rate
    assert units.parse_rate(rate) == rate


@given(st.floats(min_value=0, max_value=1e6))
def test_a_delay_is_read_as_it_was_written(delay: float) -> None:
    assert units.parse_delay(units.delay_text(delay)) == delay
    assert units.parse_delay(delay) == delay


@given(st.floats(min_value=0, max_value=1))
def test_a_loss_is_read_as_it_was_written(loss: float) -> None:
    assert units.parse_loss(units.loss_text(loss)) == loss
    assert units.parse_loss(loss) == loss


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (units.parse_rate, "100mbit", 100_000_000),
        (units.parse_rate, "1.5 Gbit", 1_500_000_000),
        (units.parse_rate, "8bit", 8),
        (units.parse_delay, "20ms", 0.02),
        (units.parse_delay, "1.5s", 1.5),
        (units.parse_delay, "50us", 0.00005),
        (units.parse_loss, "5%", 0.05),
        (units.parse_loss, "0.1%", 0.001),
        (units.parse_loss, "100%", 1.0),
    ],
)
def test_text(parse: Callable[[object], float], text: str, value: float) -> None:
    assert parse(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [("100mbit", 100_000_000), ("1500kbit", 1_500_000), ("2gbit", 2 * 10**9), ("7bit", 7)],
)
def test_a_rate_is_written_in_the_largest_unit_that_fits(text: str, value: int) -> None:
    assert units.rate_text(value) == text


def test_delays_and_losses_are_written_as_people_do() -> None:
    assert units.delay_text(0.02) == "20ms"
    assert units.delay_text(5.0) == "5s"
    assert units.loss_text(0.05) == "5%"
    assert units.loss_text(1.0) == "100%"


@pytest.mark.parametrize(
    ("parse", "value", "advice"),
    [
        (units.parse_rate, "10mb", "unknown unit (bit, kbit, mbit, gbit): write one such as "),
        (units.parse_rate, "10", "lacks its unit"),
        (units.parse_rate, "fast", '"10mbit"'),
        (units.parse_rate, 0, "whole number of bits"),
        (units.parse_rate, "0.5bit", "whole number of bits"),
        (units.parse_rate, True, '"10mbit"'),
        (units.parse_delay, "20m", '(us, ms, s): write one such as "20ms"'),
        (units.parse_delay, -1, '"20ms"'),
        (units.parse_delay, float("nan"), '"20ms"'),
        (units.parse_delay, float("inf"), '"20ms"'),
        (units.parse_delay, None, '"20ms"'),
        (units.parse_loss, "5", '"5%"'),
        (units.parse_loss, 5, '"0%" to "100%"'),
        (units.parse_loss, "101%", '"0%" to "100%"'),
        (units.parse_loss, [1], '"5%"'),
    ],
)
def test_what_is_none_says_what_to_write(
    parse: Callable[[object], float], value: object, advice: str
) -> None:
    with pytest.raises(ValueError) as caught:
        parse(value)
    assert advice in str(caught.value)
