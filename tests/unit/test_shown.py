"""Ids and times as messages have them."""

from __future__ import annotations

from pynet.model.shown import minute, short_id, shortened

ID = "52ba91c04e7f" + "0123456789abc" * 4


def test_a_runtimes_id_is_shown_by_twelve_digits_and_any_other_whole() -> None:
    assert short_id(ID) == "52ba91c04e7f"
    for other in ("c1", ID[:63], ID + "0", "cnitool-77383ca0a0715733ca6f", "g" * 64):
        assert short_id(other) == other
    assert shortened(f"{ID} and {ID}, not {ID}0") == f"{ID[:12]} and {ID[:12]}, not {ID}0"


def test_a_time_is_a_date() -> None:
    assert len(minute(1_795_883_993)) == len("2026-11-28 14:02")
