"""The kernel made what the records say, both ways, whatever was done to it, and killed anywhere."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import drive
import pytest
from crashes import dies_at
from drive import FIREWALL, STATE, Runtime
from evidence import elements, nothing_left, rest
from executables import daemon, until
from scenes import add, container, in_host, run, succeed

from pynet.cni.config import NetConf
from pynet.engine.engine import Engine
from pynet.engine.reconciling import reconcile
from pynet.engine.site import Site
from pynet.kernel import namespaces
from pynet.kernel.foreign import iptables, programs
from pynet.kernel.world import KernelWorld
from pynet.model.plan import Plan
from pynet.model.plugin import Plugin
from pynet.model.query import LinkNamed, Seen
from pynet.model.request import Request
from pynet.model.resources import InterfaceAddress, LinkUp, Veth
from pynet.model.result import Result
from pynet.plugins import registry
from pynet.store.store import Store
from pynet.testing import request
from pynet.testnets.lab.host import plain_environment
from pynet.testnets.lab.lab import Host

RELOAD = [sys.executable, "-I", "-m", "pynet.cli", "reload"]
SAVED = Path("/run/saved.nft")
STRAY = b"""*filter
-A FORWARD -m comment --comment "pynet: ADMIN" -j ADMIN
COMMIT
"""
IN_OUR_NAME = ("-m", "comment", "--comment", "pynet: ADMIN")
Chain = list[dict[str, object]]


def attach(runtime: Runtime, *chained: dict[str, object]) -> Chain:
    """A bridge, and what is chained to it; what their DEL is called with, in its order."""
    result = add(drive.BRIDGE, runtime)
    configs = [{**config, "prevResult": result} for config in chained]
    for config in configs:
        add(config, runtime)
    return [*configs[::-1], drive.BRIDGE]


def detach(runtime: Runtime, configs: Chain) -> None:
    for config in configs:
        succeed("DEL", config, runtime)


def save() -> None:
    SAVED.write_text("flush ruleset\n" + run("nft list ruleset"))


def restore() -> None:
    """As nftables.service does at boot, and whoever edits rules in a file."""
    run(f"nft -f {SAVED}")


def standing() -> set[str]:
    return {line for line in elements() if line.startswith("element")}


@contextmanager
def world() -> Iterator[KernelWorld]:
    host = namespaces.own()
    try:
        with KernelWorld(host, None, netns="", our_plugins=registry.names()) as opened:
            yield opened
    finally:
        os.close(host)


def reconciled() -> list[str]:
    """What was removed."""
    with world() as opened:
        done = reconcile(Site(Store.open(STATE), opened))
    assert done.failures == ()
    return [resource.describe() for resource in done.removed]


# --- what nobody has ----------------------------------------------------------------------------


def the_next_add() -> None:
    another = container("another")
    configs = attach(another, drive.PORTMAP)
    detach(another, configs)


def by_hand() -> None:
    def reload() -> subprocess.CompletedProcess[str]:
        return subprocess.run(RELOAD, env=plain_environment(), capture_output=True, text=True)

    done = reload()
    assert done.returncode == 0
    assert "removed, as no container has it (" in done.stdout
    assert reload().stdout.startswith("all is as recorded (")


def gc() -> None:
    living = [{"containerID": "keeper", "ifname": "eth0"}]
    succeed("GC", {**drive.BRIDGE, "cni.dev/valid-attachments": living}, Runtime("keeper"))


def _dead_and_restored(keep: bool) -> set[str]:
    """What stood in our tables before a ruleset was loaded again whose container is dead."""
    if keep:
        attach(container("keeper"))
    one = container("dead")
    configs = attach(one, drive.PORTMAP)
    save()
    detach(one, configs)
    before = standing()
    restore()
    assert standing() > before
    return before


@pytest.mark.parametrize("mend", [by_hand, gc])
@in_host
def test_what_a_saved_ruleset_brings_back_of_the_dead_goes(mend: Callable[[], None]) -> None:
    before = _dead_and_restored(keep=True)
    mend()
    assert standing() == before


@in_host
def test_an_add_of_the_same_port_does_not_meet_it() -> None:
    _dead_and_restored(keep=False)
    the_next_add()
    assert not any("published" in line for line in standing())


def test_the_daemon_notices_it(host: Host) -> None:
    before = host.call(lambda: _dead_and_restored(keep=True))
    with daemon(host):
        until(lambda: set(host.call(standing)) == before, "it did not look when it started")
        host.call(restore)
        until(lambda: set(host.call(standing)) == before, "it does not hear of what is put in")
        host.run(["nft", "add element inet pynet masquerade4 { 0 . 10.1.0.99 }"])
        until(lambda: set(host.call(standing)) == before, "it does not hear of one element")


@in_host
def test_without_a_store_nothing_of_the_living_goes() -> None:
    attach(container("living"), drive.PORTMAP)
    before = standing()
    for file in STATE.glob("pynet.db*"):
        file.unlink()
    other = container("other")
    ipam = {"type": "host-local", "subnet": "10.2.0.0/24"}
    elsewhere = {**drive.BRIDGE, "name": "db", "bridge": "cni1", "ipam": ipam}
    add(elsewhere, other)
    assert reconciled() == []
    assert before <= standing()
    detach(other, [elsewhere])
    assert reconciled() == []
    assert before <= standing()


def _rules_of_the_dead(variant: str) -> tuple[str, str]:
    """What stands without them, and what was saved when they stood."""
    for words in ("-N DOCKER-USER", "-A DOCKER-USER -j RETURN", "-P FORWARD DROP"):
        run(f"iptables-{variant} {words}")
    before = run(f"iptables-{variant} -S")
    one, keeper = container("dead"), container("keeper")
    attach(keeper)
    configs = attach(one, FIREWALL)
    saved = run(f"iptables-{variant}-save")
    detach(one, configs)
    assert run(f"iptables-{variant} -S") == before
    return before, saved


@pytest.mark.parametrize("variant", ["nft", "legacy"])
@in_host
def test_rules_of_the_dead_in_other_people_s_chains_go(variant: str) -> None:
    before, saved = _rules_of_the_dead(variant)
    subprocess.run([f"iptables-{variant}-restore"], input=saved.encode(), check=True)
    assert "PYNET-FORWARD" in run(f"iptables-{variant} -S")
    assert len(reconciled()) == 2
    assert run(f"iptables-{variant} -S") == before


def test_the_daemon_notices_them(host: Host) -> None:
    before, saved = host.call(lambda: _rules_of_the_dead("nft"))

    def restored(rules: bytes, *options: str) -> None:
        host.run(["iptables-nft-restore", *options], input=rules)
        assert "pynet: " in rules.decode()

    def gone() -> bool:
        return _rules(host) == before

    restored(saved.encode())
    with daemon(host):
        until(gone, "it did not look when it started")
        restored(saved.encode())
        until(gone, "it does not hear of what is put in")
        host.run(["iptables-nft", "-N", "ADMIN"])
        restored(STRAY, "--noflush")
        host.run(["iptables-nft", "-A", "INPUT", *IN_OUR_NAME, "-j", "ADMIN"])
        until(lambda: "pynet: " not in _rules(host), "it does not hear of one rule")


def _rules(host: Host) -> str:
    return host.run(["iptables-nft", "-S"]).stdout.decode()


@in_host
def test_what_containers_share_on_the_host_is_made_again() -> None:
    attach(container("c1"), drive.PORTMAP)
    before = rest()
    run("ip addr flush dev cni0")
    run("ip link set cni0 down")
    for key in ("net.ipv4.ip_forward", "net.ipv4.conf.cni0.route_localnet"):
        run(f"sysctl -w {key}=0")
    assert reconciled() == []
    assert nothing_left(rest(), before) == []
    assert run("sysctl -n net.ipv4.ip_forward net.ipv4.conf.cni0.route_localnet") == "1\n1\n"
    assert "UP" in run("ip link show cni0")


# --- killed in the middle -------------------------------------------------------------------------


@in_host
def test_killed_at_any_point_the_next_one_does_the_rest() -> None:
    run("iptables-nft -P FORWARD DROP")
    run("iptables-nft -N ADMIN")
    attach(container("keeper"), drive.PORTMAP, FIREWALL)
    before = standing()
    rules = run("iptables-nft -S")
    count, died = 0, True
    while died:
        count += 1
        run("nft add element inet pynet masquerade4 { 0 . 10.1.0.99 }")
        run("nft add element inet pynet published4_any { tcp . 99 : 10.1.0.99 . 80 }")
        run("nft delete element inet pynet published4_any { tcp . 8080 }")
        run("nft delete element inet pynet published6_any { tcp . 8080 }")
        run("ip addr flush dev cni0")
        run("sysctl -w net.ipv4.ip_forward=0")
        run("iptables-nft -F FORWARD")
        subprocess.run(["iptables-nft-restore", "--noflush"], input=STRAY, check=True)
        died = dies_at(count, reconciled)
        reconciled()
        assert standing() == before, f"after point {count}"
        assert sorted(run("iptables-nft -S").splitlines()) == sorted(rules.splitlines())
        assert run("sysctl -n net.ipv4.ip_forward") == "1\n"
        assert "10.1.0.1/24" in run("ip addr show cni0")
    assert count > 6, "too few fault points: the hook is not there"


# --- a slow program -------------------------------------------------------------------------------


@in_host
def test_a_slow_iptables_holds_up_nobody_elsewhere() -> None:
    """As one that waits for the lock of iptables does, or one with 20,000 rules to read."""
    run("iptables-nft -P FORWARD DROP")
    one = container("c1")
    configs = attach(one, FIREWALL)
    waiting, go_on = threading.Event(), threading.Event()
    quick = programs.run

    def slow(namespace: int, argv: list[str], stdin: str = "") -> tuple[int, str, str]:
        if argv[0].endswith("-restore") and not go_on.is_set():
            waiting.set()
            assert go_on.wait(60)
        return quick(namespace, argv, stdin)

    iptables.run = slow
    first = threading.Thread(target=detach, args=(one, configs[:1]))
    first.start()
    assert waiting.wait(60)
    other = container("c2")
    detach(other, attach(other, drive.PORTMAP))
    assert first.is_alive()
    go_on.set()
    first.join(60)
    assert "PYNET-FORWARD" not in run("iptables-nft -S")
    detach(one, configs[1:])


# --- questions about what must be made first ----------------------------------------------------


class Chosen(Plugin):
    """An address by the number that the kernel gives an interface."""

    name = "chosen"
    config = NetConf
    checks_result = False

    def plan(self, request: Request, seen: Seen) -> Plan:
        pair = Veth(
            name=f"v-{request.container}",
            mac="02:00:00:00:00:01",
            peer="eth0",
            peer_mac="02:00:00:00:00:02",
        )
        made = seen[LinkNamed(pair.name, first=(pair,))]
        assert made is not None
        address = InterfaceAddress(
            name=pair.name, address=f"10.7.0.{made.index}/24", inside=pair.key
        )
        return Plan((pair, address, LinkUp(name=pair.name, inside=pair.key)), Result())


def chosen(command: str, name: str) -> str:
    """The command for container NAME; its address."""
    asked = request(Chosen(), {}, container=name, netns=f"/run/netns/{name}")
    host, sandbox = namespaces.own(), namespaces.open_namespace(asked.netns)
    try:
        with KernelWorld(host, sandbox, netns=asked.netns, our_plugins=registry.names()) as opened:
            engine = Engine(Store.open(STATE), opened, "digest")
            if command == "DEL":
                engine.delete(Chosen(), asked)
                return ""
            plan = engine.add(Chosen(), asked)
            assert engine.check(Chosen(), asked) == []
    finally:
        os.close(host)
        os.close(sandbox)
    (address,) = (one for one in plan.resources if isinstance(one, InterfaceAddress))
    return address.address


@in_host
def test_an_address_by_what_the_kernel_chose_killed_anywhere() -> None:
    count, died = 0, True
    while died:
        count += 1
        name = f"c{count}"
        container(name)
        before = rest()
        died = dies_at(count, partial(chosen, "ADD", name))
        if count % 2:
            chosen("DEL", name)
            assert nothing_left(before, rest()) == [], f"after point {count}"
        if died:  # an identical ADD undoes what the dead one left
            address = chosen("ADD", name)
            index = run(f"cat /sys/class/net/v-{name}/ifindex").strip()
            assert address == f"10.7.0.{index}/24"
            assert address in run(f"ip addr show v-{name}")
        chosen("DEL", name)
        assert nothing_left(before, rest()) == [], f"after point {count}"
    assert count > 4
