"""A stock kernel has all that a topology may ask for."""

from __future__ import annotations

from pynet.testnets.lab.features import FEATURES, lacking


def test_nothing_is_lacking() -> None:
    assert {feature: lacking(feature) for feature in FEATURES if lacking(feature)} == {}
