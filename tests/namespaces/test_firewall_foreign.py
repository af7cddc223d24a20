"""Hosts on which somebody else drops what is forwarded: a way through, and nothing left after."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from crashes import kills
from executables import daemon, until
from pair import Pair
from published import start_servers
from reachability import HOST, OUTSIDE, PORT, Site, reached
from scenes import in_host, run

from pynet.kernel.foreign import programs
from pynet.kernel.nft.table import Table
from pynet.model.forwarding import Blocker
from pynet.model.resources import SharedElement
from pynet.testnets.lab.lab import Host, Lab

VARIANTS = ("nft", "legacy")
BOTH = ("iptables", "ip6tables")


def tables(host: Host, variant: str, *commands: str) -> None:
    for program in BOTH:
        for command in commands:
            host.run([f"{program}-{variant}", *command.split()])


def listing(host: Host, variant: str) -> str:
    return "".join(host.run([f"{program}-{variant}", "-S"]).stdout.decode() for program in BOTH)


def drop(variant: str, host: Host) -> None:
    tables(host, variant, "-P FORWARD DROP", "-A FORWARD -i never0 -j ACCEPT")


def docker(variant: str, host: Host) -> None:
    """What dockerd writes, without a container."""
    drop(variant, host)
    for name in ("DOCKER-USER", "DOCKER"):
        tables(host, variant, f"-N {name}")
    tables(
        host,
        variant,
        "-A DOCKER-USER -j RETURN",
        "-I FORWARD -i docker0 -o docker0 -j ACCEPT",
        "-I FORWARD -i docker0 ! -o docker0 -j ACCEPT",
        "-I FORWARD -o docker0 -j DOCKER",
        "-I FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        "-I FORWARD -j DOCKER-USER",
    )


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("prepare", [drop, docker])
def test_containers_reach_each_other_and_the_world(
    lab: Lab, variant: str, prepare: Callable[[str, Host], None]
) -> None:
    site = Site.of(lab, prepare=partial(prepare, variant))
    assert site.ways_through()
    # What the host's owner keeps out stays out.
    assert site.closed()


@pytest.mark.parametrize("variant", VARIANTS)
def test_with_the_last_container_all_is_as_before(lab: Lab, variant: str) -> None:
    def prepare(host: Host) -> None:
        docker(variant, host)
        before.append(listing(host, variant))

    before: list[str] = []
    site = Site.of(lab, prepare=prepare)
    shown = listing(site.host, variant)
    assert shown.count('-A DOCKER-USER -m comment --comment "pynet: PYNET-FORWARD"') == 2
    assert "-i cni0" in shown and "-i cni1" in shown
    site.release(site.target)
    assert listing(site.host, variant) == shown
    site.release(site.other)
    assert "cni1" not in listing(site.host, variant)
    site.release(site.neighbour)
    assert listing(site.host, variant) == before[0]


@pytest.mark.parametrize("variant", VARIANTS)
def test_check_notices_what_was_taken_away_and_the_next_add_mends_it(
    lab: Lab, variant: str
) -> None:
    site = Site.of(lab, prepare=partial(docker, variant))
    site.succeed("CHECK", site.target)
    for spoil, words in (
        ("-F DOCKER-USER", "jump to PYNET-FORWARD"),
        ("-D PYNET-FORWARD 1", "accept for cni"),
    ):
        tables(site.host, variant, *spoil.split("|"))
        codes = {served.runtime.container: site.call("CHECK", served) for served in site.all}
        assert any(one.status and words in one.document["msg"] for one in codes.values())
        for served in site.all:
            site.release(served)
            site.guard(served)
        for served in site.all:
            site.succeed("CHECK", served)
    rules = [line for line in listing(site.host, variant).splitlines() if "pynet: cni" in line]
    assert len(rules) == len(set(rules)) * 2 == 12  # of both families, none twice


def test_a_firewall_that_comes_and_goes_is_noticed_by_the_daemon(lab: Lab) -> None:
    """For those who are attached already, as if it had been there before them."""

    def ours() -> list[str]:
        lines = listing(host, "nft").splitlines()
        return [line.partition(" -m comment")[0] for line in lines if "pynet" in line]

    def jumps() -> list[str]:
        return [line for line in ours() if "PYNET-FORWARD" not in line]

    site = Site.of(lab)
    host = site.host
    with daemon(host):
        assert ours() == []
        tables(host, "nft", "-P FORWARD DROP")
        until(lambda: jumps() == ["-A FORWARD"] * 2, "a policy is not noticed")
        out = {"-A PYNET-FORWARD -i cni0", "-A PYNET-FORWARD -i cni1"}
        until(lambda: out <= set(ours()), "nobody is let out")
        assert reached(site.ask("itself", "tcp", OUTSIDE["v4"], 80))
        docker("nft", host)
        until(lambda: jumps() == ["-A DOCKER-USER"] * 2, "Docker's chain is not noticed")
        complete = ours()
        assert reached(site.ask("outside", "tcp", HOST["v6"], PORT))
        tables(host, "nft", "-F DOCKER-USER")
        until(lambda: ours() == complete, "what was flushed is not put back")
        tables(host, "nft", "-F PYNET-FORWARD")
        until(lambda: sorted(ours()) == sorted(complete), "what was flushed is not put back")
        for served in site.all:
            site.succeed("CHECK", served)
        tables(host, "nft", "-P FORWARD ACCEPT")
        until(lambda: "PYNET" not in listing(host, "nft"), "it is left though nobody drops")
        for served in site.all:
            site.succeed("CHECK", served)
        tables(host, "nft", "-P FORWARD DROP")
        until(lambda: sorted(ours()) == sorted(complete), "it is not noticed a second time")
        host.run(["nft", "flush", "ruleset"])
        until(lambda: reached(site.ask("outside", "tcp", HOST["v4"], PORT)), "it is not restored")
        until(lambda: "PYNET" not in listing(host, "nft"), "it is left in what was made anew")
        docker("nft", host)
        until(lambda: sorted(ours()) == sorted(complete), "it is not noticed a third time")
        for served in site.all:
            site.release(served)
        assert "PYNET" not in listing(host, "nft")


def test_by_hand_it_is_noticed_too(lab: Lab) -> None:
    site = Site.of(lab)
    docker("nft", site.host)
    before = listing(site.host, "nft")
    reload = [sys.executable, "-I", "-m", "pynet.cli", "reload"]
    site.host.run(reload)
    assert listing(site.host, "nft").count("pynet: PYNET-FORWARD") == 2
    assert reached(site.ask("itself", "tcp", OUTSIDE["v4"], 80))
    tables(site.host, "nft", "-P FORWARD ACCEPT")
    site.host.run(reload)
    assert listing(site.host, "nft") == before.replace("FORWARD DROP", "FORWARD ACCEPT")


def test_into_docker_s_bridges_only_docker_lets_in(lab: Lab) -> None:
    site = Site.of(lab, prepare=partial(docker, "nft"))
    host = site.host
    host.run(["ip", "link", "add", "docker0", "type", "bridge"])
    host.run(["ip", "addr", "add", "172.17.0.1/16", "dev", "docker0"])
    host.run(["ip", "link", "set", "docker0", "up"])
    theirs = host.container("theirs")
    host.run(
        ["ip", "link", "add", "dock1", "type", "veth", "peer", "name", "eth0", "netns", "theirs"]
    )
    host.run(["ip", "link", "set", "dock1", "master", "docker0", "up"])
    theirs.run(["ip", "addr", "add", "172.17.0.2/16", "dev", "eth0"])
    theirs.run(["ip", "link", "set", "eth0", "up"])
    theirs.run(["ip", "route", "add", "default", "via", "172.17.0.1"])
    start_servers(lab, theirs)
    assert not reached(site.ask("itself", "tcp", "172.17.0.2", 80, hopeful=False))
    host.run(
        [
            "iptables-nft",
            "-A",
            "DOCKER",
            "-d",
            "172.17.0.2",
            "-p",
            "tcp",
            "--dport",
            "80",
            "-j",
            "ACCEPT",
        ]
    )
    assert reached(site.ask("itself", "tcp", "172.17.0.2", 80))


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_admin_s_chain_comes_first_and_stays(lab: Lab, variant: str) -> None:
    site = Site.of(lab, prepare=partial(drop, variant))
    for served in site.all:
        site.release(served)
        site.succeed("ADD", served, iptablesAdminChainName="ADMIN")
    shown = listing(site.host, variant).splitlines()
    ours = [line for line in shown if line.startswith("-A FORWARD") and "pynet" in line]
    jumps = [line.split()[-1] for line in ours]
    assert jumps == ["ADMIN", "PYNET-FORWARD"] * 2
    assert reached(site.ask("itself", "tcp", OUTSIDE["v4"], 80))
    tables(site.host, variant, "-A ADMIN -i cni0 -o out0 -p tcp --dport 80 -j DROP")
    assert not reached(site.ask("itself", "tcp", OUTSIDE["v4"], 80, hopeful=False))
    site.succeed("CHECK", site.target, iptablesAdminChainName="ADMIN")
    for served in site.all:
        site.succeed("DEL", served, iptablesAdminChainName="ADMIN")
    left = listing(site.host, variant)
    assert "-A ADMIN -i cni0" in left
    assert "pynet" not in left


def test_a_host_without_other_firewalls_runs_no_program(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: object) -> None:
        raise AssertionError("a program was run")

    monkeypatch.setattr(programs, "run", none)
    monkeypatch.setattr("pynet.kernel.foreign.iptables.run", none)
    site = Site.of(lab, "isolated")
    for served in site.all:
        site.succeed("CHECK", served)
        site.release(served)
    assert site.host.run(["iptables-nft", "-S"]).stdout.decode().splitlines() == [
        "-P INPUT ACCEPT",
        "-P FORWARD ACCEPT",
        "-P OUTPUT ACCEPT",
    ]


@pytest.mark.parametrize("command", ["ADD", "DEL"])
def test_killed_at_every_point_where_docker_drops(lab: Lab, command: str) -> None:
    host = lab.host("h1")
    docker("nft", host)
    host.call(kill_at_every_point, command)


def kill_at_every_point(command: str) -> None:
    before = run("iptables-nft -S") + run("ip6tables-nft -S")
    for scene in kills("firewall", command):
        scene.succeed("DEL")
        assert scene.left() == []
        assert run("iptables-nft -S") + run("ip6tables-nft -S") == before


# --- what is found --------------------------------------------------------------------------------


def test_others_chains_are_read_again_when_others_change_them(pair: Pair) -> None:
    table = Table(pair.host)
    try:
        foreign = table.foreign
        assert foreign.blockers() == ()
        table.make(["inet"])
        assert foreign.blockers() == ()
        first = foreign._read
        table.create([SharedElement(set="closed4", item=("10.1.0.2",))])
        table.delete([SharedElement(set="closed4", item=("10.1.0.2",))])
        assert foreign.blockers() == ()
        assert foreign._read is first, "our own changes are no reason"
        pair.run(pair.host, "iptables-nft", "-P", "FORWARD", "DROP")
        plain = Blocker("ip filter FORWARD", 4, "iptables-nft", "FORWARD")
        assert foreign.blockers() == (plain,)
        pair.run(pair.host, "iptables-nft", "-N", "DOCKER-USER")
        assert foreign.blockers() == (plain,), "no packet comes by there"
        pair.run(pair.host, "iptables-nft", "-A", "FORWARD", "-j", "DOCKER-USER")
        assert [one.chain for one in foreign.blockers()] == ["DOCKER-USER"]
        pair.run(pair.host, "iptables-nft", "-P", "FORWARD", "ACCEPT")
        assert foreign.blockers() == ()
        pair.run(pair.host, "ip6tables-legacy", "-P", "FORWARD", "DROP")
        legacy = Blocker("ip6tables-legacy FORWARD", 6, "ip6tables-legacy", "FORWARD")
        assert foreign.blockers() == (legacy,)
        read = foreign._read
        assert foreign.blockers() == (legacy,) and foreign._read is read, "counters are no change"
        pair.run(pair.host, "ip6tables-legacy", "-P", "FORWARD", "ACCEPT")
        assert foreign.blockers() == ()
    finally:
        table.close()
    left = [file.resolve().name for file in Path("/proc/self/fd").iterdir()]
    assert not [name for name in left if name.endswith("_tables_names")]


@pytest.mark.parametrize(
    ("variant", "where"), [("legacy", "iptables-legacy FORWARD"), ("nft", "ip filter FORWARD")]
)
def test_where_its_program_is_not_installed_it_is_known_and_nothing_is_asked_of_it(
    pair: Pair, variant: str, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for policy in ("ACCEPT", "DROP"):
        pair.run(pair.host, f"iptables-{variant}", "-P", "FORWARD", policy)
        with monkeypatch.context() as patch:
            patch.setattr(programs, "_DIRECTORIES", ())
            table = Table(pair.host)
            try:
                lacking = "iptables-legacy" if variant == "legacy" else "iptables"
                known = (Blocker(where, 4, lacking=lacking),) if policy == "DROP" else ()
                assert table.foreign.blockers() == known
            finally:
                table.close()
    pair.run(pair.host, f"ip6tables-{variant}", "-P", "FORWARD", "DROP")
    monkeypatch.setattr(programs, "_DIRECTORIES", ())
    table = Table(pair.host)
    try:
        assert {one.family for one in table.foreign.blockers() if one.lacking} == {4, 6}
    finally:
        table.close()


DROPPING = "add table ip x; add chain ip x c { type filter hook forward priority 0; policy drop; }"
"""What somebody else does, in one transaction."""


class Gate:
    """A lock before which, once, something else gets its turn."""

    def __init__(self, lock: threading.Lock, meanwhile: Callable[[], object]) -> None:
        self._lock = lock
        self._meanwhile: Callable[[], object] | None = meanwhile

    def __enter__(self) -> None:
        meanwhile, self._meanwhile = self._meanwhile, None
        if meanwhile is not None:
            meanwhile()
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def test_a_change_of_our_own_while_others_are_looked_at_hides_none_of_theirs(pair: Pair) -> None:
    table = Table(pair.host)
    try:
        table.make(["inet"])
        sock = table.foreign._socket
        element = SharedElement(set="closed4", item=("10.1.0.2",))
        sock._lock = Gate(sock._lock, lambda: table.create([element]))  # type: ignore[assignment]
        assert table.foreign.blockers() == ()
        pair.run(pair.host, "nft", DROPPING)
        assert table.foreign.blockers() == (Blocker("ip x c", 4),)
    finally:
        table.close()


def test_what_we_put_in_a_second_time_hides_nothing_of_others(pair: Pair) -> None:
    """nf_tables counts no transaction that changes nothing."""
    table = Table(pair.host)
    try:
        table.make(["inet"])
        element = SharedElement(set="closed4", item=("10.1.0.2",))
        table.create([element])
        assert table.foreign.blockers() == ()
        table.create([element])
        pair.run(pair.host, "nft", DROPPING)
        assert table.foreign.blockers() == (Blocker("ip x c", 4),)
    finally:
        table.close()


@in_host
def test_chains_of_other_sorts() -> None:
    run("nft add table inet mine")
    run("nft add chain inet mine through { type filter hook forward priority 5; policy drop; }")
    run("nft add chain inet mine inward { type filter hook input priority 5; policy drop; }")
    run("nft add table inet firewalld")
    run("nft add chain inet firewalld filter_FORWARD { type filter hook forward priority 10; }")
    host = os.open("/proc/self/ns/net", os.O_RDONLY)
    table = Table(host)
    assert set(table.foreign.blockers()) == {
        Blocker("inet mine through", 0),
        Blocker("inet firewalld filter_FORWARD", 0, "firewalld"),
    }
    table.close()
    os.close(host)
