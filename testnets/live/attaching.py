"""Containers, connected by the real plugin executables, as a container runtime does it.

Each host's containers are the business of one worker or two, forks of this process: they make
the namespaces while links and daemons are on their way, and run the plugins once both are there.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...kernel import namespaces
from ..lab import syscalls
from ..lab.forked import LabError
from ..lab.host import Container, Host, plain_environment
from ..lab.lab import Lab
from ..lab.networks import bind_new_network, unbind_network
from ..spec.topology import Topology
from .installed import BIN_DIR
from .network_config import CNI_VERSION, calls, conflist, interface
from .runtime import PluginFailed, Runtime, execute
from .services import CONFIGURATION_DIR, root_of

Told = Callable[[int], object]
"""Is called with how many containers are done, each time there are more."""

_WORKERS = 2


@dataclass(frozen=True)
class Connection:
    """One interface of a container: the plugins as they were called, and what came of it."""

    network: str
    interface: str
    plugins: tuple[dict[str, Any], ...]
    result: dict[str, Any] = field(default_factory=dict)

    def runtime(self) -> Runtime:
        return Runtime(self.network, self.plugins, (BIN_DIR,), CNI_VERSION)


@dataclass(frozen=True)
class Attached:
    """A container of a lab, and how it is connected."""

    container: Container
    connections: tuple[Connection, ...]

    @property
    def interfaces(self) -> dict[str, tuple[str, ...]]:
        """The addresses that the plugins have told of."""
        return {
            connection.interface: tuple(ip["address"] for ip in connection.result.get("ips", ()))
            for connection in self.connections
        }


def planned(topology: Topology, name: str, host: Host) -> Attached:
    """What is to be done for a container of the topology."""
    wanted = topology.containers[name]
    connections = tuple(
        Connection(
            network=membership.network,
            interface=interface(position),
            plugins=tuple(calls(topology.networks, wanted, position)),
        )
        for position, membership in enumerate(wanted.networks)
    )
    return Attached(Container(host, name), connections)


def configure(host: Host, networks: Sequence[str], topology: Topology) -> None:
    """`NAME.conflist` in /etc/cni/net.d of the host, for each of these networks."""
    directory = root_of(host) / CONFIGURATION_DIR.lstrip("/")
    directory.mkdir(parents=True, exist_ok=True)
    for name in networks:
        text = json.dumps(conflist(name, topology.networks[name]), indent=2)
        (directory / f"{name}.conflist").write_text(text + "\n")


class Workers:
    """The forks that attach `wanted`; as a context manager it leaves none behind."""

    def __init__(self, wanted: Sequence[Attached]) -> None:
        self._told, done = os.pipe()
        waiting, self._go = os.pipe()
        self._jobs = [jobs for jobs in _shares(wanted) if jobs]
        self._forks = [
            jobs[0].container.host.fork_call(_attach_all, jobs, waiting, done)
            for jobs in self._jobs
        ]
        os.close(done)
        os.close(waiting)

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        for fork in self._forks:
            with fork:
                pass
        os.close(self._told)
        os.close(self._go)

    def attach(self, told: Told) -> list[Attached]:
        """Run the plugins now; what came of it. Raises `LabError` for the first that failed."""
        os.write(self._go, bytes(len(self._forks)))
        finished = 0
        while more := os.read(self._told, 4096):
            finished += len(more)
            told(finished)
        found: list[Attached] = []
        failures: list[Exception] = []
        while self._forks:
            jobs, fork = self._jobs.pop(0), self._forks.pop(0)
            try:
                results = fork.wait()
            except Exception as error:
                failures.append(error)
                continue
            found += [_with_results(*pair) for pair in zip(jobs, results, strict=True)]
        if failures:
            raise failures[0]
        return found


def _shares(wanted: Sequence[Attached]) -> Iterator[list[Attached]]:
    """What each worker gets: a host's containers, and where there is one host, half of them."""
    by_host: dict[str, list[Attached]] = {}
    for attached in wanted:
        by_host.setdefault(attached.container.host.name, []).append(attached)
    workers = _WORKERS if len(by_host) == 1 else 1
    for mine in by_host.values():
        yield from (mine[first::workers] for first in range(workers))


def _with_results(attached: Attached, results: Sequence[dict[str, Any]]) -> Attached:
    connections = tuple(
        Connection(each.network, each.interface, each.plugins, result)
        for each, result in zip(attached.connections, results, strict=True)
    )
    return Attached(attached.container, connections)


def _attach_all(jobs: Sequence[Attached], go: int, done: int) -> list[list[dict[str, Any]]]:
    home = namespaces.own()
    for job in jobs:
        bind_new_network(job.container.path)
        syscalls.loopback_up()
    syscalls.setns(home, syscalls.CLONE_NEWNET)
    os.read(go, 1)
    results = []
    for job in jobs:
        results.append([_add(job.container, connection) for connection in job.connections])
        os.write(done, b".")
    # Before the results go the other way: who hears of the progress waits for its end first.
    os.close(done)
    return results


def _add(container: Container, connection: Connection) -> dict[str, Any]:
    try:
        return connection.runtime().add(container, connection.interface)
    except PluginFailed as error:
        raise LabError(
            f"container {container.name!r} could not be connected to network "
            f"{connection.network!r}: {error}"
        ) from None


# --- and away again -----------------------------------------------------------------------------


def detach_all(gone: Sequence[Attached]) -> None:
    """DEL of each, the last network first, once its processes are killed; then its namespace goes.

    Raises `LabError` after all was tried.
    """
    by_host: dict[str, list[Attached]] = {}
    for attached in gone:
        _kill_inside(attached.container)
        by_host.setdefault(attached.container.host.name, []).append(attached)
    forks = [jobs[0].container.host.fork_call(_detach, jobs) for jobs in by_host.values()]
    failures = [failure for fork in forks for failure in fork.wait()]
    if failures:
        raise LabError("; ".join(failures))


def _kill_inside(container: Container) -> None:
    network = (root_of(container.host) / container.path.lstrip("/")).stat()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if os.path.samestat((process / "ns/net").stat(), network):
                os.kill(int(process.name), signal.SIGKILL)


def _detach(jobs: Sequence[Attached]) -> list[str]:
    failures = []
    for job in jobs:
        for connection in reversed(job.connections):
            try:
                connection.runtime().delete(job.container, connection.result, connection.interface)
            except LabError as error:
                failures.append(f"{job.container.name}: {error}")
        unbind_network(job.container.path)
    return failures


def forget_network(host: Host, name: str, topology: Topology, *, was_used: bool) -> None:
    """A network without containers goes: GC of its plugins, which then take their bridge away."""
    if was_used:
        host.call(_collect, conflist(name, topology.networks[name]))
    (root_of(host) / CONFIGURATION_DIR.lstrip("/") / f"{name}.conflist").unlink(missing_ok=True)


def _collect(network: Mapping[str, Any]) -> None:
    """GC as CNI 1.1.0 has it: of all attachments none is valid any more."""
    environ = {**plain_environment(), "CNI_COMMAND": "GC", "CNI_PATH": BIN_DIR}
    for plugin in network["plugins"]:
        config = {
            "cniVersion": CNI_VERSION,
            "name": network["name"],
            "cni.dev/valid-attachments": [],
            **plugin,
        }
        binary = f"{BIN_DIR}/{plugin['type']}"
        status, stdout, stderr = execute(binary, json.dumps(config).encode(), environ)
        if status:
            raise PluginFailed(plugin["type"], "GC", status, stdout, stderr)


def attached_again(lab: Lab, state: Mapping[str, Any]) -> dict[str, Attached]:
    """What `state_of` wrote down."""
    return {
        name: Attached(
            Container(lab.hosts[told["host"]], name),
            tuple(
                Connection(**{**each, "plugins": tuple(each["plugins"])})
                for each in told["connections"]
            ),
        )
        for name, told in state.items()
    }


def state_of(attached: Mapping[str, Attached]) -> dict[str, Any]:
    """Plain values, for JSON."""
    return {
        name: {
            "host": each.container.host.name,
            "connections": [vars(connection) for connection in each.connections],
        }
        for name, each in attached.items()
    }
