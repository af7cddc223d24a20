"""How a test gets its lab: the topology that its mark names, brought up, and ended or kept."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import pytest

from . import gallery
from .features import lacking
from .marks import TOPOLOGY
from .naming import resolve_names
from .net import Net
from .spec.reading import TopologyError, read
from .spec.topology import Topology
from .standing import Registry, described
from .testnet import Testnet

if TYPE_CHECKING:
    from .spec.builder import Topo

Source: TypeAlias = "str | Path | Topology | Topo"


class Labs:
    """The labs of one scope, which end together.

    With --net-keep they go on standing, and `pynet testnet` knows them by the scope's name.
    """

    def __init__(self, request: pytest.FixtureRequest) -> None:
        self._name = _plain(request.node.name)[:48] or "session"
        self._keep = request.config.getoption("pynet_keep")
        self._files: pytest.TempPathFactory = request.getfixturevalue("tmp_path_factory")
        self._ending = ExitStack()
        self._shared: list[tuple[Topology, Net]] = []

    def close(self) -> None:
        """End them, the last one first."""
        self._ending.close()

    def shared(self, topology: Topology) -> Net:
        """The scope's lab of this topology, made for the first who asks."""
        for known, net in self._shared:
            if known is topology:
                return net
        self._shared.append((topology, self.new(topology)))
        return self._shared[-1][1]

    def new(self, topology: Topology) -> Net:
        """Another lab of it. Skips the test where the kernel lacks what the topology needs."""
        skip_where_lacking(*topology.needs)
        testnet = self._ending.enter_context(Testnet.up(topology))
        if self._keep:
            self._ending.callback(_keep, testnet, f"{self._name}-{testnet.lab.pid}")
        return Net(testnet, partial(self._files.mktemp, "net"))


@contextmanager
def lent(request: pytest.FixtureRequest) -> Iterator[Net]:
    """The lab of the test that asks, as its mark says; recorded where the run is to record."""
    mark = request.node.get_closest_marker(TOPOLOGY)
    if mark is None:
        pytest.fail("`net` has no topology: mark the test with @topology(FILE)", pytrace=False)
    labs: Labs = request.getfixturevalue(f"_pynet_labs_of_{mark.kwargs['scope']}")
    net = labs.shared(found(mark.args[0], request.path.parent))
    folder: Path | None = request.config.getoption("pynet_capture")
    with ExitStack() as recording:
        if folder is not None:
            _record(net, folder / _plain(request.node.nodeid), recording)
        yield net


def found(source: Source, folder: Path) -> Topology:
    """The topology that is meant by `source` in a test of `folder`; no such one fails the test."""
    if isinstance(source, Topology):
        return source
    try:
        if not isinstance(source, str | Path):
            return _built(source)
        return _read(_path(source, folder))
    except (TopologyError, OSError) as error:
        pytest.fail(str(error), pytrace=False)


def skip_where_lacking(*features: str) -> None:
    """Skip the test that runs where the kernel lacks one of them, with the reason."""
    for feature in features:
        if reason := lacking(feature):
            pytest.skip(f"{feature}: {reason}")


def standing() -> str:
    """Which labs stand, and how to get into one."""
    names = [lab.name for lab in Registry()]
    if not names:
        return "none"
    return f"{', '.join(names)}: `pynet testnet shell {names[0]}`, `pynet testnet down --all`"


def _keep(testnet: Testnet, name: str) -> None:
    """Leave it to the commands of `pynet testnet`, which call it by that name."""
    resolve_names(testnet)
    testnet.lab.stay()
    Registry().record(described(testnet, name, "", time.time()))


def _record(net: Net, folder: Path, recording: ExitStack) -> None:
    """A file for each point, until `recording` is closed."""
    folder.mkdir(parents=True, exist_ok=True)
    for point in _points(net):
        recording.enter_context(net.capture(point, folder / f"{point.replace(':', '-')}.pcap"))


def _points(net: Net) -> Iterator[str]:
    """Where all that passes can be seen: the first ends of links, and what containers have."""
    nodes = {node.name: node.kind for node in net}
    for link in net.topology.links:
        yield from [str(end) for end in link.ends if end.node in nodes][:1]
    for name, kind in nodes.items():
        if kind == "container":
            yield from (f"{name}:{interface}" for interface in net[name].place.interfaces)


def _plain(name: str) -> str:
    """A name that does for a file or a lab."""
    return re.sub(r"[^A-Za-z0-9_.]+", "-", name).strip("-.")


def _path(source: str | Path, folder: Path) -> Path:
    path = folder / source
    return path if path.exists() else gallery.file_of(str(source)) or path


@cache
def _read(path: Path) -> Topology:
    """Once in a run: many tests have a lab of one file."""
    return read(path)


@cache
def _built(topology: Topo) -> Topology:
    """Once, so that those who share a lab of it find it."""
    return topology.build()
