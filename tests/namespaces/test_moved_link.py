"""A link of the host's lent to a container comes back as it was, wherever it is found."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cards import shown
from evidence import STATE
from scenes import in_host, ip, run, wait_for, wire

from pynet.cni.config import NetConf
from pynet.engine import faults
from pynet.engine.engine import Engine
from pynet.kernel import namespaces
from pynet.kernel.warm import Warm
from pynet.kernel.world import KernelWorld
from pynet.model.errors import AddressInUse, AlreadyAttached, CniError
from pynet.model.plan import Plan
from pynet.model.plugin import Plugin
from pynet.model.query import Seen
from pynet.model.request import Request
from pynet.model.resources import InterfaceAddress, LinkUp, MovedLink
from pynet.model.result import Result
from pynet.store.store import Store
from pynet.testing import request
from pynet.testnets.lab.lab import DiedBySignal, Host


class Lending(Plugin):
    name = "lending"
    config = NetConf
    creates_interface = True
    checks_result = False

    def plan(self, request: Request, seen: Seen) -> Plan:
        link = MovedLink(name="nic0", inner=request.interface)
        address = InterfaceAddress(
            name=request.interface, address="10.5.0.2/24", place="sandbox", inside=link.key
        )
        up = LinkUp(name=request.interface, place="sandbox", inside=link.key)
        return Plan((link, address, up), Result())


def call(verb: str, name: str = "c1", *, warm: Warm | None = None, fault: int = 0) -> Any:
    """One call as the daemon or a process of its own serves it, for container NAME."""
    asked = request(Lending(), {}, container=name, netns=f"/run/netns/{name}")
    host = namespaces.own()
    try:
        sandbox: int | None = namespaces.open_namespace(asked.netns)
    except FileNotFoundError:
        sandbox = None
    STATE.mkdir(mode=0o700, exist_ok=True)
    world = KernelWorld(host, sandbox, netns=asked.netns, our_plugins=frozenset(), warm=warm)
    with world:
        engine = Engine(Store.open(STATE), world)
        if fault:
            faults.arm(fault)
        found = getattr(engine, verb)(Lending(), asked)
    for fd in (host, sandbox):
        if fd is not None:
            os.close(fd)
    return found


def make(kind: str) -> None:
    """A link nic0 that stands for an interface card, with all that is to come back."""
    run("ip link add br0 address 02:00:00:00:0b:00 type bridge")
    if kind == "veth":
        run("ip link add nic0 type veth peer name far0")
    elif kind == "macvlan":
        run("ip link add lower0 type veth peer name far0")
        run("ip link set lower0 up")
        run("ip link add nic0 link lower0 type macvlan")
    else:
        run("ip tuntap add dev nic0 mode tap")
    run("ip link set nic0 address 02:00:00:00:0c:01 txqueuelen 77")
    run("ip link set nic0 mtu 1380")
    if kind != "macvlan":  # which has no place in a bridge
        run("ip link set nic0 master br0")
    run("ip addr add 10.9.9.1/24 dev nic0")
    run("ip addr add fd00:9::1/64 dev nic0 nodad")
    run("ip link set nic0 up")


def there(name: str, netns: str = "") -> bool:
    return name in {link["ifname"] for link in ip("link", netns)}


def records() -> list[str]:
    with sqlite3.connect(STATE / "pynet.db") as store:
        found = [row[0] for row in store.execute("SELECT container FROM record")]
    store.close()
    return found


KINDS = ["veth", "macvlan", "tap"]


@pytest.mark.parametrize("warm", [True, False], ids=["warm", "one-shot"])
@pytest.mark.parametrize("kind", KINDS)
@in_host
def test_it_is_lent_and_given_back(kind: str, warm: bool) -> None:
    kept = Warm() if warm else None
    make(kind)
    run("ip link set nic0 alias rack-7")
    run("ip netns add c1")
    before = shown()
    call("add", warm=kept)
    assert not there("nic0")
    inside = shown("eth0", "c1")
    assert (inside["addresses"], inside["flags"]) == (["10.5.0.2/24"], ["UP"])
    assert call("check", warm=kept) == []
    call("delete", warm=kept)
    assert shown() == before
    assert [link["ifname"] for link in ip("link", "c1")] == ["lo"]
    assert records() == []


def _renamed() -> None:
    run("ip -n c1 link set eth0 down")
    run("ip -n c1 link set eth0 name wan7")


def _given_another_mac() -> None:
    run("ip -n c1 link set eth0 address 02:00:00:00:0c:99")
    run("ip -n c1 link set eth0 mtu 1300 txqueuelen 5 promisc on allmulticast on")


def _without_its_mark() -> None:
    _renamed()
    subprocess.run(["ip", "-n", "c1", "link", "set", "wan7", "alias", ""], check=True)


def _another_is_called_so_inside() -> None:
    _renamed()
    run("ip -n c1 link add eth0 type veth peer name other")


def _its_index_is_taken_on_the_host() -> None:
    index = ip("link show eth0", "c1")[0]["ifindex"]
    run(f"ip link add name taken0 index {index} type bridge")


DISGUISES = [
    _renamed,
    _given_another_mac,
    _without_its_mark,
    _another_is_called_so_inside,
    _its_index_is_taken_on_the_host,
]


@pytest.mark.parametrize("hidden", [False, True], ids=["in sight", "out of sight"])
@pytest.mark.parametrize("disguise", DISGUISES, ids=lambda disguise: disguise.__name__.strip("_"))
@in_host
def test_it_is_known_in_the_container_whatever_became_of_it(
    disguise: Callable[[], None], hidden: bool
) -> None:
    make("veth")
    run("ip netns add c1")
    before = shown()
    call("add")
    disguise()
    if not hidden:
        call("delete")
    else:
        with subprocess.Popen(["ip", "netns", "exec", "c1", "sleep", "60"]) as process:
            wait_for(lambda: run("ip netns pids c1").split() == [str(process.pid)])
            run("ip netns del c1")
            call("delete")
            process.kill()
    assert shown() == before
    assert records() == []


@pytest.mark.parametrize("verb", ["collect", "delete"])
@in_host
def test_what_the_kernel_has_put_on_the_host_is_made_what_it_was(verb: str) -> None:
    """As it does with an interface card whose namespace dies: down, under whatever name."""
    make("veth")
    run("ip netns add c1")
    before = shown()
    call("add")
    host = os.getpid()
    run("ip link set eth0 down", netns="c1")
    run("ip link set eth0 name dev7", netns="c1")
    run(f"nsenter --net=/run/netns/c1 ip link set dev7 netns {host}")
    run("ip netns del c1")
    wait_for(lambda: not run("ip netns list-id"))
    call(verb, "c1")
    assert shown() == before
    assert records() == []


@pytest.mark.parametrize("kind", ["veth", "macvlan"])
@in_host
def test_one_that_died_with_the_container_is_forgotten(kind: str) -> None:
    make(kind)
    run("ip netns add c1")
    call("add")
    run("ip netns del c1")
    wait_for(lambda: kind == "macvlan" or not there("far0"))
    # Another of its name has come since; nobody touches it.
    run("ip link add nic0 address 02:00:00:00:0c:01 type veth peer name far1")
    before = shown()
    # The kernel dissolves the namespace in its own time, and with it what was moved there.
    wait_for(lambda: bool(call("collect", "c2")) or records() == [])
    assert shown() == before


@in_host
def test_one_that_lives_out_of_reach_is_not_given_up() -> None:
    """Nothing but a socket keeps the namespace: the record waits until it is over."""
    make("veth")
    run("ip netns add c1")
    call("add")
    kept = wire("eth0", "c1")
    run("ip netns del c1")
    with pytest.raises((CniError, ExceptionGroup)):
        call("delete")
    assert records() == ["c1"]
    kept.close()
    wait_for(lambda: not there("far0"))
    call("delete")
    assert records() == []


def _opened() -> list[object]:
    return [os.open("/run/netns/c1", os.O_RDONLY)]


def _mounted_elsewhere() -> list[object]:
    """By a process that sees other mounts, and is not in the namespace itself."""
    mounted = "touch /run/kept; mount --bind /run/netns/c1 /run/kept; exec sleep 60"
    process = subprocess.Popen(["unshare", "-m", "sh", "-c", mounted])
    wait_for(lambda: (Path("/proc") / f"{process.pid}/comm").read_text() == "sleep\n")
    return [process]


@pytest.mark.parametrize("keep", [_opened, _mounted_elsewhere])
@in_host
def test_it_comes_back_from_a_namespace_that_somebody_has(keep: Callable[[], list[object]]) -> None:
    make("veth")
    run("ip netns add c1")
    before = shown()
    call("add")
    kept = keep()
    run("ip netns del c1")
    call("delete")
    assert shown() == before
    assert records() == []
    for each in kept:
        if isinstance(each, subprocess.Popen):
            each.kill()
            each.wait()


@pytest.mark.parametrize("more", [(), ("eth0",)], ids=["its own", "and the one inside"])
@in_host
def test_its_name_is_somebody_elses_by_now(more: tuple[str, ...]) -> None:
    make("veth")
    run("ip netns add c1")
    before = shown()
    call("add")
    names = ("nic0", *more)
    for name in names:
        run(f"ip link add {name} type bridge")
    theirs = [shown(name) for name in names]
    call("delete")
    assert [shown(name) for name in names] == theirs
    known = {*names, "lo", "br0", "far0"}
    (back,) = {link["ifname"] for link in ip("link")} - known
    assert back.startswith("dev") if more else back == "eth0"
    assert shown(back) == {**before, "ifname": back}
    assert records() == []


@in_host
def test_it_is_lent_to_one_at_a_time() -> None:
    make("veth")
    run("ip netns add c1")
    run("ip netns add c2")
    call("add")
    with pytest.raises(AddressInUse, match="container c1"):
        call("add", "c2")
    run("ip -n c2 link add eth0 type veth peer name other")
    before = shown("eth0", "c1")
    call("delete")
    before = shown()
    with pytest.raises(AlreadyAttached, match="eth0 already exists"):
        call("add", "c2")
    assert shown() == before
    assert records() == []


def test_killed_anywhere_it_comes_back(host: Host) -> None:
    """At each point of ADD, and of the DEL after it; the next DEL finds it wherever it is."""
    host.call(make, "veth")
    host.run(["ip", "netns", "add", "c1"])
    before = host.call(shown)
    for verb in ("add", "delete"):
        for count in range(1, 40):
            if verb == "delete":
                host.call(call, "add")
            try:
                host.call(_armed, verb, count)
                done = True
            except DiedBySignal:
                done = False
            host.call(call, "delete")
            assert host.call(shown) == before, (verb, count)
            assert host.call(records) == []
            if done:
                break
        assert done and count > 3, json.dumps([verb, count])


def _armed(verb: str, count: int) -> None:
    call(verb, fault=count)
