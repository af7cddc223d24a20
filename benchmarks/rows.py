"""What is measured: one function a group of rows, each in a lab of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from chains import DUAL, V4, WHOLE, Chain, Result, add_all, delete_all, fill, two_containers
from crowd import crowd
from inside import kernel_work
from labs import labs
from leased import leased
from mains import mains
from measure import Row, alternate, by_side, in_turns, medians, milliseconds, quotient
from ports import connections, elements, ports
from sides import Side, both, bridge, pynet, reference
from sizes import sizes

from pynet.testnets.lab.lab import Lab
from pynet.testnets.live.installed import PYNET
from pynet.testnets.live.runtime import Runtime

LEASES = 20_000
POOL = "10.64.0.0/15"


@dataclass(frozen=True)
class Size:
    """How much to measure."""

    rounds: int = 15
    crowd: int = 980
    burst: int = 100
    memory: int = 1000


WARM: dict[Chain, dict[str, str]] = {
    DUAL: {"ADD": "1/6", "DEL": "1/10"},
    V4: {},
    WHOLE: {"ADD": "1/10", "DEL": "1/20", "first ADD": "1/10", "first DEL": "1/25"},
}
"""What is measured with a warm daemon, and the share of the reference's time it may take."""


def warm(size: Size) -> Iterator[Row]:
    """ADD and DEL of each chain on an empty host."""
    with Lab() as lab:
        sides = both(lab)
        for chain, budgets in WARM.items():
            takers = {side.name: partial(two_containers, side, chain) for side in sides}
            samples = in_turns(size.rounds, takers)
            for what in ("ADD", "DEL", "first ADD", "first DEL"):
                yield by_side(f"{chain.what}: {what}", samples, what, budgets.get(what, ""))


def burst(size: Size) -> Iterator[Row]:
    """Many containers at once: wall time."""
    walls: dict[str, dict[str, float]] = {"ADD": {}, "DEL": {}}
    budgets = {"ADD": "1/12", "DEL": "1/20"}
    with Lab() as lab:
        for side in both(lab):
            containers = [side.container() for _ in range(size.burst)]
            added = side.host.call(_timed_result, partial(add_all, side, containers))
            deleting = partial(delete_all, side, containers, added[1])
            walls["ADD"][side.name] = added[0] / 1000
            walls["DEL"][side.name] = side.host.call(milliseconds, deleting) / 1000
    for command, values in walls.items():
        ratio = quotient(values, "pynet", "reference")
        what = f"{size.burst} containers, 8 at a time: {command}"
        yield Row(what, "s", values, ratio, "reference", budgets[command])


def _timed_result(work: Callable[[], list[Result]]) -> tuple[float, list[Result]]:
    results: list[Result] = []
    return milliseconds(lambda: results.extend(work())), results


def addresses(size: Size) -> Iterator[Row]:
    """host-local alone, as an executable, with none and with 20,000 leases held."""
    takers: dict[str, Callable[[], Mapping[str, float]]] = {}
    with Lab() as lab:
        for side in both(lab):
            for name, leases in (("few", 0), ("many", LEASES)):
                _hold(side, name, leases)
                takers[f"{side.name} {name}"] = partial(_lease, side, name)
        samples = alternate(size.rounds, takers)
    values = medians(samples)
    for side_name in ("pynet", "reference"):
        ratio = quotient(values, f"{side_name} many", f"{side_name} few")
        if ratio is not None:
            mine = {key: value for key, value in values.items() if key.startswith(side_name)}
            budget = "1.2" if side_name == "pynet" else ""
            what = f"{side_name}: address beside {LEASES} leases"
            yield Row(what, "ms", mine, ratio, "its own empty pool", budget, samples)


def _leasing(side: Side, name: str) -> Runtime:
    """host-local alone, called as somebody's main plugin would call it."""
    ipam = {"type": "host-local", "ranges": [[{"subnet": POOL}]], "dataDir": "/var/lib/cni/bench"}
    return side.runtime({"type": "host-local", "ipam": ipam}, name=name)


def _hold(side: Side, name: str, leases: int) -> None:
    """Leases in the reference's own format, which pynet takes over on first use."""

    def write() -> None:
        directory = Path("/var/lib/cni/bench") / name
        directory.mkdir(parents=True)
        for count in range(leases):
            address = f"10.{64 + count // 65536}.{count // 256 % 256}.{count % 256}"
            (directory / address).write_text(f"held{count}\r\neth0")
        if leases:
            (directory / "last_reserved_ip.0").write_text(address)

    side.host.call(write)


def _lease(side: Side, name: str) -> dict[str, float]:
    container = side.container()
    runtime = _leasing(side, name)
    taken = side.host.call(milliseconds, lambda: runtime.add(container))
    side.host.call(runtime.delete, container)
    side.host.delete_container(container)
    return {"": taken}


def one_shot(size: Size) -> Iterator[Row]:
    """A bridge ADD without a daemon: Python's start is in it."""
    with Lab() as lab:
        found = [pynet(lab, daemon=False), reference(lab)]
        sides = [side for side in found if side is not None]
        takers = {side.name: partial(_bridge_alone, side) for side in sides}
        samples = alternate(max(3, size.rounds // 3), takers)
    yield by_side("one-shot bridge ADD, no daemon", samples, "ADD", "6")


def _bridge_alone(side: Side) -> dict[str, float]:
    container = side.container()
    network = side.runtime(bridge())
    taken = side.host.call(milliseconds, lambda: network.add(container))
    side.host.call(network.delete, container)
    side.host.delete_container(container)
    return {"ADD": taken}


def round_trip(size: Size) -> Iterator[Row]:
    """What the launcher and the socket cost: the least a request can ask, against /bin/true."""
    question = json.dumps({"cniVersion": "1.0.0"}).encode()
    with Lab() as lab:
        side = pynet(lab)
        environ = {"PYNET_DAEMON": "require", "CNI_COMMAND": "VERSION", "CNI_PATH": side.directory}
        takers = {
            "launcher": lambda: _starts(side, f"{side.directory}/loopback", environ, question),
            "/bin/true": lambda: _starts(side, shutil.which("true") or "/bin/true", {}, b""),
        }
        samples = alternate(size.rounds, takers)
    values = medians(samples)
    more = values["launcher"] - values["/bin/true"]
    values["more"] = more
    yield Row("launcher and daemon, round trip (VERSION)", "ms", values, more, "ms more", "0.5")


def _starts(side: Side, path: str, environ: Mapping[str, str], stdin: bytes) -> dict[str, float]:
    """Milliseconds for one start, over forty of them."""
    times = 40

    def work() -> None:
        for _ in range(times):
            subprocess.run([path], input=stdin, env=dict(environ), capture_output=True, check=True)

    return {"": side.host.call(milliseconds, work) / times}


def memory(size: Size) -> Iterator[Row]:
    """The daemon beside many attachments: resident memory, and CPU time while nothing happens."""
    with Lab() as lab:
        side = pynet(lab)
        empty = side.host.call(_resident)
        fill(side, size.memory)
        full = side.host.call(_resident)
        time.sleep(2)
        before = side.host.call(_cpu_milliseconds)
        time.sleep(5)
        idle = side.host.call(_cpu_milliseconds) - before
    values = {"empty": empty, f"{size.memory} attachments": full}
    yield Row("daemon: resident memory", "MB", values, full, "MB", "80")
    yield Row("daemon: CPU time in 5 s of idleness", "ms", {"idle": idle}, idle, "ms", "0")


def daemon_pid() -> int:
    """The daemon, seen from inside the lab: the one that listens."""
    for path in Path("/proc").glob("[0-9]*"):
        words = (path / "cmdline").read_bytes().split(b"\0")
        if b"daemon" in words or b"pynet.daemon" in words:
            return int(path.name)
    raise LookupError("no daemon runs")


def _resident() -> float:
    status = Path(f"/proc/{daemon_pid()}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1000


def _cpu_milliseconds() -> float:
    fields = Path(f"/proc/{daemon_pid()}/stat").read_text().rpartition(")")[2].split()
    return 1000 * (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def command_line(size: Size) -> Iterator[Row]:
    """`pynet --version`, and `pynet inspect` of a hundred containers."""
    with Lab() as lab:
        side = pynet(lab)
        fill(side, size.burst)

        def taker(*words: str) -> Callable[[], Mapping[str, float]]:
            argv = [*PYNET, *words]
            run = lambda: subprocess.run(argv, capture_output=True, check=True)  # noqa: E731
            return lambda: {"": side.host.call(milliseconds, run)}

        takers = {"version": taker("--version"), "inspect": taker("inspect")}
        samples = alternate(size.rounds, takers)
    values = medians(samples)
    for key, what, budget in (
        ("version", "pynet --version", "80"),
        ("inspect", f"pynet inspect of {size.burst} containers", "400"),
    ):
        yield Row(what, "ms", {"pynet": values[key]}, values[key], "ms", budget)


GROUPS: dict[str, Callable[[Size], Iterator[Row]]] = {
    "warm": warm,
    "mains": lambda size: mains(size.rounds),
    "leased": lambda size: leased(size.rounds),
    "crowd": lambda size: crowd(size.rounds, size.crowd),
    "burst": burst,
    "addresses": addresses,
    "one-shot": one_shot,
    "round-trip": round_trip,
    "inside": lambda size: kernel_work(size.rounds),
    "ports": lambda size: ports(size.rounds),
    "sizes": lambda size: sizes(size.rounds),
    "elements": lambda size: elements(size.rounds),
    "connections": lambda size: connections(size.rounds),
    "memory": memory,
    "command-line": command_line,
    "labs": lambda size: labs(size.rounds),
}
