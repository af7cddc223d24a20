"""A fresh lab and a fresh fake host for each test that asks for one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pynet.testnets.lab import Host, Lab


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab() as lab:
        yield lab


@pytest.fixture
def host(lab: Lab) -> Host:
    return lab.host("h1")
