"""Testnets converge, are taken up by others, outlive their maker, and leave nothing when killed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from lab_census import lab_processes
from testnet_scenes import (
    BACK,
    WEB,
    container,
    link,
    namespace,
    reaches,
    topology,
    wait_until,
)

from pynet.testnets.lab.births import born_at
from pynet.testnets.lab.forked import Forked, LabError
from pynet.testnets.live import testnet as bringing_up
from pynet.testnets.live.testnet import Testnet
from pynet.testnets.spec.topology import Impairment, Network, Node, Topology

SOURCES = Path(__file__).parents[2] / "src"
SLEEP = ("sleep", "1000")


# --- converging -----------------------------------------------------------------------------


def test_what_is_the_same_lives_on() -> None:
    before = topology(
        containers={"a": container("web", run=SLEEP), "b": container("web")},
        networks={"web": WEB, "back": BACK},
    )
    with Testnet.up(before) as net:
        h1, a = net.place("h1"), net.place("a")
        sleeper = pid_in(net, "a")
        stays = (namespace(a), a.addresses, h1.addresses, h1.host.pid)
        after = topology(
            nodes={**before.nodes, "h3": Node()},
            links=(*before.links, link("h3", "sw")),
            networks={"web": WEB},
            containers={"a": before.containers["a"], "c": container("web")},
        )
        assert net.converge(after) == [
            "container b: removed",
            "container c: made",
            "network back on h1: removed",
            "link h3 -- sw: made",
            "node h3: made",
        ]
        a = net.place("a")
        assert pid_in(net, "a") == sleeper
        assert (namespace(a), a.addresses, h1.addresses, h1.host.pid) == stays
        assert sorted(net.places) == ["a", "c", "h1", "h2", "h3"]
        assert reaches(net.place("h3"), net.place("h2")) == [True, True]
        assert reaches(a, net.place("c")) == [True, True]
        assert net.converge(after) == []


def test_what_goes_is_gone() -> None:
    with Testnet.up(topology()) as net:
        host = net.lab.hosts["h1"]
        alone = Topology(nodes={"h1": Node()})
        net.converge(alone)
        assert names_of_links(net) == ["lo"]
        assert host.run(["ip", "netns"]).stdout == b""
        assert host.run(["ls", "/etc/cni/net.d"]).stdout == b""
        assert b"10.1.0." not in host.run(["nft", "list", "ruleset"]).stdout
        assert (sorted(net.places), net.links) == (["h1"], {})
        net.converge(topology())
        assert reaches(net.place("a"), net.place("h2")) == [True, True]


def test_a_container_that_is_another_is_made_anew() -> None:
    with Testnet.up(topology()) as net:
        before = net.place("a").open_network()  # as long as it is open its number is nobody else's
        changed = {"a": container("web", "back"), "b": container("web")}
        net.converge(topology(networks={"web": WEB, "back": BACK}, containers=changed))
        assert not os.path.samestat(namespace(net.place("a")), os.fstat(before))
        os.close(before)
        assert list(net.place("a").interfaces) == ["eth0", "eth1"]


def test_a_network_that_is_another_takes_its_containers_along() -> None:
    with Testnet.up(topology()) as net:
        other = Network(hosts=("h1",), subnets=("10.9.0.0/24",))
        net.converge(topology(networks={"web": other}))
        assert {net.place(name).addresses[0][:7] for name in "ab"} == {"10.9.0."}
        assert reaches(net.place("a"), net.place("b")) == [True]


def test_addresses_routes_and_impairments_change_while_links_stay() -> None:
    with Testnet.up(topology()) as net:
        given = Node(addresses={"eth0": ("192.168.0.99/24",)})
        lossy = link("h1", "sw", impairment=Impairment(loss=1.0))
        changed = topology(
            nodes={"h1": given, "h2": Node(), "sw": Node(kind="switch")},
            links=(lossy, link("h2", "sw")),
        )
        assert net.converge(changed) == ["link h1 -- sw: impairment changed"]
        shown = net.place("h1").run(["ip", "-o", "-4", "address", "show", "eth0"]).stdout
        assert b"192.168.0.99/24" in shown
        assert shown.count(b"inet ") == 1
        assert reaches(net.place("h1"), net.place("h2")) == [False]


def test_a_link_that_is_another_has_its_addresses_and_routes_again() -> None:
    def routed(mtu: int) -> Topology:
        return Topology(
            nodes={"h1": Node(), "h2": Node(), "r": Node(kind="router")},
            links=(link("h1", "r", mtu=mtu), link("h2", "r")),
        )

    with Testnet.up(routed(1500)) as net:
        assert net.converge(routed(1400)) == ["link h1 -- r: made anew"]
        assert reaches(net.place("h1"), net.place("h2")) == [True, True]
        assert net.place("h1").run(["cat", "/sys/class/net/eth0/mtu"]).stdout == b"1400\n"


def test_a_node_that_is_of_another_kind_is_made_anew() -> None:
    def middle(kind: Literal["router", "switch"]) -> Topology:
        return Topology(
            nodes={"h1": Node(), "h2": Node(), "m": Node(kind=kind)},
            links=(link("h1", "m"), link("h2", "m")),
        )

    with Testnet.up(middle("switch")) as net:
        for kind in ("router", "switch"):
            net.converge(middle(kind))
            assert ("m" in net.places) == (kind == "router")
            assert reaches(net.place("h1"), net.place("h2")) == [True, True]


def pid_in(net: Testnet, name: str) -> str:
    """The pid, in the lab, of the one process in a container's network."""
    return net.lab.hosts["h1"].run(["ip", "netns", "pids", name]).stdout.decode()


def names_of_links(net: Testnet) -> list[str]:
    shown = json.loads(net.place("h1").run(["ip", "-j", "link"]).stdout)
    return [each["ifname"] for each in shown]


# --- taken up by another process --------------------------------------------------------------


@contextlib.contextmanager
def left_behind(**changes: Any) -> Iterator[dict[str, Any]]:
    """The state of a testnet whose maker has ended; killed in the end."""
    inherited, told = os.pipe()

    def make() -> None:
        with os.fdopen(told, "w") as pipe:
            net = Testnet.up(topology(**changes), stays=True)
            json.dump(net.state(), pipe)
            net.close()

    maker = os.fork()
    if not maker:
        status = 1
        try:
            make()
            status = 0
        finally:
            os._exit(status)
    os.close(told)
    with os.fdopen(inherited) as pipe:
        state = json.load(pipe)
    _, status = os.waitpid(maker, 0)
    assert status == 0
    try:
        yield state
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(state["lab"]["holder"]["pid"], signal.SIGKILL)


def test_one_that_stays_outlives_its_maker_and_is_taken_up() -> None:
    with left_behind(containers={"a": container("web", run=SLEEP), "b": container("web")}) as state:
        with Testnet.attach(state) as net:
            assert reaches(net.place("a"), net.place("h2")) == [True, True]
            assert pid_in(net, "a")
            with net.links["h2 -- sw"].impaired(Impairment(loss=1.0)):
                assert reaches(net.place("h1"), net.place("h2")) == [False, False]
            net.converge(topology(containers={"c": container("web")}))
            state = net.state()
        assert born_at(net.lab.pid)
        with Testnet.attach(json.loads(json.dumps(state))) as again:
            assert sorted(again.places) == ["c", "h1", "h2"]
            assert reaches(again.place("c"), again.place("h2")) == [True, True]
            again.end()
        assert not born_at(net.lab.pid)
        with pytest.raises(LabError, match="the lab has ended"):
            Testnet.attach(state)


def test_another_process_of_the_same_number_is_not_taken_for_the_lab() -> None:
    with left_behind(containers={}) as state:
        state["lab"]["holder"]["born"] += "1"
        with pytest.raises(LabError, match="the lab has ended"):
            Testnet.attach(state)


def test_one_that_does_not_stay_ends_with_its_maker() -> None:
    program = (
        "import json, sys, time; from pynet.testnets.live.testnet import Testnet;"
        "from pynet.testnets.spec.topology import Topology;"
        "net = Testnet.up(Topology.model_validate_json(sys.argv[1]));"
        "print(net.lab.pid, flush=True); time.sleep(1000)"
    )
    argv = [sys.executable, "-c", program, topology().model_dump_json()]
    environ = {**os.environ, "PYTHONPATH": str(SOURCES)}
    with subprocess.Popen(argv, stdout=subprocess.PIPE, env=environ) as maker:
        assert maker.stdout is not None
        holder = int(maker.stdout.readline())
        inside = lab_processes(holder)
        assert len(inside) > 3
        maker.kill()
    wait_until(lambda: not any(born_at(pid) for pid in inside))


# --- nothing is left --------------------------------------------------------------------------


def test_nothing_is_left_of_one_that_is_closed() -> None:
    before = census()
    with Testnet.up(topology(containers={"a": container("web", run=SLEEP)})) as net:
        net.converge(topology())
    assert census() == before


MOMENTS = ("holder", "hosts", "wiring", "daemons", "plugins", "commands")


@pytest.mark.parametrize("moment", MOMENTS)
def test_nothing_is_left_when_it_is_killed_half_way_up(
    moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = census()
    killed = kill_at(moment, monkeypatch)
    with pytest.raises(LabError):
        Testnet.up(topology(containers={f"c{n}": container("web", run=SLEEP) for n in range(20)}))
    assert killed
    wait_until(lambda: census() == before)


def test_nothing_is_left_when_it_is_killed_at_any_moment() -> None:
    before = census()
    for delay in (0.005, 0.02, 0.04, 0.06, 0.08, 0.1, 0.12, 0.15):
        maker = os.fork()
        if not maker:
            try:
                killer = threading.Timer(delay, kill_children, [os.getpid()])
                killer.start()
                with Testnet.up(topology(containers={f"c{n}": container("web") for n in range(8)})):
                    time.sleep(0.2)
            except LabError:
                pass
            finally:
                os._exit(0)
        os.waitpid(maker, 0)
        wait_until(lambda: census() == before)


def kill_at(moment: str, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Have the holder killed at this moment; the list then has its pid."""
    killed: list[int] = []
    places: dict[str, tuple[Any, str]] = {
        "holder": (bringing_up.Lab, "add_hosts"),
        "hosts": (bringing_up.Testnet, "_work"),
        "wiring": (bringing_up.Testnet, "_serve"),
        "daemons": (bringing_up, "treat"),
        "plugins": (bringing_up.Workers, "attach"),
        "commands": (bringing_up.Testnet, "_run"),
    }
    owner, name = places[moment]
    original = getattr(owner, name)

    def kill_first(*args: Any, **keys: Any) -> Any:
        holder = next(pid for pid in children(os.getpid()) if is_first(pid))
        killed.append(holder)
        os.kill(holder, signal.SIGKILL)
        return original(*args, **keys)

    monkeypatch.setattr(owner, name, kill_first)
    return killed


def kill_children(pid: int) -> None:
    """Kill the holder among the processes that descend from `pid`, if there is one by now."""
    for child in children(pid):
        if is_first(child):
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)


def is_first(pid: int) -> bool:
    """Whether it is the pid 1 of a pid namespace."""
    with contextlib.suppress(OSError):
        status = Path(f"/proc/{pid}/status").read_text()
        inner = next(line for line in status.splitlines() if line.startswith("NSpid:")).split()
        return len(inner) > 2 and inner[-1] == "1"
    return False


def children(pid: int) -> set[int]:
    found: set[int] = set()
    with contextlib.suppress(OSError):
        for path in Path(f"/proc/{pid}/task").glob("*/children"):
            found |= {int(child) for child in path.read_text().split()}
    return found.union(*(children(child) for child in found))


def census() -> dict[str, Any]:
    """Our children, what namespaces they and we are in, our mounts, links and rules."""
    mine = {os.getpid(), *children(os.getpid())}
    namespaces = set()
    for pid in mine:
        for kind in ("net", "mnt", "pid", "uts", "user"):
            with contextlib.suppress(OSError):
                namespaces.add(str(Path(f"/proc/{pid}/ns/{kind}").readlink()))
    opened = {
        target
        for target in map(_target, Path("/proc/self/fd").iterdir())
        if target.startswith(("net:", "mnt:", "anon_inode:[pidfd]"))
    }
    rules = subprocess.run(["nft", "list", "ruleset"], capture_output=True, check=False)
    return {
        "processes": {pid: born_at(pid) for pid in mine},
        "namespaces": namespaces,
        "descriptors": opened,
        "mounts": Path("/proc/self/mountinfo").read_text(),
        "links": socket.if_nameindex(),
        "rules": rules.stdout,
    }


def _target(path: Path) -> str:
    try:
        return str(path.readlink())
    except OSError:
        return ""


# --- without privilege ------------------------------------------------------------------------


@pytest.mark.second_user
def test_a_user_needs_no_privilege() -> None:
    from test_lab import become_user

    def as_user() -> list[bool]:
        with left_behind() as state, Testnet.attach(state) as net:
            with net.links["h2 -- sw"].impaired(Impairment(loss=1.0)):
                pass
            net.converge(topology(containers={"c": container("web")}))
            return reaches(net.place("c"), net.place("h2"))

    # In a fork: an interpreter that lies where only root looks could not be started again.
    assert Forked(as_user, become_user).wait() == [True, True]
