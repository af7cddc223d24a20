"""containerd's `ctr run --cni` on pynet's plugins.

Known of it: it names the namespace as /proc/PID/ns/net, asks for DEL after the task is gone and
with an empty CNI_NETNS, and for a detached container not at all.
"""

from __future__ import annotations

import signal
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest
from clients import BRIDGE, PATIENCE, Answer, ask_from_host, eventually, network
from containerd import Containerd
from evidence import nothing_left, rest, rows

from pynet.testnets.lab.internet import ADDRESSES, HOST_ADDRESSES, Internet
from pynet.testnets.lab.lab import Host
from pynet.testnets.live.installed import PYNET


@pytest.fixture
def baseline(host: Host, containerd: Containerd) -> set[str]:
    """All there is once a container has come and gone."""
    network(host, BRIDGE)
    finish(containerd, "first", "true")
    return host.call(rest)


def finish(containerd: Containerd, name: str, *argv: str) -> str:
    """A container from its start to its end; what it printed."""
    with containerd.foreground(name, *argv) as process:
        stdout, stderr = process.communicate(timeout=PATIENCE)
    assert (process.returncode, stderr) == (0, b"")
    return stdout.decode()


def test_containers_reach_each_other_their_host_and_outside(
    host: Host, internet: Internet, containerd: Containerd
) -> None:
    network(host, BRIDGE)
    names = ["c1", "c2", "c3"]
    for name in names:
        containerd.run(name)
    for family in (4, 6):
        at = {name: containerd.address(name, family=family) for name in names}
        for asking in names:
            for asked in set(names) - {asking}:
                assert containerd.ask(asking, at[asked]) == Answer(asked, at[asking])
        assert ask_from_host(host, at["c1"]).name == "c1"
    for family in (socket.AF_INET, socket.AF_INET6):
        assert containerd.outside_sees("c2", ADDRESSES[family]) == HOST_ADDRESSES[family]
    # CHECK of all of them; it fails the test where anything is not as it was made.
    host.run([*PYNET, "inspect"])
    assert b"10.1.0.2" in host.run([*PYNET, "inspect", "default-c1"]).stdout


def test_a_container_that_ends_leaves_nothing(
    host: Host, containerd: Containerd, baseline: set[str]
) -> None:
    assert "10.1.0.3" in finish(containerd, "c1", "ip", "addr")
    assert nothing_left(baseline, host.call(rest)) == []


def test_a_container_killed_leaves_nothing(
    host: Host, containerd: Containerd, baseline: set[str]
) -> None:
    with containerd.foreground("c1") as process:
        pid = eventually(lambda: containerd.pid("c1"))
        assert ask_from_host(host, "10.1.0.3").name == "c1"
        host.run(["kill", "-KILL", str(pid)])
        _, stderr = process.communicate(timeout=PATIENCE)
    assert (process.returncode, stderr) == (128 + signal.SIGKILL, b"")
    assert nothing_left(baseline, host.call(rest)) == []


def test_a_container_started_anew_under_its_name(
    host: Host, containerd: Containerd, baseline: set[str]
) -> None:
    """Of the first life's end nobody told us."""
    containerd.run("c1")
    containerd.run("other")
    first = containerd.address("c1")
    containerd.end("c1")
    containerd.run("c1")
    again = containerd.address("c1")
    assert again != first
    assert containerd.ask("other", again) == Answer("c1", containerd.address("other"))
    for name in ("c1", "other"):
        containerd.end(name)
        finish(containerd, name, "true")
    assert nothing_left(baseline, host.call(rest)) == []


def test_addresses_of_containers_nobody_took_down_come_back(
    host: Host, containerd: Containerd
) -> None:
    """Five addresses, four containers gone without a DEL, and two that live."""
    ipam = {"type": "host-local", "ranges": [[{"subnet": "10.1.0.0/29"}]]}
    network(host, {**BRIDGE, "ipam": ipam})
    containerd.run("stays")
    for number in range(4):
        containerd.run(f"gone{number}")
        containerd.end(f"gone{number}")
    containerd.run("c1")
    assert containerd.ask("c1", containerd.address("stays")).name == "stays"
    gone = {f"default-gone{number}" for number in range(4)}
    assert not [row for row in host.call(rows) if any(name in row for name in gone)]


def test_many_at_once(host: Host, containerd: Containerd) -> None:
    network(host, BRIDGE)
    names = [f"c{number}" for number in range(8)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(containerd.run, names))
    assert len({containerd.address(name) for name in names}) == len(names)


def test_containerd_killed_and_started_again(
    host: Host, containerd: Containerd, baseline: set[str]
) -> None:
    for name in ("c1", "c2"):
        containerd.run(name)
    first, second = (containerd.address(name) for name in ("c1", "c2"))
    containerd.kill()
    assert ask_from_host(host, first).name == "c1"
    containerd.start()
    assert containerd.ask("c1", second) == Answer("c2", first)
    containerd.run("c3")
    assert containerd.ask("c3", first) == Answer("c1", containerd.address("c3"))
    for name in ("c1", "c2", "c3"):
        containerd.end(name)
        finish(containerd, name, "true")
    assert nothing_left(baseline, host.call(rest)) == []


def test_containerd_killed_under_a_container_of_ctr(
    host: Host, containerd: Containerd, baseline: set[str]
) -> None:
    """`ctr` then asks for DEL while the container lives on."""
    with containerd.foreground("c1") as process:
        assert ask_from_host(host, "10.1.0.3").name == "c1"
        containerd.kill()
        process.communicate(timeout=PATIENCE)
    assert nothing_left(baseline, host.call(rest)) == []


def test_ctr_killed(host: Host, containerd: Containerd, baseline: set[str]) -> None:
    """Its container lives on, and after that only GC can know that it is gone."""
    with containerd.foreground("c1") as process:
        assert ask_from_host(host, "10.1.0.3").name == "c1"
        process.kill()
    assert ask_from_host(host, "10.1.0.3").name == "c1"
    containerd.end("c1")
    host.run([*PYNET, "cni", "gc", "web", "--yes"])
    # With the last container GC takes the bridge, too.
    assert nothing_left(baseline, host.call(rest)) == []
