"""Somebody else in our tables, or a table put to sleep: seen, said, and mended like a deletion.

What decides is what the kernel does with packets: a rule at the head of a chain of ours, a chain
of somebody's beside them, a policy, a hook that is gone.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import drive
import pytest
from bridges import with_result
from drive import BRIDGE
from evidence import elements
from executables import REQUIRE, Executables, daemon, until
from scenes import add, container, in_host, refused, run, stderr_of, succeed, the_error

from pynet.cli.inspect.inspection import gather
from pynet.cli.reload import _reload
from pynet.kernel import namespaces
from pynet.kernel.nft import look
from pynet.kernel.nft.table import Table
from pynet.testnets.lab.lab import Host

DAMAGE = {
    "insert rule inet pynet forward drop": "a rule in chain inet pynet forward",
    "add rule inet pynet raw counter": "a rule in chain inet pynet raw",
    'insert rule inet pynet masquerade4 return comment "mine"': 'rule "mine" in chain',
    "replace rule inet pynet published_sources handle HANDLE counter accept comment"
    ' "back the same way, IPv4"': 'rule "back the same way, IPv4" in chain inet pynet',
    "replace rule inet pynet forward handle HANDLE accept comment"
    ' "to containers with a policy, IPv6"': "content is changed by somebody",
    "delete rule bridge pynet addresses handle HANDLE;"
    ' insert rule bridge pynet addresses accept comment "nobody\'s router or DHCP server"': (
        "router or DHCP server"
    ),
    "insert rule bridge pynet prerouting accept": "a rule in chain bridge pynet prerouting",
    "add table inet pynet { flags dormant; }": "flags is dormant",
    "add table bridge pynet { flags dormant; }": "flags is dormant",
    "add chain inet pynet forward { policy drop; }": "chain inet pynet forward: hook and policy",
    "add chain bridge pynet prerouting { policy drop; }": "chain bridge pynet prerouting: hook",
    "add chain inet pynet mine { type filter hook forward priority -5; policy drop; }": (
        "chain inet pynet mine is somebody else's"
    ),
    "add chain inet pynet mine; add rule inet pynet mine drop;"
    " insert rule inet pynet forward jump mine": "chain inet pynet mine is somebody else's",
    "flush chain inet pynet forward; delete chain inet pynet forward;"
    " add chain inet pynet forward": "hook and policy is none",
    "flush chain inet pynet raw; delete chain inet pynet raw": "chain inet pynet raw",
}


def ruleset() -> str:
    """Of ours: a table that was replaced is listed last."""
    return "".join(run(f"nft -s list table {family} pynet") for family in ("inet", "bridge"))


def do(damage: str) -> None:
    if " handle " in damage:
        damage = damage.replace("HANDLE", _handle(damage))
    Path("/run/damage").write_text(damage)
    run("nft -f /run/damage")


def _handle(damage: str) -> str:
    """The number of the rule that the damage is done to, by its comment."""
    family = "bridge" if " bridge " in damage else "inet"
    listed = run(f"nft -a list table {family} pynet").splitlines()
    comment = damage.partition(" comment ")[2]
    return next(line.split()[-1] for line in listed if comment in line)


@in_host
def test_it_is_said_and_mended_by_hand() -> None:
    runtime = container("c1")
    checked = with_result(BRIDGE, add(BRIDGE, runtime))
    before = ruleset()
    for damage, words in DAMAGE.items():
        do(damage)
        error = the_error(drive.call("CHECK", checked, runtime))
        assert error["code"] == 101 and words in f"{error}", damage
        assert not gather(Path("/run/pynet")).is_fine, damage
        done = _reload()
        assert any(words in str(drift) for drift in done.wrong), (damage, done)
        assert not done.left and not done.failures, (damage, done)
        assert ruleset() == before, damage
        succeed("CHECK", checked, runtime)
    assert not _reload().wrong


def test_the_daemon_mends_it(host: Host, plugins: Executables) -> None:
    host.container("c1")
    with daemon(host):
        assert plugins.call(host, "ADD", BRIDGE, **REQUIRE).status == 0
        before = host.call(ruleset)
        for damage in DAMAGE:
            host.call(do, damage)
            until(lambda: host.call(ruleset) == before, f"{damage}: it is not mended")
        assert plugins.call(host, "DEL", BRIDGE, **REQUIRE).status == 0
        empty = host.call(ruleset)
        host.call(do, next(iter(DAMAGE)))
        until(lambda: host.call(ruleset) == empty, "where nobody is attached it stays")


IN_OUR_PLACE = {
    "inet": "add set inet pynet masquerade4 { type ifname; }",
    "bridge": "add set bridge pynet allowed { type inet_service; }",
}


@pytest.mark.parametrize("is_on_record", [True, False], ids=["on record", "store lost"])
@pytest.mark.parametrize("family", list(IN_OUR_PLACE))
@in_host
def test_a_table_of_somebody_else_s_is_named_and_keeps_nobody_attached(
    family: str, is_on_record: bool
) -> None:
    """With a set of one of our names and of another type, by which no element can be asked for."""
    runtime = container("c1")
    given = with_result(BRIDGE, add(BRIDGE, runtime))
    for line in (f"delete table {family} pynet", f"add table {family} pynet"):
        run(f"nft {line}")
    run(f"nft {IN_OUR_PLACE[family]}")
    theirs = run(f"nft list table {family} pynet")
    if not is_on_record:
        for file in drive.STATE.iterdir():
            shutil.rmtree(file) if file.is_dir() else file.unlink()
    if is_on_record:
        refused(101, f"element {family} pynet", "CHECK", given, runtime)
    name = IN_OUR_PLACE[family].split(" {")[0].removeprefix("add ")
    said = stderr_of(lambda: succeed("DEL", given, runtime))
    assert f"{name} is none that pynet made" in said
    assert f"`nft delete table {family} pynet`" in said
    assert "veth" not in run("ip -br link") and "eth0" not in run("ip -n c1 -br link")
    assert run(f"nft list table {family} pynet") == theirs
    other = {"inet": "bridge", "bridge": "inet"}[family]
    assert not [line for line in elements() if line.startswith(other)]
    refused(102, f"{family} pynet|is none that pynet made", "ADD", BRIDGE, container("c2"))
    run(f"nft delete table {family} pynet")
    add(BRIDGE, runtime)


@in_host
def test_what_ours_have_added_is_nobody_else_s() -> None:
    """Prefixes and conditions of published ports have rules and chains that came later."""
    runtime = container("c1")
    result = add(BRIDGE, runtime)
    conditions = {"conditionsV4": ["-s", "192.0.2.0/24"]}
    mappings = {"runtimeConfig": {"portMappings": [{"hostPort": 80, "containerPort": 80}]}}
    portmap = {**drive.PORTMAP, **conditions, **mappings, "prevResult": result}
    add(portmap, runtime)
    assert "chain published4_" in ruleset()
    succeed("CHECK", portmap, runtime)
    assert not _reload().wrong


@in_host
def test_a_table_is_looked_at_once_for_all_its_elements(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = container("c1")
    checked = with_result(BRIDGE, add(BRIDGE, runtime))
    looks = []
    rules = look.rules
    monkeypatch.setattr(look, "rules", lambda *asked: looks.append(asked) or rules(*asked))
    succeed("CHECK", checked, runtime)
    assert sorted(family for _, family in looks) == ["bridge", "inet"]


@in_host
def test_every_layout_is_as_the_kernel_tells_it() -> None:
    own = namespaces.own()
    table = Table(own)
    os.close(own)
    table.make(["inet", "bridge"])
    assert [table._maker.drift(family) for family in ("inet", "bridge")] == [[], []]
    table.close()
