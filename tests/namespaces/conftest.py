"""What tests start from: plugins as executables, a container, two bare namespaces."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from callers import Caller, make_launcher
from dhcp_site import NETWORKS, Site
from dhcp_site import site as site
from dhcp_site import unwired as unwired
from drive import BRIDGE
from evidence import but_idle_bridge, but_remembered, nothing_left, rest
from executables import Executables, SlowIpam, first_life
from machine import Machine
from pair import Pair, fresh_pair

from pynet.kernel.world import KernelWorld
from pynet.testnets.lab.lab import Host, Lab


@pytest.fixture(scope="session")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Executables:
    return Executables.install(tmp_path_factory.mktemp("plugins"))


@pytest.fixture
def baseline(host: Host) -> set[str]:
    return first_life(host, BRIDGE)


@pytest.fixture
def c1(host: Host, baseline: set[str]) -> Iterator[None]:
    """A container of that name; at the end nothing is left of whatever was attached."""
    host.container("c1")
    yield
    assert but_idle_bridge(but_remembered(nothing_left(baseline, host.call(rest)))) == []


@pytest.fixture
def machine(host: Host) -> Machine:
    return Machine(host)


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


@pytest.fixture(scope="module", params=["c", "python"])
def executable(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    yield make_launcher(request.param, tmp_path_factory.mktemp("launcher") / "bin")


@pytest.fixture
def caller(executable: Path, tmp_path: Path) -> Caller:
    return Caller(executable, tmp_path)


@pytest.fixture(params=NETWORKS)
def network(request: pytest.FixtureRequest, unwired: Site) -> dict[str, Any]:
    """Of a plugin that a server is reached behind."""
    unwired.wire(bridge=request.param == "bridge")
    return NETWORKS[request.param]
