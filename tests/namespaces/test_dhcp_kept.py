"""Leases that are kept through what befalls the interface, the store, the server and the agent."""

from __future__ import annotations

import subprocess
from typing import Any

import drive
import pytest
from dhcp_site import MACVLAN, Site
from executables import in_host, until

RENEWED_SOON = "--dhcp-option=option:T2,3"  # and T1 is before it
WITH_METRIC = {**MACVLAN, "ipam": {"type": "dhcp", "priority": 70}}


def recorded(site: Site) -> Any:
    return site.answers()["c1 eth0"]


def has_what_is_on_record(site: Site) -> bool:
    answer = recorded(site)
    return not answer["lost"] and list(site.addresses()) == [answer["address"]]


def until_renewed(site: Site) -> None:
    since = recorded(site)["lease"]["since"]
    until(lambda: recorded(site)["lease"]["since"] > since, "it is not renewed")


def test_an_address_that_is_gone_is_back_with_the_next_renewal(site: Site) -> None:
    with site.dnsmasq(RENEWED_SOON), site.agent():
        result = site.add(WITH_METRIC)
        site.ip("addr", "flush", "dev", "eth0", netns="c1")
        until(lambda: has_what_is_on_record(site), "it is not put back")
        way = b"default via 10.6.0.1 dev eth0 metric 70"
        until(lambda: way in site.ip("route", netns="c1"), "nor its route")
        site.good("CHECK", {**WITH_METRIC, "prevResult": result})
        site.good("DEL", WITH_METRIC)


def test_an_ipv6_address_is_back_after_its_link_was_down(site: Site) -> None:
    config = {**MACVLAN, "ipam": {"type": "dhcp", "families": ["ipv6"]}}
    with (
        site.dnsmasq("--enable-ra", "--dhcp-range=fd00:6::100,fd00:6::150,64,2h") as server,
    ):
        with site.agent():
            site.add(config)
            # Only what has an end goes with the link.
            until(lambda: max(site.addresses().values()) <= 7200, "its lifetime is not set")
            site.ip("link", "set", "eth0", "down", netns="c1")
            site.ip("link", "set", "eth0", "up", netns="c1")
            assert not site.addresses()
        site.end_agent()
        with site.agent():  # which confirms it
            until(lambda: has_what_is_on_record(site), "it is not put back")
            site.good("DEL", config)
        until(lambda: server.holders() == {}, "it is not given back")


def test_another_lease_has_the_metric_of_the_first(site: Site) -> None:
    with site.dnsmasq(), site.agent():
        site.add(WITH_METRIC)
        first = recorded(site)["address"]
    site.end_agent()
    with site.dnsmasq(first="10.6.0.200", last="10.6.0.210"), site.agent():
        until(lambda: recorded(site)["address"] != first, "it has no other")
        until(lambda: has_what_is_on_record(site), "it is not on the interface")
        way = b"default via 10.6.0.1 dev eth0 metric 70"
        until(lambda: way in site.ip("route", netns="c1"), "the route is another")


@pytest.mark.timeout(300)
def test_killed_at_every_point_of_changing_an_address(site: Site) -> None:
    """The next one puts the new address on the interface, and takes the old one off."""
    fault, died = 0, True
    while died:
        fault += 1
        with site.dnsmasq(), site.agent():
            site.add(MACVLAN)
            old = recorded(site)["address"]
        site.end_agent()
        with site.dnsmasq(first="10.6.0.200", last="10.6.0.210"):
            with site.agent(PYNET_FAULT=str(fault)) as agent:
                until(
                    lambda agent=agent, old=old: (
                        agent.poll() is not None
                        or (recorded(site)["address"] != old and has_what_is_on_record(site))
                    ),
                    "it neither dies nor changes it",
                )
                died = agent.poll() is not None
            site.end_agent()
            with site.agent():
                until(
                    lambda old=old: (
                        recorded(site)["address"] != old and has_what_is_on_record(site)
                    ),
                    "it is not changed",
                )
                assert b"default via 10.6.0.1" in site.ip("route", netns="c1")
                site.good("DEL", MACVLAN)
        site.end_agent()
        (site.folder / "dnsmasq.leases").unlink()
    assert fault > 3, "too few fault points: the hook is not there"


def test_a_container_whose_mac_has_changed_has_another_lease(site: Site) -> None:
    with site.dnsmasq(), site.agent():
        site.add(MACVLAN)
        first = recorded(site)["address"]
    site.end_agent()
    site.ip("link", "set", "eth0", "address", "02:00:00:00:aa:01", netns="c1")
    with site.dnsmasq(first="10.6.0.200", last="10.6.0.210"), site.agent():
        until(lambda: recorded(site)["address"] != first, "it has no other")
        until(lambda: has_what_is_on_record(site), "it is not on the interface")


def test_a_store_that_is_made_anew_under_an_agent(site: Site) -> None:
    """Its numbers begin anew; the first lease of it is not taken for the first of the other."""
    with site.dnsmasq(RENEWED_SOON), site.agent():
        site.add(MACVLAN)
        until_renewed(site)
        for path in in_host(site.host, drive.STATE).glob("pynet.db*"):
            path.unlink()
        site.add(MACVLAN, "c2")
        since = site.answers()["c2 eth0"]["lease"]["since"]
        until(lambda: site.answers()["c2 eth0"]["lease"]["since"] > since, "the new is not renewed")


def test_without_descriptors_it_goes_on_once_it_has_some(site: Site) -> None:
    # What has failed is tried again after an eighth of what is left of its lease.
    with site.dnsmasq(RENEWED_SOON, lasts="2m"), site.agent():
        site.add(MACVLAN)
        until_renewed(site)
        pid = site.agent_pid()
        _limit_descriptors(pid, 4)
        until(lambda: "Too many open files" in site.agent_said(), "it does not need any")
        _limit_descriptors(pid, 1024)
        until_renewed(site)
        assert "Traceback" not in site.agent_said()


def _limit_descriptors(pid: int | None, most: int) -> None:
    subprocess.run(["prlimit", f"--pid={pid}", f"--nofile={most}:4096"], check=True)


def test_a_lost_lease_does_not_hold_on_to_the_namespace(site: Site) -> None:
    """Between two DISCOVERs that nobody answers nothing of the container is open."""
    with site.dnsmasq(), site.agent():
        site.add(MACVLAN)
    site.end_agent()
    wire = "link add witness type veth peer name peer netns c1"
    site.ip(*wire.split())
    taken = "--dhcp-host=02:00:00:00:00:99,10.6.0.200"
    with (
        site.dnsmasq(taken, first="10.6.0.200", last="10.6.0.200") as server,
        site.agent(PYNET_DHCP_TIMEOUT="1"),
    ):
        until(lambda: recorded(site)["lost"], "it is not lost")
        until(lambda: server.count("DHCPDISCOVER") > 1, "it does not look for another")
        site.host.delete_container("c1")
        until(lambda: b"witness" not in site.ip("link"), "its namespace is kept")
