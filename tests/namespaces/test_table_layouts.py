"""A host whose tables another version made: brought up to date in one step, or left alone."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from drive import BRIDGE, PORTMAP, STATE, Runtime
from evidence import elements
from executables import NEVER, REQUIRE, Executables, daemon, until
from scenes import add, container, in_host, run, succeed, the_error
from test_nft_traffic import PORT, V4, Site, _socket
from test_nft_traffic import site as site

from pynet.kernel import namespaces
from pynet.kernel.nft import owner
from pynet.kernel.nft.table import Table
from pynet.model.owner import Owner
from pynet.model.resources import Element, MasqueradePrefix, PublishedPort, SharedElement
from pynet.store.store import Store
from pynet.testnets.lab.lab import Host

LAYOUT_1 = (Path(__file__).parent.parent / "fixtures" / "layout1.nft").read_text()
OWNER = Owner(boot="0" * 32, store="1" * 32, directory="/run/pynet", device=5)
PREFIX = MasqueradePrefix(family=4, length=24)
RECORDED = (
    SharedElement(set="masquerade4", item=("10.1.0.2",)),
    SharedElement(set="network4_24", item=("10.1.0.0", "10.1.0.0")),
    Element(set="allowed", item=("veth1", "02:00:00:00:00:01")),
    Element(set="guarded", item=("drop",)),  # a word of nft's
    Element(set="bridged", item=("odd*",)),  # a wildcard, as nft reads it
    PublishedPort(protocol="tcp", host_address="0.0.0.0", host_port=80, address="10.1.0.2", port=8),
)


def nft(text: str) -> None:
    subprocess.run(["nft", "-f", "-"], input=text.encode(), check=True)


def older(*more: str) -> None:
    """The tables as layout 1 has them, in place of what there is."""
    nft("\n".join(["flush ruleset", LAYOUT_1, *more]))


def older_with_container() -> None:
    older(
        "add element inet pynet masquerade4 { 10.1.0.2 }",
        "add element inet pynet network4_24 { 10.1.0.0 . 10.1.0.0 }",
        "add element bridge pynet guarded { gone0 }",
    )


def older_and_ours() -> None:
    """Today's tables under the numbers before, named ours: as upgrades find them from now on."""
    text = run("nft list table inet pynet") + run("nft list table bridge pynet")
    for number in (2, 3):
        text = text.replace(f"pynet layout {number}:", f"pynet layout {number - 1}:")
    nft(f"flush ruleset\n{text}\nadd element bridge pynet guarded {{ gone0 }}")
    own = namespaces.own()
    table = Table(own)
    for family in ("inet", "bridge"):
        assert owner.claim(table._socket, family, Store.open(STATE).owner())
    table.close()
    os.close(own)


def newer() -> None:
    """The tables as a later version might have them: one set more, and another number."""
    text = run("nft list table inet pynet").replace("pynet layout 2", "pynet layout 3")
    later = "add set inet pynet later { type ipv4_addr; elements = { 10.1.0.2 } }"
    nft(f"delete table inet pynet\n{text}\n{later}")


def ours() -> set[str]:
    return {line for line in elements() if line.startswith("element")}


# --- one step ---------------------------------------------------------------------------


@in_host
def test_an_older_table_is_replaced_with_all_that_is_recorded() -> None:
    older_with_container()
    own = namespaces.own()
    table = Table(own)
    assert [(one.family, one.is_older, one.owner) for one in table.found()] == [
        ("inet", True, None),
        ("bridge", True, None),
    ]
    assert table.ensure([PREFIX], RECORDED, OWNER)
    assert (table.version("inet"), table.version("bridge")) == (2, 3)
    assert [(one.is_older, one.owner) for one in table.found()] == 2 * [(False, OWNER)]
    assert table.surplus(RECORDED) == []
    assert len(table.contents()) == len(RECORDED)
    assert "published4_0a1b2c3d" not in run("nft list ruleset"), "a condition nobody has"
    assert not any(map(table.is_damaged, ("inet", "bridge")))
    assert not table.ensure([PREFIX], RECORDED, OWNER), "there is nothing left to replace"
    table.close()
    os.close(own)


@in_host
def test_elements_come_with_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not one moment after it, but for names that nft has no way to write."""
    older_with_container()
    own = namespaces.own()
    table = Table(own)
    monkeypatch.setattr(table, "_put", lambda entries: None)
    table.ensure([PREFIX], RECORDED)
    missing = [one for one in RECORDED if not table.exists(one)]
    assert [one.item for one in missing if isinstance(one, Element)] == [("odd*",)]
    assert len(missing) == 1
    table.close()
    os.close(own)


def test_no_packet_meets_a_table_without_its_elements(site: Site) -> None:
    """New flows all the time, while a table is replaced again and again."""
    older_text = f"delete table inet pynet\n{_inet_of(LAYOUT_1)}"
    older_text += f"add element inet pynet masquerade4 {{ {V4.c1} }}\n"
    network, address = V4.resources(V4.c1)
    site.host.run(["nft", "-f", "-"], input=LAYOUT_1.encode())
    site.host.run(["nft", "-f", "-"], input=older_text.encode())
    enough, seen = threading.Event(), set()

    def send() -> None:
        with _socket(site.far, socket.AF_INET, socket.SOCK_DGRAM) as into:
            into.bind(("", PORT))
            while not enough.is_set():
                with _socket(site.containers["c1"], socket.AF_INET, socket.SOCK_DGRAM) as out:
                    out.sendto(b"?", (V4.far, PORT))
                    seen.add(into.recvfrom(16)[1][0])

    sender = threading.Thread(target=send)
    sender.start()
    try:
        for _ in range(20):
            site.table.ensure([V4.prefix], [network, address])
            assert site.table.version("inet") == 2
            site.host.run(["nft", "-f", "-"], input=older_text.encode())
    finally:
        enough.set()
        sender.join()
    assert seen == {V4.near}


def _inet_of(text: str) -> str:
    lines = text.splitlines(keepends=True)
    return "".join(line for line in lines if " bridge pynet" not in f" {line}")


@pytest.mark.parametrize(
    "damage",
    [
        "add table inet pynet { flags dormant; }",
        "flush chain inet pynet raw; delete set inet pynet bridged",
        "flush chain inet pynet masquerade4; flush chain inet pynet postrouting;"
        " delete set inet pynet masquerade4; add set inet pynet masquerade4 { type ipv4_addr; }",
    ],
)
def test_a_table_that_can_not_be_mended_is_replaced(host: Host, damage: str) -> None:
    host.call(replaced_after, damage)


def replaced_after(damage: str) -> None:
    own = namespaces.own()
    table = Table(own)
    table.ensure([PREFIX], RECORDED, OWNER)
    assert not table.is_damaged("inet")
    run(f"nft {damage}")
    assert table.is_damaged("inet")
    assert table.ensure([PREFIX], RECORDED, OWNER)
    assert not table.is_damaged("inet")
    assert table.surplus(RECORDED) == [] and len(table.contents()) == len(RECORDED)
    table.close()
    os.close(own)


# --- whoever comes first --------------------------------------------------------------------


def _add(two: Runtime, portmap: dict[str, Any]) -> None:
    add(BRIDGE, two)


def _check(two: Runtime, portmap: dict[str, Any]) -> None:
    succeed("CHECK", portmap, Runtime("one", "/run/netns/one"))


def _gc(two: Runtime, portmap: dict[str, Any]) -> None:
    valid = [{"containerID": "one", "ifname": "eth0"}]
    succeed("GC", {**BRIDGE, "cni.dev/valid-attachments": valid}, Runtime())


def _reload(two: Runtime, portmap: dict[str, Any]) -> None:
    assert "layout was older" in run(f"{sys.executable} -m pynet.cli reload")
    assert "all as made" in run(f"{sys.executable} -m pynet.cli inspect")


@pytest.mark.parametrize("act", [_add, _check, _gc, _reload])
@pytest.mark.parametrize("found", [older_with_container, older_and_ours])
def test_whoever_comes_first_brings_it_up_to_date(
    host: Host, found: Callable[[], None], act: Callable[[Runtime, dict[str, Any]], None]
) -> None:
    host.call(upgraded_by, found, act)


def upgraded_by(found: Callable[[], None], act: Callable[[Runtime, dict[str, Any]], None]) -> None:
    one, two = container("one"), container("two")
    portmap = {**PORTMAP, "prevResult": add(BRIDGE, one)}
    add(portmap, one)
    before = ours()
    found()
    act(two, portmap)
    assert before <= ours()
    assert "layout 2" in run("nft list table inet pynet")
    assert "layout 3" in run("nft list table bridge pynet")
    assert "gone0" not in run("nft list table bridge pynet")
    for each in (portmap, BRIDGE):
        succeed("DEL", each, one)
    succeed("DEL", BRIDGE, two)
    assert ours() == set()


@pytest.mark.parametrize("act", [_add, _gc])
@pytest.mark.parametrize("family", ["inet", "bridge"])
def test_whoever_comes_first_wakes_a_table_that_is_asleep(
    host: Host, act: Callable[[Runtime, dict[str, Any]], None], family: str
) -> None:
    host.call(woken_by, act, family)


def woken_by(act: Callable[[Runtime, dict[str, Any]], None], family: str) -> None:
    one, two = container("one"), container("two")
    guarded = {**BRIDGE, "macspoofchk": True}
    portmap = {**PORTMAP, "prevResult": add(guarded, one)}
    add(portmap, one)
    nft(f"add table {family} pynet {{ flags dormant; }}")
    act(two, portmap)
    assert "dormant" not in run(f"nft list table {family} pynet")
    for each, runtime in ((portmap, one), (guarded, one), (BRIDGE, two)):
        succeed("DEL", each, runtime)
    assert ours() == set()


@in_host
def test_a_del_that_comes_first_takes_out_its_own() -> None:
    one, two = container("one"), container("two")
    add(BRIDGE, two)
    rest = ours()
    portmap = {**PORTMAP, "prevResult": add(BRIDGE, one)}
    add(portmap, one)
    older_with_container()
    for each in (portmap, BRIDGE):
        succeed("DEL", each, one)
    assert ours() == rest


def test_a_daemon_that_starts_brings_it_up_to_date(host: Host, plugins: Executables) -> None:
    host.container("c1")
    assert plugins.call(host, "ADD", BRIDGE, **NEVER).status == 0
    before = host.call(ours)
    host.call(older_with_container)
    with daemon(host):
        until(lambda: host.call(ours) == before, "the older table stays")
    assert plugins.call(host, "DEL", BRIDGE, **NEVER).status == 0


# --- a newer one ----------------------------------------------------------------------------


@in_host
def test_a_newer_table_is_left_to_the_newer_version() -> None:
    one = container("one")
    portmap = {**PORTMAP, "prevResult": add(BRIDGE, one)}
    add(portmap, one)
    newer()
    before = run("nft list ruleset")
    for command in ("DEL", "CHECK", "GC", "STATUS", "ADD"):
        outcome = drive_call(command, portmap if command in ("DEL", "CHECK") else BRIDGE, one)
        error = the_error(outcome)
        assert error["code"] == 102
        assert "layout 3" in error["msg"] and "newer version of pynet" in error["msg"]
    for words in (["inspect"], ["reload"]):
        said = cli(*words)
        assert said.returncode == 1
        assert "newer version of pynet" in said.stdout + said.stderr
        assert "all as made" not in said.stdout and "pynet reload" not in said.stdout
    assert run("nft list ruleset") == before


def cli(*words: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "pynet.cli", *words]
    return subprocess.run(argv, capture_output=True, text=True)


def drive_call(command: str, config: dict[str, Any], runtime: Runtime) -> Any:
    from drive import call

    return call(command, config, runtime)


def test_a_daemon_leaves_before_a_newer_table(host: Host, plugins: Executables) -> None:
    host.container("c1")
    with daemon(host) as pid:
        assert plugins.call(host, "ADD", BRIDGE, **REQUIRE).status == 0
        host.call(newer)
        before = host.run(["nft", "list", "ruleset"]).stdout
        outcome = plugins.call(host, "DEL", BRIDGE)
        assert "newer version of pynet" in outcome.document["msg"]
        until(lambda: not host.call(lambda: Path(f"/proc/{pid}").exists()), "the daemon stays")
        assert host.run(["nft", "list", "ruleset"]).stdout == before
    assert json.loads(outcome.stdout)["code"] == 102
    host.run(["nft", "flush", "ruleset"])
    assert plugins.call(host, "DEL", BRIDGE, **NEVER).status == 0
