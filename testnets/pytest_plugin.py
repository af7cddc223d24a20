"""The pytest face of labs: the fixtures `net`, `net_factory` and `net_lab`, and two options.

pytest loads this module in each run where pynet is installed, used or not: so it imports nothing
but pytest, and what a lab needs only where a test asks for one. Every name that pytest knows of
it begins with `net` or `pynet`, but for underscores and dashes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from .marks import NEEDS, TOPOLOGY, Scope

if TYPE_CHECKING:
    from .fixtures import Labs, Source
    from .lab import Lab
    from .net import Net

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
        help="leave the labs of tests standing: `pynet testnet ls` and `shell` find them",
    )
    group.addoption(
        "--net-capture",
        metavar="DIR",
        type=Path,
        dest="pynet_capture",
        help="write what passes in a test's lab to DIR, a pcap file for each link and container",
    )


def pytest_configure(config: pytest.Config) -> None:
    for line in _MARKERS:
        config.addinivalue_line("markers", line)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    if config.getoption("pynet_keep"):
        from .fixtures import standing

        terminalreporter.section("labs that stand")
        terminalreporter.line(standing())


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers(NEEDS):
        from .fixtures import skip_where_lacking

        skip_where_lacking(*mark.args)


@pytest.fixture
def net(request: pytest.FixtureRequest) -> Iterator[Net]:
    """The test's lab, as its mark `topology` says."""
    from .fixtures import lent

    with lent(request) as net:
        yield net


@pytest.fixture
def net_factory(
    request: pytest.FixtureRequest, _pynet_labs_of_function: Labs
) -> Callable[[Source], Net]:
    """Makes labs that end with the test; takes what the mark `topology` does."""
    from .fixtures import found

    return lambda source: _pynet_labs_of_function.new(found(source, request.path.parent))


@pytest.fixture
def net_lab() -> Iterator[Lab]:
    """An empty lab, for what no topology can say: hosts and containers are made by hand."""
    from .lab import Lab

    with Lab() as lab:
        yield lab


def _labs_of(scope: Scope) -> Callable[..., Iterator[Labs]]:
    @pytest.fixture(scope=scope, name=f"_pynet_labs_of_{scope}")
    def labs(request: pytest.FixtureRequest) -> Iterator[Labs]:
        from .fixtures import Labs

        labs = Labs(request)
        yield labs
        labs.close()

    return labs


_of_function = _labs_of("function")
_of_class = _labs_of("class")
_of_module = _labs_of("module")
_of_session = _labs_of("session")
