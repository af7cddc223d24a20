"""A fresh lab and a fresh fake host for each test that asks for one, and who may run what."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

from pynet.daemon.preload import preload
from pynet.testnets.lab.lab import Host, Lab

# What stands beside the tests asserts as they do, and is to say as much where it fails.
pytest.register_assert_rewrite(
    *(
        path.stem
        for folder in ("namespaces", "unit")
        for path in Path(__file__).parent.glob(f"{folder}/*.py")
        if not path.stem.startswith(("test_", "conftest"))
    )
)
# No test asserts a time: on a busy machine every example is late.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

NOBODY = 65534
_MARKS = {
    "second_user": "becomes another user, or gives a file to one",
    "real_root": "runs what refuses to work for root of a user namespace",
}
_KERNELS = {
    "vm": "is run by scripts/vm, too: what it is about differs from kernel to kernel",
    "linux_6_12": "needs Debian 13's kernel, of those that scripts/vm boots",
    "long": "takes minutes in an emulated machine: scripts/vm --all",
}
_LANES = {"every_point": "goes through a call point by point, and takes long: scripts/matrix"}


def pytest_configure(config: pytest.Config) -> None:
    for name, meaning in _MARKS.items():
        config.addinivalue_line("markers", f"{name}: {meaning}; needs root for that")
    for name, meaning in (_KERNELS | _LANES).items():
        config.addinivalue_line("markers", f"{name}: {meaning}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # The longest first: begun last, one would run alone.
    items.sort(key=lambda item: item.get_closest_marker("timeout") is None)
    if _another_user_exists():
        return
    for item in items:
        for name, meaning in _MARKS.items():
            if item.get_closest_marker(name):
                item.add_marker(pytest.mark.skip(f"{meaning}: run scripts/test as root"))


def pytest_collection_finish() -> None:
    """What is forked from here finds all imported, and its garbage collector all of that frozen."""
    preload()


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
