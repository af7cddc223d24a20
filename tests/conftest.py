"""A fresh lab and a fresh fake host for each test that asks for one, and who may run what."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pynet.testnets.lab import Host, Lab

NOBODY = 65534
_MARKS = {
    "second_user": "becomes another user, or gives a file to one",
    "real_root": "runs what refuses to work for root of a user namespace",
}


def pytest_configure(config: pytest.Config) -> None:
    for name, meaning in _MARKS.items():
        config.addinivalue_line("markers", f"{name}: {meaning}; needs root for that")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if _another_user_exists():
        return
    for item in items:
        for name, meaning in _MARKS.items():
            if item.get_closest_marker(name):
                item.add_marker(pytest.mark.skip(f"{meaning}: run scripts/test as root"))


def _another_user_exists() -> bool:
    """Whether this process is root, and of more than a user namespace with one id."""
    spans = [line.split() for line in Path("/proc/self/uid_map").read_text().splitlines()]
    mapped = any(int(first) <= NOBODY < int(first) + int(count) for first, _, count in spans)
    return os.geteuid() == 0 and mapped


@pytest.fixture
def lab(net_lab: Lab) -> Lab:
    return net_lab


@pytest.fixture
def host(lab: Lab) -> Host:
    return lab.host("h1")
