"""What tests start from: plugins as executables, a container, two bare namespaces."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from drive import BRIDGE
from evidence import nothing_left, rest
from executables import Executables, SlowIpam, first_life
from pair import Pair, fresh_pair

from pynet.kernel.world import KernelWorld
from pynet.testnets.lab import Host, Lab


@pytest.fixture(scope="session")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Executables:
    return Executables.install(tmp_path_factory.mktemp("plugins"))


@pytest.fixture
def baseline(host: Host, plugins: Executables) -> set[str]:
    return first_life(host, plugins, BRIDGE)


@pytest.fixture
def c1(host: Host, baseline: set[str]) -> Iterator[None]:
    """A container of that name; at the end nothing is left of whatever was attached."""
    host.container("c1")
    yield
    assert nothing_left(baseline, host.call(rest)) == []


@pytest.fixture
def slow(tmp_path: Path) -> SlowIpam:
    return SlowIpam(tmp_path)


@pytest.fixture
def pair(lab: Lab) -> Iterator[Pair]:
    with fresh_pair(lab) as made:
        yield made


@pytest.fixture
def world(pair: Pair) -> Iterator[KernelWorld]:
    with pair.world() as made:
        yield made
