"""Killed at every point, with a DHCP server: who calls, and the agent; nothing is left or lost."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import drive
import pytest
from chains import play
from dhcp_site import MACVLAN, Site
from drive import Outcome, Runtime
from evidence import rest
from executables import stopped, until

from pynet.engine import faults
from pynet.testnets.lab.lab import DiedBySignal, Process

pytestmark = pytest.mark.every_point

_BEHIND = {"cniVersion": "1.1.0", "name": "office"}
LISTS: dict[str, Sequence[dict[str, Any]]] = {
    "macvlan": (MACVLAN,),
    "chain": (
        MACVLAN,
        {**drive.BANDWIDTH, **_BEHIND},
        {**_BEHIND, "type": "tuning", "sysctl": {"net.ipv4.conf.IFNAME.arp_filter": "1"}},
        {**_BEHIND, "type": "sbr"},
        {**_BEHIND, "type": "firewall"},
    ),
}


def call(
    site: Site, command: str, plugins: Sequence[dict[str, Any]], name: str, fault: int = 0
) -> Outcome:
    """The whole list for container `name`; killed at its `fault`-th point."""
    runtime = Runtime(name, f"/run/netns/{name}", environ={"PYNET_DAEMON": "never"})

    def work() -> Outcome:
        if fault:
            faults.arm(fault)
        return play(command, plugins, runtime, call=partial(drive.call, services=None))

    return site.host.call(work)


def dies(site: Site, command: str, plugins: Sequence[Any], name: str, fault: int) -> bool:
    try:
        outcome = call(site, command, plugins, name, fault)
    except DiedBySignal:
        return True
    assert outcome.status == 0, outcome.stdout
    return False


def good(outcome: Outcome) -> None:
    assert outcome.status == 0, outcome.stdout


def settled(site: Site, plugins: Sequence[Any]) -> set[str]:
    """What there is beside containers, once one has come and gone."""
    site.host.container("warm")
    for command in ("ADD", "DEL"):
        good(call(site, command, plugins, "warm"))
    site.host.delete_container("warm")
    return site.host.call(rest)


@pytest.mark.timeout(500)
@pytest.mark.parametrize("command", ["ADD", "DEL"])
@pytest.mark.parametrize("what", LISTS)
def test_a_caller_killed_at_every_point(site: Site, what: str, command: str) -> None:
    """A DEL makes up for it: nothing is left here, nor at the server."""
    plugins = LISTS[what]
    with site.dnsmasq() as server, site.agent():
        before = settled(site, plugins)
        fault, died = 0, True
        while died:
            fault += 1
            name = f"c{fault}"
            site.host.container(name)
            if command == "DEL":
                good(call(site, "ADD", plugins, name))
            died = dies(site, command, plugins, name, fault)
            good(call(site, "DEL", plugins, name))
            until(lambda: server.holders() == {}, "a lease is not given back")
            assert site.answers() == {}
            site.host.delete_container(name)
            site.assert_nothing_left(before)
    assert fault > 2 * len(plugins), "too few fault points: the hook is not there"


@pytest.mark.timeout(500)
def test_an_agent_killed_at_every_point(site: Site) -> None:
    """Of giving, keeping and taking back: the next one goes on, and the address stays."""
    plugins = LISTS["macvlan"]
    with site.dnsmasq("--dhcp-option=option:T2,3") as server:
        with site.agent():
            before = settled(site, plugins)
        fault, died = 0, True
        while died:
            fault += 1
            name = f"c{fault}"
            site.host.container(name)
            site.end_agent()
            with site.agent(PYNET_FAULT=str(fault)) as agent:
                died = not lives(site, name, agent)
            if died:
                with site.agent():
                    revive(site, name)
            until(lambda: server.holders() == {}, "a lease is not given back")
            site.host.delete_container(name)
            site.assert_nothing_left(before)
    assert fault > 4, "too few fault points: the hook is not there"


def lives(site: Site, name: str, agent: Process) -> bool:
    """Whether the agent gives, renews and takes back without being killed."""
    if call(site, "ADD", LISTS["macvlan"], name).status == 0:
        since = given(site, name)
        until(lambda: agent.poll() is not None or given(site, name) != since, "it is not renewed")
        if call(site, "DEL", LISTS["macvlan"], name).status == 0 and agent.poll() is None:
            return True
    until(lambda: agent.poll() is not None, "it fails, and nobody has killed it")
    return False


def given(site: Site, name: str) -> float:
    since: float = site.answers()[f"{name} eth0"]["lease"]["since"]
    return since


def revive(site: Site, name: str) -> None:
    """Another agent goes on with what there is."""
    if site.answers():
        [address] = site.addresses(name)
        since = given(site, name)
        until(lambda: given(site, name) != since, "it is not renewed")
        assert list(site.addresses(name)) == [address]
    else:
        good(call(site, "DEL", LISTS["macvlan"], name))
        good(call(site, "ADD", LISTS["macvlan"], name))
    good(call(site, "DEL", LISTS["macvlan"], name))


def test_an_agent_that_hangs_keeps_nothing_from_being_undone(site: Site) -> None:
    """The leases run out; who is let go on finds nothing of them to be kept."""
    before = site.host.call(rest)
    with site.dnsmasq() as server, site.agent():
        pid = site.agent_pid()
        assert pid is not None
        for name in ("c1", "c2"):
            site.add(MACVLAN, name)
        with stopped(pid):
            site.good("DEL", MACVLAN)
            assert list(site.answers()) == ["c2 eth0"]
            site.good("GC", {**MACVLAN, "cni.dev/valid-attachments": []})
            assert site.answers() == {}
            assert len(server.holders()) == 2
        site.add(MACVLAN)
        site.good("DEL", MACVLAN)
    for name in ("c1", "c2"):
        site.host.delete_container(name)
    site.assert_nothing_left(before)
