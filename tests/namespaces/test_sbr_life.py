"""sbr: what CHECK sees and what is put back, and DEL, also of what the reference attached."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import drive
import pytest
from chains import add_list, check_list, delete_list, with_result
from drive import Runtime
from evidence import inside, nothing_left, rest
from executables import PATIENCE, Executables
from references import REFERENCE, needs_reference
from scenes import container, in_host, refused, run, succeed
from source_routing import LIST, SBR, SECOND, WEB, rules, shown
from test_findings import pynet

# --- CHECK, and what is put back ------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("ip rule del from 10.1.0.2", "rule from 10.1.0.2 lookup 100 is missing"),
        ("ip -6 rule del from fd00:1::2", "rule from fd00:1::2 lookup 101 is missing"),
        ("ip route del default table 100", "route 0.0.0.0/0 via 10.1.0.1 dev eth0 table 100"),
        ("ip -6 route flush table 101", "route fd00:1::/64 dev eth0 table 101 is missing"),
        ("ip route add default via 10.1.0.1 dev eth0 table 100 metric 7", ""),
    ],
)
@in_host
def test_check_sees_damage_and_reload_mends_it(command: str, words: str) -> None:
    runtime = container("c1")
    result = add_list(LIST, runtime)
    before = inside("c1")
    run(command, netns="c1")
    if not words:
        succeed("CHECK", with_result(SBR, result), runtime)
        return
    refused(101, words, "CHECK", with_result(SBR, result), runtime)
    assert pynet("reload").startswith("put right (")
    assert inside("c1") == before
    check_list(LIST, runtime, result)


@in_host
def test_a_link_that_went_down_and_up_is_put_right() -> None:
    """The kernel makes routes to the networks anew, in the main table, and no others."""
    runtime = container("c1")
    result = add_list(LIST, runtime)
    before = inside("c1")
    run("ip link set eth0 down", netns="c1")
    run("ip link set eth0 up", netns="c1")
    words = "route 10.1.0.0/24 dev eth0: table is main, should be 100|table 100 is missing"
    refused(101, words, "CHECK", with_result(SBR, result), runtime)
    pynet("reload")
    assert inside("c1") == before
    check_list(LIST, runtime, result)


# --- DEL -------------------------------------------------------------------------------------


@in_host
def test_del_after_the_interface_or_the_namespace_is_gone() -> None:
    delete_list(LIST, container("c0"), add_list(LIST, Runtime("c0", "/run/netns/c0")))
    runtime = container("c1")
    baseline, fresh = rest(), inside("c1")
    result = add_list(LIST, runtime)
    succeed("DEL", with_result(WEB, result), runtime)
    assert nothing_left(fresh, inside("c1")) == []
    succeed("DEL", with_result(SBR, result), runtime)
    result = add_list(LIST, runtime)
    run("ip link del eth0", netns="c1")
    delete_list(LIST, runtime, result)
    assert nothing_left(fresh, inside("c1")) == []
    result = add_list(LIST, runtime)
    run("ip link set eth0 down", netns="c1")
    delete_list(LIST, runtime, result)
    assert nothing_left(fresh, inside("c1")) == []
    result = add_list(LIST, runtime)
    run("ip netns del c1")
    delete_list(LIST, runtime, result)
    assert nothing_left(baseline, rest()) == []
    assert not Path("/run/netns/c1").exists()


@pytest.mark.parametrize("told", [True, False])
@in_host
def test_del_without_a_record(told: bool) -> None:
    """The rules go by prevResult, or by the addresses that the interface has."""
    runtime = container("c1")
    fresh = inside("c1")
    result = add_list(LIST, runtime)
    run("ip rule add from 10.77.0.1 lookup 77", netns="c1")
    for path in Path("/run/pynet").glob("pynet.db*"):
        path.unlink()
    succeed("DEL", with_result(SBR, result if told else None), runtime)
    assert rules(4) == ["from 10.77.0.1 lookup 77"] and rules(6) == []
    succeed("DEL", with_result(WEB, result), runtime)
    run("ip rule del from 10.77.0.1 lookup 77", netns="c1")
    assert nothing_left(fresh, inside("c1")) == []


# --- containers that the reference plugins attached ---------------------------------------------

BIN = Path("/opt/cni/bin")
REPLACED = ("bridge", "host-local", "sbr")
OLD = [{**one, "cniVersion": "1.0.0", "name": "old"} for one in (drive.PLAIN_BRIDGE, SBR)]


def attached_by_the_reference(runtime: Runtime) -> Any:
    """By plugins that pynet has taken the place of since, as `pynet install` does."""
    theirs = Executables(BIN / ".pynet-replaced")
    theirs.folder.mkdir(parents=True)
    for name in REPLACED:
        shutil.copy(REFERENCE / name, theirs.folder / name)
    result = None
    for config in OLD:
        process = theirs.start_here("ADD", with_result(config, result), runtime)
        said, log = process.communicate(timeout=PATIENCE)  # the reference's sbr tells all it does
        assert process.returncode == 0, log
        result = json.loads(said)
    Executables.install(BIN)
    return result


@needs_reference("sbr")
@pytest.mark.parametrize("told", [True, False])
@in_host
def test_what_the_reference_attached_is_checked_and_taken_down(told: bool) -> None:
    runtime = container("c1")
    fresh = inside("c1")
    result = attached_by_the_reference(runtime)
    assert rules(4) == ["from 10.1.0.2 lookup 100"] and shown("route show table main") == []
    second = replace(runtime, interface="eth1")
    ours = add_list(SECOND, second)
    assert rules(4) == ["from 10.2.0.2 lookup 101", "from 10.1.0.2 lookup 100"]
    for config in OLD:
        succeed("CHECK", with_result(config, result), runtime)
    succeed("DEL", with_result(OLD[1], result if told else None), runtime)
    assert rules(4) == ["from 10.2.0.2 lookup 101"]
    succeed("DEL", with_result(OLD[0], result), runtime)
    check_list(SECOND, second, ours)
    delete_list(SECOND, second, ours)
    assert nothing_left(fresh, inside("c1")) == []


@needs_reference("sbr")
@in_host
def test_what_the_reference_attached_in_a_namespace_that_is_gone() -> None:
    """Its own DEL fails then, and leaves a file at the namespace's path."""
    runtime = container("c1")
    result = attached_by_the_reference(runtime)
    run("ip netns del c1")
    delete_list(OLD, runtime, result)
    assert not Path(runtime.netns).exists()
