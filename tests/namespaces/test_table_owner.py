"""Whose a host's tables are: a store's, until it is gone; what was restored is nobody's."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import drive
import pytest
from chains import LEDGER, Config, add_list, delete_list, foreign_ipam
from drive import BRIDGE, FIREWALL, LOOPBACK, PORTMAP, STATE, Runtime, call
from evidence import elements, rows
from executables import NEVER, REQUIRE, Executables, daemon, until
from losses import hidden, removed, unlinked
from scenes import (
    add,
    container,
    in_host,
    run,
    stderr_of,
    succeed,
    the_error,
    wait_for,
    whole,
)

from pynet.daemon.serve import Services
from pynet.kernel import namespaces
from pynet.kernel.nft import owner
from pynet.kernel.nft.table import Table
from pynet.model.owner import Owner
from pynet.model.resources import SharedElement
from pynet.store.others import is_gone
from pynet.store.store import Store
from pynet.testnets.lab.lab import Host

OTHER = Path("/run/other")
SAVED = Path("/run/saved.nft")
ELSEWHERE: dict[str, Any] = {
    **BRIDGE,
    "name": "db",
    "bridge": "cni1",
    "ipam": {"type": "host-local", "subnet": "10.2.0.0/24"},
}


def ours() -> set[str]:
    return {line for line in elements() if line.startswith("element")}


def as_other(command: str, config: dict[str, Any], runtime: Runtime) -> Any:
    """A call that has another state directory."""
    return call(command, config, runtime, Services(OTHER))


# --- a second store -------------------------------------------------------------------------


@in_host
def test_a_second_store_is_refused_and_both_are_named() -> None:
    one, two = container("one"), container("two")
    add(BRIDGE, one)
    before = whole()
    for command in ("ADD", "STATUS"):
        error = the_error(as_other(command, ELSEWHERE, two))
        assert error["code"] == 105
        for directory in (STATE, OTHER):
            assert str(directory) in error["msg"]
        for path in (STATE, OTHER):
            assert Store.open(path).owner().store in error["details"]
    assert whole() == before
    assert as_other("DEL", ELSEWHERE, two).status == 0
    assert whole() == before
    succeed("DEL", BRIDGE, one)


@in_host
def test_what_has_nothing_to_do_with_the_host_is_refused_too() -> None:
    """It would have to be told apart by each plugin, and the next of the chain is refused."""
    one, two = container("one"), container("two")
    add(BRIDGE, one)
    assert the_error(as_other("ADD", LOOPBACK, two))["code"] == 105
    succeed("DEL", BRIDGE, one)


@in_host
def test_a_reload_of_a_second_store_leaves_the_tables_alone() -> None:
    one = container("one")
    add(BRIDGE, one)
    Store.open(OTHER).close()
    before = run("nft list ruleset")
    reload = f"python3 -I -m pynet.cli --state-dir {OTHER} reload"
    assert f"kept by store {Store.open(STATE).owner().store[:12]} in {STATE}" in _failing(reload)
    assert run("nft list ruleset") == before
    succeed("DEL", BRIDGE, one)


@in_host
def test_a_second_store_takes_no_container_of_the_first_for_one_without_a_record() -> None:
    one = container("one")
    add(BRIDGE, one)
    before = elements()
    for command in ("GC", "CHECK", "DEL"):
        as_other(command, ELSEWHERE, one)
        assert rows(OTHER) == set()
    assert elements() == before
    succeed("DEL", BRIDGE, one)


@in_host
def test_a_del_of_a_second_store_takes_nothing_from_who_lives_by_the_first() -> None:
    """A runtime sends it after the ADD that was refused; with the result, where it has one."""
    foreign_ipam()
    others: Config = {**ELSEWHERE, "ipam": {"type": "ledger"}}
    plugins: tuple[Config, ...] = (BRIDGE, PORTMAP, FIREWALL, others)
    one = container("one")
    result = add_list(plugins[:3], one)
    add(others, replace(one, interface="eth1"))
    before = whole()
    for config in plugins:
        runtime = replace(one, interface="eth1") if config is others else one
        for given in ({}, {"prevResult": result}):
            assert the_error(as_other("ADD", {**config, **given}, runtime))["code"] == 105
            said = stderr_of(
                lambda c={**config, **given}, r=runtime: as_other("DEL", c, r)  # type: ignore[misc]
            )
            assert str(STATE) in said and "is not on record here" in said
    assert whole() == before
    assert (LEDGER / "one").exists()
    succeed("DEL", others, replace(one, interface="eth1"))
    delete_list(plugins[:3], one, result)
    assert not (LEDGER / "one").exists()


def _failing(command: str) -> str:
    import subprocess
    import sys

    argv = [sys.executable, *command.split()[1:]]
    done = subprocess.run(argv, capture_output=True, text=True)
    assert done.returncode != 0
    return done.stdout + done.stderr


def test_a_daemon_of_a_second_store_does_not_fight(host: Host, plugins: Executables) -> None:
    """Neither for the tables nor with what others change in them."""
    host.container("c1")
    assert plugins.call(host, "ADD", BRIDGE, **NEVER).status == 0
    host.run(["mv", str(STATE), str(OTHER)])
    host.run(["mkdir", "-m", "700", str(STATE)])
    # Its containers' records are the other's now; who comes is told by the mark that it gets.
    assert plugins.call(host, "CHECK", BRIDGE, PYNET_STATE_DIR=str(OTHER), **NEVER)
    host.call(claimed_by_other)
    with daemon(host):
        outcome = plugins.call(host, "ADD", ELSEWHERE, **REQUIRE)
        assert outcome.document["code"] == 105
        host.run(["nft", "flush set inet pynet masquerade4"])
        host.run(["nft", "add rule inet pynet closed drop"])
        before = host.run(["nft", "list", "ruleset"]).stdout
        outcome = plugins.call(host, "ADD", ELSEWHERE, **REQUIRE)
        assert outcome.document["code"] == 105
        assert host.run(["nft", "list", "ruleset"]).stdout == before
    host.run(["rm", "-rf", str(STATE)])
    host.run(["mv", str(OTHER), str(STATE)])
    assert plugins.call(host, "DEL", BRIDGE, **NEVER).status == 0


def claimed_by_other() -> None:
    own = namespaces.own()
    table = Table(own)
    table.ensure([], [], Store.open(OTHER).owner())
    table.close()
    os.close(own)


# --- a store that is gone -----------------------------------------------------------------------


@pytest.mark.parametrize("lose", [removed, unlinked, hidden])
@pytest.mark.parametrize("state", [STATE, OTHER])
def test_the_tables_of_a_store_that_is_gone_go_over(
    host: Host, lose: Callable[[], None], state: Path
) -> None:
    host.call(taken_over, lose, state)


def taken_over(lose: Callable[[], None], state: Path) -> None:
    one, two = container("one"), container("two")
    add(BRIDGE, one)
    run("ip netns del one")
    wait_for(lambda: "veth" not in run("ip link"))  # the kernel takes its time
    run("nft add element bridge pynet guarded { vethdead }")
    lose()
    outcome = call("ADD", ELSEWHERE, two, Services(state))
    assert outcome.status == 0, outcome.stdout
    assert not any("10.1.0." in line or "vethdead" in line for line in ours())
    assert any("10.2.0." in line for line in ours())
    assert call("DEL", ELSEWHERE, two, Services(state)).status == 0
    assert ours() == set()


@contextmanager
def table_here() -> Iterator[Table]:
    own = namespaces.own()
    table = Table(own)
    yield table
    table.close()
    os.close(own)


@in_host
def test_the_same_path_on_another_file_system_is_another_store() -> None:
    """A container with the host's network has a /run of its own: nothing here can see that one."""
    mine = Store.open(STATE).owner()
    there = Owner(mine.boot, "f" * 32, mine.directory, mine.device + 1000)
    assert not is_gone(there, mine)
    with table_here() as table:
        table.ensure([], [SharedElement(set="masquerade4", item=("10.1.0.2",))], there)
    error = the_error(call("ADD", ELSEWHERE, container("two")))
    assert error["code"] == 105
    assert "on a file system that is not mounted here" in error["msg"]
    assert "--state-dir" not in error["msg"]
    assert json.loads(error["details"]) == {"f" * 32: mine.directory, mine.store: mine.directory}


@in_host
def test_another_boot_s_store_is_gone() -> None:
    mine = Store.open(STATE).owner()
    assert is_gone(Owner("e" * 32, "f" * 32, mine.directory, mine.device + 1000), mine)


# --- the mark -------------------------------------------------------------------------------------


@in_host
def test_a_mark_tells_all_of_its_owner() -> None:
    mine = Store.open(STATE).owner()
    with table_here() as table:
        table.ensure([], [SharedElement(set="masquerade4", item=("10.1.0.2",))], mine)
        assert [one.owner for one in table.found()] == [mine]
        long = Owner(mine.boot, "a" * 32, "/run/" + "long/" * 60, 2**63)
        assert owner.claim(table._socket, "inet", long)
        (found,) = table.found()
        assert found.owner is not None
        assert (found.owner.store, found.owner.device) == (long.store, long.device)
        assert long.directory.startswith(found.owner.directory)


@in_host
def test_of_two_that_claim_a_table_at_once_one_has_it() -> None:
    mine = Store.open(STATE).owner()
    other = Owner(mine.boot, "a" * 32, "/run/other", mine.device)
    with table_here() as table:
        table.make(["inet"])
        sock = table._socket
        transaction = sock.transaction

        def beaten(changes: Any) -> dict[int, int]:
            sock.transaction = transaction  # type: ignore[method-assign]
            assert owner.claim(sock, "inet", other)
            return transaction(changes)

        sock.transaction = beaten  # type: ignore[method-assign]
        assert not owner.claim(sock, "inet", mine)
        assert owner.owner(sock, "inet") == other


# --- saved and restored -----------------------------------------------------------------


@in_host
def test_what_a_saved_ruleset_brings_back_goes_with_the_next_add() -> None:
    """`nftables.service` does it at each start; without a daemon nobody hears of it."""
    one, two = container("one"), container("two")
    portmap = {**PORTMAP, "prevResult": add(BRIDGE, one)}
    add(portmap, one)
    SAVED.write_text("flush ruleset\n" + run("nft list ruleset"))
    for config in (portmap, BRIDGE):
        succeed("DEL", config, one)
    run("ip netns del one")
    run(f"nft -f {SAVED}")
    assert any("8080" in line for line in ours())
    with table_here() as table:
        assert [found.owner for found in table.found()] == [None, None]
        assert all(map(table.is_damaged, ("inet", "bridge")))
    add(ELSEWHERE, two)
    assert not any("10.1.0." in line or "8080" in line for line in ours())
    with table_here() as table:
        assert {found.owner for found in table.found()} == {Store.open(STATE).owner()}
    succeed("DEL", ELSEWHERE, two)


def test_a_daemon_sees_to_what_a_saved_ruleset_brings_back(
    host: Host, plugins: Executables
) -> None:
    host.container("c1")
    with daemon(host):
        assert plugins.call(host, "ADD", drive.BRIDGE, **REQUIRE).status == 0
        standing = host.call(ours)
        saved = b"flush ruleset\n" + host.run(["nft", "list", "ruleset"]).stdout
        assert plugins.call(host, "DEL", drive.BRIDGE, **REQUIRE).status == 0
        host.run(["nft", "-f", "-"], input=saved)
        assert standing
        until(lambda: not host.call(ours), "what was saved stays")
