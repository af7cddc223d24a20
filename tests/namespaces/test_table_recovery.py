"""`nft flush ruleset` under running containers: the daemon puts our tables back by itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from drive import BRIDGE, PORTMAP, Runtime
from evidence import elements, nothing_left, rest
from executables import NEVER, REQUIRE, Executables, asleep, daemon, until

from pynet.kernel import namespaces
from pynet.kernel.nft.events import Changes, Watch
from pynet.kernel.nft.table import Table
from pynet.kernel.warm import HostEntry, Warm
from pynet.model.resources import SharedElement
from pynet.testnets.lab.lab import Host, Lab

pytestmark = pytest.mark.usefixtures("container")


@pytest.fixture
def container(host: Host, baseline: set[str]) -> Iterator[None]:
    """c1. At the end nothing is left of what was attached."""
    host.container("c1")
    yield
    assert nothing_left(baseline, host.call(rest)) == []


def attach(host: Host, plugins: Executables, **environ: str) -> dict[str, Any]:
    """c1, with a published port; portmap's configuration, for its DEL."""
    added = plugins.call(host, "ADD", BRIDGE, **environ)
    assert added.status == 0, added
    config = {**PORTMAP, "prevResult": added.document}
    published = plugins.call(host, "ADD", config, **environ)
    assert published.status == 0, published
    return config


def detach(host: Host, plugins: Executables, config: dict[str, Any]) -> None:
    for each in (config, BRIDGE):
        outcome = plugins.call(host, "DEL", each, **NEVER)
        assert outcome.status == 0, outcome


def standing(host: Host) -> set[str]:
    """Elements and rules of our tables; handles of rules are new ones each time."""
    return {line for line in host.call(elements) if line.startswith("element")} | {
        f"rule {line.strip()}" for line in host.run(["nft", "list", "ruleset"]).stdout.decode()
        .splitlines() if " comment " in line
    }  # fmt: skip


@pytest.mark.parametrize(
    "spoil",
    ["flush ruleset", "delete table inet pynet", "delete table bridge pynet",
     "flush table inet pynet", "flush chain inet pynet postrouting",
     "flush set inet pynet masquerade4", "flush map inet pynet published4_any",
     "delete element inet pynet published6_any { tcp . 8080 }",
     "add table ip x; delete element inet pynet masquerade4 { 0 . 10.1.0.3 }; delete table ip x"],
)  # fmt: skip
def test_the_daemon_puts_back_what_somebody_deletes(
    host: Host, plugins: Executables, spoil: str
) -> None:
    with daemon(host):
        config = attach(host, plugins, **REQUIRE)
        before = standing(host)
        assert any("published" in line for line in before)
        host.run(["nft", spoil])
        until(lambda: standing(host) == before, "what was deleted is not put back")
        detach(host, plugins, config)


def test_one_rule_deleted_is_put_back(host: Host, plugins: Executables) -> None:
    with daemon(host):
        config = attach(host, plugins, **REQUIRE)
        before = standing(host)
        listed = host.run(["nft", "-a", "list", "chain", "inet", "pynet", "postrouting"])
        (rule,) = [line for line in listed.stdout.decode().splitlines() if "@masquerade4" in line]
        handle = rule.split()[-1]
        host.run(["nft", f"delete rule inet pynet postrouting handle {handle}"])
        until(lambda: standing(host) == before, "the rule is not put back")
        detach(host, plugins, config)


_FLUSHED_UNDER = """
import subprocess
import sys
from pynet.daemon import __main__ as pynetd
from pynet.daemon import recovery

whole = recovery.reconcile

def reconcile(site):
    found = whole(site)
    recovery.reconcile = whole
    subprocess.run(["nft", "flush ruleset; add table ip flushed"], check=True)
    return found

recovery.reconcile = reconcile
sys.exit(pynetd.main())
"""


def test_what_is_flushed_while_a_daemon_starts_is_put_back(
    host: Host, plugins: Executables
) -> None:
    """Just after its first look, at which all was well."""
    config = attach(host, plugins, **NEVER)
    before = standing(host)
    with host.popen([sys.executable, "-I", "-c", _FLUSHED_UNDER]) as process:
        until(lambda: b"flushed" in host.run(["nft", "list", "tables"]).stdout, "it does not look")
        until(lambda: standing(host) == before, "what was flushed is not put back")
        process.kill()
    host.run(["nft", "delete table ip flushed"])
    detach(host, plugins, config)


@pytest.mark.real_root  # so much in one send
def test_more_than_can_be_told_is_put_back(host: Host, plugins: Executables) -> None:
    """The kernel drops what a listener has no room for, and says that it did."""
    noise = "".join(f"add set ip x s{n} {{ type ipv4_addr; }}\n" for n in range(20_000))
    text = f"add table ip x\n{noise}flush set inet pynet masquerade4\ndelete table ip x\n"
    with daemon(host):
        config = attach(host, plugins, **REQUIRE)
        before = standing(host)
        host.run(["nft", "-f", "-"], input=text.encode())
        until(lambda: standing(host) == before, "what was deleted is not put back")
        detach(host, plugins, config)


def test_what_others_of_ours_take_away_stays_away(host: Host, plugins: Executables) -> None:
    """A DEL without the daemon is somebody else's change, too."""
    with daemon(host) as pid:
        config = attach(host, plugins, **REQUIRE)
        assert plugins.call(host, "DEL", config, **NEVER).status == 0
        asleep(pid)
        assert not any("element published" in line for line in host.call(elements))
        assert plugins.call(host, "DEL", BRIDGE, **NEVER).status == 0


def test_our_own_changes_are_passed_over(host: Host) -> None:
    assert host.call(told_of_changes) == [
        [],
        [("inet", "masquerade4", bytes(4) + b"\x0a\x01\x00\x02")],
    ]


def told_of_changes() -> list[list[tuple[str, str, bytes]]]:
    """What is heard of an element put in and taken out: by ourselves, then by another."""
    own = namespaces.own()
    table = Table(own)
    table.make(["inet"])
    element = SharedElement(set="masquerade4", item=("10.1.0.2",))
    changes = Changes(own, table.port)
    told = []
    for take in (
        lambda: table.delete([element]),
        lambda: nft("delete element inet pynet masquerade4 { 0 . 10.1.0.2 }"),
    ):
        table.create([element])
        take()
        before = changes.quiet()
        found = changes.heard()
        assert not (found.ours or found.forward or found.lost)
        assert (before is None) == bool(found.removed)
        assert changes.quiet() not in (None, before)
        told.append(sorted(found.removed))
    changes.close()
    table.close()
    os.close(own)
    return told


def test_what_a_table_tells_holds_until_somebody_changes_something(lab: Lab) -> None:
    answers = lab.host("listening").call(held_answers)
    assert answers == [["inet"], ["inet"], 0, 32769, 0, 32770, 0, []]


def held_answers() -> list[Any]:
    """Of a table that is listened to: what is there, and an interface's zone."""
    own = namespaces.own()
    table = Table(own)
    table.make(["inet"])
    table.changes = Changes(own, table.port)

    def there() -> list[str]:
        return [found.family for found in table.found()]

    element = SharedElement(set="zones", item=("br0",), value="32770")
    answers: list[Any] = [there(), there(), table.zone_of("br0")]
    nft("add element inet pynet zones { br0 : 32769 }")
    answers.append(table.zone_of("br0"))
    nft("delete element inet pynet zones { br0 }")
    answers.append(table.zone_of("br0"))
    table.create([element])
    answers.append(table.zone_of("br0"))
    table.delete([element])
    answers.append(table.zone_of("br0"))
    nft("delete table inet pynet")
    answers.append(there())
    table.changes.close()
    table.close()
    os.close(own)
    return answers


def nft(command: str) -> None:
    subprocess.run(["nft", command], check=True)


def test_what_was_deleted_while_nobody_watched_is_put_back_at_the_start(
    host: Host, plugins: Executables
) -> None:
    config = attach(host, plugins, **NEVER)
    before = standing(host)
    host.run(["nft", "flush", "ruleset"])
    with daemon(host):
        until(lambda: standing(host) == before, "it did not look when it started")
        host.run(["nft", "flush", "ruleset"])
        until(lambda: standing(host) == before, "it does not watch a host it has not served")
        detach(host, plugins, config)


def test_without_a_daemon_the_next_add_does(host: Host, plugins: Executables) -> None:
    config = attach(host, plugins, **NEVER)
    before = standing(host)
    host.run(["nft", "flush", "ruleset"])
    host.container("c2")
    other = Runtime("c2", "/run/netns/c2", environ=dict(NEVER))
    assert plugins.call(host, "ADD", BRIDGE, other).status == 0
    assert before <= standing(host)
    assert plugins.call(host, "DEL", BRIDGE, other).status == 0
    detach(host, plugins, config)


def test_other_people_s_changes_are_left_alone(host: Host, plugins: Executables) -> None:
    with daemon(host) as pid:
        config = attach(host, plugins, **REQUIRE)
        host.run(["nft", "add", "table", "inet", "theirs"])
        host.run(["nft", "flush", "ruleset"])
        until(lambda: "pynet" in tables(host), "what was deleted is not put back")
        assert "theirs" not in tables(host)
        before = host.run(["nft", "-a", "list", "ruleset"]).stdout
        host.run(["nft", "add", "table", "inet", "theirs"])
        host.run(["nft", "delete", "table", "inet", "theirs"])
        asleep(pid)
        # The same handles: nothing was made a second time.
        assert host.run(["nft", "-a", "list", "ruleset"]).stdout == before
        detach(host, plugins, config)


def tables(host: Host) -> str:
    return host.run(["nft", "list", "tables"]).stdout.decode()


def test_a_host_s_namespace_that_is_gone_is_let_go(host: Host) -> None:
    assert host.call(watched_after_a_while) == ["own"]


def watched_after_a_while() -> list[str]:
    """Whose changes are still heard of, once nobody has used them for long."""
    watch: Watch[HostEntry] = Watch()
    warm = Warm(watch)
    entries = {}
    for name, path in (("c1", "/run/netns/c1"), ("own", "/proc/self/ns/net")):
        namespace = namespaces.open_namespace(path)
        entries[name] = warm.enter(namespace, name)
        entries[name].table(namespace)
        os.close(namespace)
        warm.leave(entries[name])
    warm.expire(0.0)
    found = []
    for name, entry in entries.items():
        if warm.resume(entry):
            found.append(name)
            warm.leave(entry)
    del entries, entry
    for path in ("/run/netns/c1", "/proc/self/ns/net"):
        subprocess.run(["nsenter", f"--net={path}", "nft", "add", "table", "x"], check=True)
    nft("delete table x")
    heard = watch.wait()
    assert len(heard) == len(found)
    heard.clear()
    warm.close()
    return found


def test_by_hand_all_is_put_back_and_said(host: Host, plugins: Executables) -> None:
    def reload(*flags: str) -> tuple[int, str]:
        argv = [sys.executable, "-I", "-m", "pynet.cli", "reload", *flags]
        done = host.run(argv, check=False)
        return done.returncode, done.stdout.decode()

    assert reload() == (0, "nothing is recorded for this host, so there is nothing to put back\n")
    config = attach(host, plugins, **NEVER)
    before = standing(host)
    status, said = reload()
    assert (status, said[:19]) == (0, "all is as recorded ")
    host.run(["nft", "flush", "ruleset"])
    host.run(["sysctl", "-w", "net.ipv4.ip_forward=0"])
    status, said = reload("--json")
    document = json.loads(said)
    assert status == 0
    assert document["schema"] == "pynet.reload/1"
    assert document["left"] == []
    assert document["resources"] >= len(document["wrong"]) > 3
    assert "sysctl net/ipv4/ip_forward" in [drift["subject"] for drift in document["wrong"]]
    assert standing(host) == before
    assert host.run(["sysctl", "-n", "net.ipv4.ip_forward"]).stdout == b"1\n"
    host.run(["nft", "flush", "table", "inet", "pynet"])
    status, said = reload()
    assert status == 0
    assert said.startswith("put right (")
    assert standing(host) == before
    detach(host, plugins, config)
