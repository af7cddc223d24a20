"""The store, or its log, is lost while containers run: what the next call gives, and refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from drive import BRIDGE, PLAIN_BRIDGE, STATE, Runtime, call
from evidence import but_idle_bridge, but_kept, nothing_left, rest, rows
from executables import REQUIRE, Executables, daemon
from losses import damaged_log, died, emptied_log, in_a_process, logged, unlinked
from scenes import add, container, in_host, ip, run, stderr_of, succeed

from pynet.daemon.serve import Services
from pynet.kernel.warm import Warm
from pynet.testnets.lab.lab import Host


@in_host
def test_an_address_that_somebody_lives_with_is_refused() -> None:
    one, two = container("c1"), container("c2")
    add(BRIDGE, one)
    unlinked()
    asked = {**BRIDGE, "args": {"cni": {"ips": ["10.1.0.2"]}}}
    outcome = call("ADD", asked, two)
    assert outcome.code == 104, outcome.document
    died("c1")
    assert call("ADD", asked, two).document["ips"][0]["address"] == "10.1.0.2/24"


@in_host
def test_a_full_range_is_full_till_one_of_them_dies() -> None:
    narrow = {**PLAIN_BRIDGE, "ipam": {"type": "host-local", "subnet": "10.1.0.0/30"}}
    one, two = container("c1"), container("c2")
    add(narrow, one)
    unlinked()
    assert call("ADD", narrow, two).code == 50
    assert call("STATUS", narrow).code == 50
    died("c1")
    assert call("STATUS", narrow).status == 0
    add(narrow, two)
    succeed("DEL", narrow, two)


@in_host
def test_the_same_add_again_takes_nothing_from_who_runs() -> None:
    one = container("c1")
    add(BRIDGE, one)
    unlinked()
    inside = ip("addr", "c1")
    assert call("ADD", BRIDGE, one).code == 100
    assert ip("addr", "c1") == inside
    succeed("DEL", BRIDGE, one)
    add(BRIDGE, one)
    succeed("DEL", BRIDGE, one)
    assert rows() == set()


@in_host
def test_a_warm_daemon_s_store_is_lost() -> None:
    services = Services(STATE, warm=Warm())
    one, two = container("c1"), container("c2")
    first = call("ADD", BRIDGE, one, services).document
    unlinked()
    second = call("ADD", BRIDGE, two, services).document
    assert {ip["address"] for ip in first["ips"]}.isdisjoint(ip["address"] for ip in second["ips"])
    for runtime in (one, two):
        assert call("DEL", BRIDGE, runtime, services).status == 0
    assert rows() == set()


@pytest.mark.parametrize("warm", [False, True])
@pytest.mark.parametrize("lose", [damaged_log, emptied_log])
@in_host
def test_what_the_log_has_lost_is_found(lose: Callable[[], None], warm: bool) -> None:
    before, one, two, three = rest(), *(container(name) for name in ("c1", "c2", "c3"))
    add(BRIDGE, one)
    logged()
    in_a_process(lambda: add(BRIDGE, two))
    lost = set(run("ip -o -4 addr show dev eth0", netns="c2").split())
    lose()
    services = Services(STATE, warm=Warm() if warm else None)
    given = call("ADD", BRIDGE, three, services).document["ips"]
    assert lost.isdisjoint(ip["address"] for ip in given)
    for runtime in (two, three, one):
        assert call("DEL", BRIDGE, runtime, services).status == 0
    assert rows() == set()
    assert but_idle_bridge(but_kept(nothing_left(before, rest()))) == []


@in_host
def test_a_del_is_the_first_call_after_the_log_was_lost() -> None:
    before, one, two = rest(), container("c1"), container("c2")
    add(BRIDGE, one)
    logged()
    in_a_process(lambda: add(BRIDGE, two))
    damaged_log()
    for runtime in (two, one):
        succeed("DEL", BRIDGE, runtime)
    assert rows() == set()
    assert but_idle_bridge(but_kept(nothing_left(before, rest()))) == []


@in_host
def test_it_is_said_to_who_calls_first() -> None:
    one, two = container("c1"), container("c2")
    add(BRIDGE, one)
    unlinked()
    said = stderr_of(lambda: add(BRIDGE, two))
    assert said.startswith("pynet: bridge: 1 of the containers that run here")
    assert stderr_of(lambda: succeed("DEL", BRIDGE, two)) == ""


def test_a_running_daemon_goes_on_with_the_new_one(host: Host, plugins: Executables) -> None:
    """It has the old file open, and serves at once what it finds."""
    one, two = Runtime(), Runtime("c2", "/run/netns/c2")
    host.container("c1")
    host.container("c2")
    with daemon(host):
        first = plugins.call(host, "ADD", BRIDGE, one, **REQUIRE).document
        host.call(unlinked)
        later = replace(two, environ=REQUIRE)
        with plugins.start(host, "ADD", BRIDGE, later) as process:
            answer, _ = process.communicate(timeout=60)
        second = json.loads(answer)
        assert first["ips"][0]["address"] != second["ips"][0]["address"]
        for runtime in (one, two):
            assert plugins.call(host, "DEL", BRIDGE, runtime, **REQUIRE).status == 0
        assert host.call(rows) == set()
