"""Testnets: how fast they come and go, beside Mininet where it starts."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from measure import Row, alternate, medians, milliseconds, quotient

from pynet.testnets.checks.checking import run_checks
from pynet.testnets.lab.lab import CommandFailed, Lab, LabError
from pynet.testnets.live.testnet import Testnet
from pynet.testnets.spec.builder import Topo
from pynet.testnets.spec.topology import Topology

HOSTS = 10
CONTAINERS = 100
TESTS = 100

# Debian's python3 has Mininet's modules, ours need not.
_PYTHON = "/usr/bin/python3"
_MININET = """
import json, sys, time
from mininet.log import setLogLevel
from mininet.net import Mininet
from mininet.nodelib import LinuxBridge
from mininet.topo import SingleSwitchTopo
setLogLevel("critical")
begin = time.perf_counter()
net = Mininet(topo=SingleSwitchTopo(int(sys.argv[1])), switch=LinuxBridge, controller=None)
net.start()
up = time.perf_counter()
net.pingAll(timeout=1)
pinged = time.perf_counter()
net.stop()
gone = time.perf_counter()
times = {"up": up - begin, "mesh": pinged - up, "gone": gone - pinged}
print(json.dumps({name: 1000 * seconds for name, seconds in times.items()}))
"""

_TEST_FILE = f"""
import pytest

from pynet.testnets import topology
from pynet.testnets.spec.builder import Topo

SMALL = Topo("small").host("a").host("b").link("a:eth0", "b:eth0").build()


@topology(SMALL)
@pytest.mark.parametrize("number", range({TESTS}))
def test_two_hosts(net, number):
    net.a.ping(net.b)
"""


def labs(rounds: int) -> Iterator[Row]:
    """Ten hosts on a switch, on either side; a hundred containers; a hundred tests."""
    takers = {"pynet": lambda: _ours(_star())}
    if _mininet_starts():
        takers["mininet"] = _mininet
    samples = alternate(rounds, takers)
    for what, key, budget in (("up", "up", "150"), ("mesh", "mesh", ""), ("gone", "gone", "100")):
        yield _beside(f"lab of {HOSTS} hosts on a switch: {what}", samples, key, budget)
    few = max(2, rounds // 5)
    crowd = alternate(few, {"pynet": lambda: _ours(_crowd())})
    what = f"{CONTAINERS} containers by the plugins"
    yield _alone(f"{what}: up", crowd, "pynet up", "3000")
    yield _alone(f"{what}: mesh", crowd, "pynet mesh", "2000")
    suite = alternate(few, {"pytest": lambda: {"run": milliseconds(_suite)}})
    yield _alone(f"{TESTS} tests with a lab each", suite, "pytest run", "10000")


def _beside(what: str, samples: Mapping[str, list[float]], key: str, budget: str) -> Row:
    values = _of(samples, key)
    row = Row(what, "ms", values, values["pynet"], "ms", budget, dict(samples))
    return row if budget else Row(what, "ms", values, quotient(values, "pynet", "mininet"))


def _of(samples: Mapping[str, list[float]], key: str) -> dict[str, float]:
    found = medians(samples)
    return {name.split()[0]: value for name, value in found.items() if name.split()[1] == key}


def _alone(what: str, samples: Mapping[str, list[float]], key: str, budget: str) -> Row:
    value = medians(samples)[key]
    return Row(what, "ms", {"pynet": value}, value, "ms", budget, dict(samples))


def _star() -> Topology:
    topo = Topo("star").switch("s1")
    for number in range(1, HOSTS + 1):
        topo = topo.host(f"h{number}").link(f"h{number}:eth0", "s1")
    return topo.mesh(*(f"h{number}" for number in range(1, HOSTS + 1))).build()


def _crowd() -> Topology:
    network = Topo("crowd").host("h1").network("web", subnets=["10.1.0.0/16"])
    return network.generate(CONTAINERS, networks=["web"]).mesh().build()


def _ours(topology: Topology) -> dict[str, float]:
    made: list[Testnet] = []
    taken = {"up": milliseconds(lambda: made.append(Testnet.up(topology)))}
    try:
        taken["mesh"] = milliseconds(lambda: _expect_all(made[0]))
    finally:
        taken["gone"] = milliseconds(made[0].close)
    return taken


def _expect_all(testnet: Testnet) -> None:
    for outcome in run_checks(testnet):
        if not outcome.passed:
            raise LabError(f"{outcome.name}: {outcome.message}")


def _mininet() -> dict[str, float]:
    """In a fake host: its interfaces and processes have names that others could have, too."""
    with Lab() as lab:
        said = lab.host("mininet").run([_PYTHON, "-c", _MININET, str(HOSTS)]).stdout
    found: dict[str, float] = json.loads(said.splitlines()[-1])
    return found


def _mininet_starts() -> bool:
    try:
        _mininet()
    except (CommandFailed, LabError, OSError, ValueError) as error:
        last = str(error).splitlines()[-1:]
        print(f"Mininet does not start here, so nothing is beside us: {' '.join(last)}")
        return False
    return True


def _suite() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "test_labs.py").write_text(_TEST_FILE)
        Path(folder, "pytest.ini").write_text("[pytest]\n")
        pytest = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", folder]
        done = subprocess.run(pytest, cwd=folder, capture_output=True, check=False)
    if done.returncode:
        raise LabError(f"the tests failed:\n{done.stdout.decode()}")
