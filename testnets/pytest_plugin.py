"""The pytest face of labs: the fixtures `net` and `net_factory`, and two options.

pytest loads this module in each run where pynet is installed, used or not: so it imports nothing
but pytest, and what a lab needs only where a test asks for one. Every name that pytest knows of
it begins with `net` or `pynet`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .marks import NEEDS, TOPOLOGY

_MARKERS = (
    f"{TOPOLOGY}(source, scope): the lab of a test; made by pynet.testnets.topology",
    f"{NEEDS}(*features): skipped where the kernel lacks one; made by pynet.testnets.needs",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("pynet", "labs (pynet)")
    group.addoption(
        "--net-keep",
        action="store_true",
        dest="pynet_keep",
        help="leave the labs of failed tests standing, and say how to look into them",
    )
    group.addoption(
        "--net-capture",
        metavar="DIR",
        dest="pynet_capture",
        help="write all that passes in a test's lab to DIR, one pcap file a test",
    )


def pytest_configure(config: pytest.Config) -> None:
    for line in _MARKERS:
        config.addinivalue_line("markers", line)


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers(NEEDS):
        _skip_where_lacking(mark.args)


def _skip_where_lacking(features: tuple[str, ...]) -> None:
    from .features import lacking

    for feature in features:
        if reason := lacking(feature):
            pytest.skip(f"{feature}: {reason}")
