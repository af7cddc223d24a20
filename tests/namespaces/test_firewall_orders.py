"""What stands in other people's chains is judged by whether packets get there.

Somebody flushes, reloads or restarts what they have, one after the other in every order, and each
time it is said, and mended: by hand, and by the daemon.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from drive import BRIDGE, FIREWALL, Runtime, call
from executables import daemon, until
from reachability import OUTSIDE, Site, all_reached
from test_firewall_foreign import BOTH, VARIANTS, docker, drop, listing, tables

from pynet.cli.inspect.inspection import gather
from pynet.cli.reload import _reload
from pynet.engine.reloading import Reloaded
from pynet.kernel import namespaces
from pynet.kernel.world import KernelWorld
from pynet.model.forwarding import ForwardAccept, ForwardJump
from pynet.model.plan import Drift
from pynet.testnets.lab.lab import Host, Lab

EVENTS = {
    "FORWARD is flushed": ("-F FORWARD",),
    "all is flushed": ("-F",),
    "ours is flushed": ("-F PYNET-FORWARD",),
    "Docker's is flushed": ("-F DOCKER-USER", "-A DOCKER-USER -j RETURN"),
    "Docker writes its rules anew": (
        "-F FORWARD",
        "-F DOCKER-USER",
        "-A DOCKER-USER -j RETURN",
        "-I FORWARD -j DOCKER-USER",
    ),
}
ONCE = {
    "a guard is deleted": ("-D PYNET-FORWARD -o docker+ -j RETURN",),
    "a guard comes last": (
        "-D PYNET-FORWARD -o docker+ -j RETURN",
        "-A PYNET-FORWARD -o docker+ -j RETURN",
    ),
    "somebody's rule is in ours": ("-I PYNET-FORWARD -i cni0 -j DROP",),
    "Docker's returns at once": ("-I DOCKER-USER -j RETURN",),
    "the way to Docker's is for some": (
        "-D FORWARD -j DOCKER-USER",
        "-I FORWARD -i docker0 -j DOCKER-USER",
    ),
    "ours returns at once": ("-I PYNET-FORWARD -j RETURN",),
    "FORWARD drops at once": ("-I FORWARD -j DROP",),
    "FORWARD ends with a reject": ("-P FORWARD ACCEPT", "-F FORWARD", "-A FORWARD -j REJECT"),
}


def every_pair(names: list[str]) -> Iterator[str]:
    """Each of them, and each right after each: a walk that takes every step once."""
    left = {one: [*names] for one in names}
    way, walk = [names[0]], []
    while way:
        if left[way[-1]]:
            way.append(left[way[-1]].pop())
        else:
            walk.append(way.pop())
    return iter(walk[::-1])


def test_the_walk_has_every_pair() -> None:
    walk = [*every_pair(["a", "b", "c"])]
    pairs = itertools.pairwise(walk)
    assert sorted(pairs) == sorted(itertools.product("abc", "abc"))


def is_let_through(site: Site) -> bool:
    asked = [site.ask("itself", "tcp", address, 80) for address in OUTSIDE.values()]
    return all_reached(asked)


def guards_come_first(host: Host, variant: str) -> bool:
    """Whether what goes to Docker's bridges is left to Docker before ours is let out, once each."""
    lines = [line for line in listing(host, variant).splitlines() if "-A PYNET-FORWARD" in line]
    ours = [line.removeprefix("-A PYNET-FORWARD ").partition(" -m")[0] for line in lines]
    assert len(ours) == 2 * len(set(ours)), "one of each in either family"
    half = ours[: len(ours) // 2]
    guards = [half.index(f"-o {bridge} -j RETURN") for bridge in ("docker+", "br-+")]
    return max(guards) < min(half.index(f"-i cni{number}") for number in (0, 1))


def is_in_docker_s(host: Host) -> bool:
    return "-A DOCKER-USER -m comment" in listing(host, "nft")


def is_fine(host: Host) -> bool:
    return bool(host.call(lambda: gather(Path("/run/pynet")).is_fine))


def reload(host: Host) -> Reloaded:
    done: Reloaded = host.call(_reload)
    return done


def wrong(done: Reloaded) -> list[Drift]:
    """What was not as it should be, of the host and of its attachments."""
    return [*done.wrong, *(drift for outcome in done.attachments for drift in outcome.mended)]


def spoil(site: Site, variant: str, commands: tuple[str, ...]) -> None:
    tables(site.host, variant, *commands)


@pytest.mark.parametrize("variant", ["nft", "legacy"])
def test_the_accept_goes_where_a_packet_comes_by(lab: Lab, variant: str) -> None:
    """A chain of Docker's name to which nothing leads is no place for it."""

    def prepare(host: Host) -> None:
        tables(host, variant, "-N DOCKER-USER", "-A DOCKER-USER -j RETURN", "-P FORWARD DROP")

    site = Site.of(lab, prepare=prepare)
    assert site.ways_through()
    assert is_fine(site.host)


def test_each_after_each_by_hand(lab: Lab) -> None:
    site = Site.of(lab, prepare=partial(docker, "nft"))
    for event in every_pair([*EVENTS]):
        # Where nothing led there, ours was not there either.
        of_account = event != "Docker's is flushed" or is_in_docker_s(site.host)
        spoil(site, "nft", EVENTS[event])
        assert is_fine(site.host) != of_account, event
        done = reload(site.host)
        assert not done.left and not done.failures, (event, done)
        assert bool(wrong(done)) == of_account, (event, done)
        assert is_fine(site.host), event
        assert guards_come_first(site.host, "nft"), event
        assert is_let_through(site), event
    assert wrong(reload(site.host)) == []
    for served in site.all:
        site.release(served)
    assert "pynet" not in listing(site.host, "nft").lower()


@pytest.mark.parametrize("variant", ["nft", "legacy"])
def test_each_of_them_by_hand(lab: Lab, variant: str) -> None:
    site = Site.of(lab, prepare=partial(docker, variant))
    events = ONCE if variant == "nft" else EVENTS | ONCE
    for event, commands in events.items():
        spoil(site, variant, commands)
        code = site.call("CHECK", site.target).code
        assert code in (0, 101), event
        if event != "Docker's is flushed":
            assert code == 101, event
        assert bool(wrong(reload(site.host))) == (code == 101), event
        site.succeed("CHECK", site.target)
        assert guards_come_first(site.host, variant), event
        assert is_let_through(site), event


def test_each_of_them_with_the_daemon(lab: Lab) -> None:
    site = Site.of(lab, prepare=partial(docker, "nft"))
    with daemon(site.host):
        for event, commands in (EVENTS | ONCE).items():
            spoil(site, "nft", commands)
            until(lambda: is_fine(site.host), f"{event}: it is not mended")
            assert guards_come_first(site.host, "nft"), event
            assert is_let_through(site), event


def test_what_an_admin_asked_for_stays_first(lab: Lab) -> None:
    """Whatever of both was flushed, and by whomever it is mended."""
    site = Site.of(lab, prepare=partial(drop, "nft"))
    for served in site.all:
        site.release(served)
        site.succeed("ADD", served, iptablesAdminChainName="ADMIN")

    def jumps() -> list[str]:
        lines = listing(site.host, "nft").splitlines()
        return [one.split()[-1] for one in lines if one.startswith("-A FORWARD -m comment")]

    right = ["ADMIN", "PYNET-FORWARD"] * 2
    without_ours = ("-F FORWARD", "-A FORWARD -m comment --comment pynet:_ADMIN -j ADMIN")
    for commands in (("-F FORWARD",), without_ours):
        for program in BOTH:
            for command in commands:
                words = [word.replace("_", " ") for word in command.split()]
                site.host.run([f"{program}-nft", *words])
        assert jumps() != right
        assert wrong(reload(site.host))
        assert jumps() == right
        for served in site.all:
            site.succeed("CHECK", served, iptablesAdminChainName="ADMIN")
    tables(site.host, "nft", "-D FORWARD 1", "-A FORWARD -j ADMIN")
    assert site.call("CHECK", site.target, iptablesAdminChainName="ADMIN").code == 101
    with daemon(site.host):
        until(lambda: jumps() == right, "the daemon has not put it first")
        tables(site.host, "nft", "-F FORWARD")
        until(lambda: jumps() == right, "the daemon has not put both back")


def test_a_policy_that_came_later_is_said(lab: Lab) -> None:
    """Nobody has a way through on record, so nothing of it is missing: but packets are dropped."""
    site = Site.of(lab)
    assert is_fine(site.host)
    drop("nft", site.host)
    assert not is_fine(site.host)
    assert "jump to PYNET-FORWARD" in site.call("CHECK", site.target).document["msg"]
    assert wrong(reload(site.host))
    assert is_fine(site.host)
    assert is_let_through(site)


# --- our chain, written by many -------------------------------------------------------------------


@pytest.mark.parametrize("variant", VARIANTS)
def test_many_who_write_our_chain_at_once_lose_nothing(lab: Lab, variant: str) -> None:
    """It is written as a whole, by who comes and by who goes."""
    host = lab.host("h1")
    docker(variant, host)
    before = listing(host, variant)
    names = [f"c{number}" for number in range(6)]
    calls = {}
    for number, name in enumerate(names):
        runtime = Runtime(name, host.container(name).path)
        ranges = [[{"subnet": f"10.{number}.0.0/24"}], [{"subnet": f"fd00:{number}::/64"}]]
        network = {**BRIDGE, "name": f"net{number}", "bridge": f"cni{number}"}
        network["ipam"] = {"type": "host-local", "ranges": ranges}
        outcome = host.call(call, "ADD", network, runtime)
        chained = {**FIREWALL, "name": f"net{number}", "ingressPolicy": "open"}
        calls[name] = {**chained, "prevResult": outcome.document}, runtime
    for command in ("ADD", "CHECK", "DEL"):
        asked = [host.fork_call(call, command, *given) for given in calls.values()]
        assert [one.wait().status for one in asked] == [0] * len(names), command
        if command == "ADD":
            rules = [one for one in listing(host, variant).splitlines() if "pynet: cni" in one]
            assert len(rules) == len(set(rules)) * 2 == len(names) * 6
    assert listing(host, variant) == before


@pytest.mark.parametrize("variant", VARIANTS)
def test_whichever_goes_first_our_chain_goes_with_the_last(lab: Lab, variant: str) -> None:
    """Though somebody may mend, meanwhile, what is still on record."""
    host = lab.host("h1")
    docker(variant, host)
    before = listing(host, variant)
    host.call(come_and_go, f"iptables-{variant}")
    assert listing(host, variant) == before


def come_and_go(program: str) -> None:
    jump = ForwardJump(program=program, into="DOCKER-USER")
    accepts = [ForwardAccept(program=program, interface=name) for name in ("cni0", "cni1")]
    own = namespaces.own()
    with KernelWorld(own, None, netns="", our_plugins=frozenset()) as world:
        for order in itertools.permutations((jump, *accepts)):
            world.create([jump, *accepts])
            for index, gone in enumerate(order):
                world.delete([(gone, None)])
                for left in order[index + 1 :]:
                    world.create([left])
                    assert world.verify(left) == []
    os.close(own)
