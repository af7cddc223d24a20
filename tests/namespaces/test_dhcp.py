"""dhcp, with a real server: leases are given, kept, and given back, behind several plugins."""

from __future__ import annotations

from typing import Any

import pytest
from dhcp_site import BRIDGE, LAN, MACVLAN, Site
from evidence import rest
from executables import until


@pytest.fixture
def site(unwired: Site) -> Site:
    """It is wired with each network."""
    return unwired


def test_a_lease_is_given_kept_and_given_back(site: Site, network: dict[str, Any]) -> None:
    before = site.host.call(rest)
    with site.dnsmasq() as server, site.agent():
        result = site.add(network)
        [ip] = result["ips"]
        assert ip["gateway"] == "10.6.0.1"
        assert result["routes"] == [{"dst": "0.0.0.0/0", "gw": "10.6.0.1"}]
        assert list(site.addresses()) == [ip["address"]]
        address = ip["address"].partition("/")[0]
        identifier = "00:" + b"c1/office/eth0".hex(":")
        assert server.holders() == {address: identifier}
        site.host.run(["ping", "-c1", "-W5", "10.6.0.1"], netns="c1")
        until(lambda: site.addresses()[ip["address"]] <= 7200, "its lifetime is not set")
        site.good("CHECK", {**network, "prevResult": result})
        asked = server.count("DHCPDISCOVER")
        site.good("DEL", network)
        until(lambda: server.holders() == {}, "it is not given back")
        assert server.count("DHCPDISCOVER") == asked
        site.good("DEL", network)
    site.assert_nothing_left(before)


def test_what_the_server_says_of_the_network_is_the_result(
    site: Site, network: dict[str, Any]
) -> None:
    said = (
        "--dhcp-option=option:dns-server,10.6.0.53",
        "--dhcp-option=option:domain-name,office.example",
        "--dhcp-option=option:domain-search,office.example,example",
        "--dhcp-option=option:mtu,1400",
        "--dhcp-option=option:classless-static-route,0.0.0.0/0,10.6.0.9,10.9.0.0/16,10.6.0.8",
    )
    config = {**network, "ipam": {"type": "dhcp", "priority": 70}}
    with site.dnsmasq(*said), site.agent():
        result = site.add(config)
        assert result["dns"] == {
            "nameservers": ["10.6.0.53"],
            "domain": "office.example",
            "search": ["office.example", "example"],
        }
        assert result["routes"] == [  # and not option 3 (RFC 3442)
            {"dst": "0.0.0.0/0", "gw": "10.6.0.9", "priority": 70},
            {"dst": "10.9.0.0/16", "gw": "10.6.0.8", "priority": 70},
        ]
        inside = result["interfaces"][-1]
        assert (inside["name"], inside["mtu"]) == ("eth0", 1400)
        assert b"mtu 1400" in site.ip("link", "show", "dev", "eth0", netns="c1")
        assert b"10.9.0.0/16 via 10.6.0.8" in site.ip("route", netns="c1")
        site.good("CHECK", {**config, "prevResult": result})
        site.good("DEL", config)


def test_options_reach_the_server(site: Site) -> None:
    site.wire()
    ipam = {
        "type": "dhcp",
        "provide": [
            {"option": "dhcp-client-identifier", "value": "\x01blue"},
            {"option": "host-name", "fromArg": "NAME"},
        ],
        "request": [{"option": "subnet-mask"}, {"option": "routers"}, {"skipDefault": True}],
    }
    config = {**MACVLAN, "ipam": ipam}
    with site.dnsmasq("--dhcp-option=option:dns-server,10.6.0.53") as server, site.agent():
        result = site.add(config, CNI_ARGS="IgnoreUnknown=1;NAME=web")
        assert not result.get("dns")
        [identifier] = server.holders().values()
        assert identifier == "01:" + b"blue".hex(":")
        assert " web " in server.leases.read_text()
        site.good("DEL", config)


def test_an_agent_that_was_killed_is_followed_by_one_that_confirms(
    site: Site, network: dict[str, Any]
) -> None:
    with site.dnsmasq() as server:
        with site.agent():
            site.add(network)
        site.end_agent()
        [address] = site.addresses()
        discovered, requested = server.count("DHCPDISCOVER"), server.count("DHCPREQUEST")
        since = site.answers()["c1 eth0"]["lease"]["since"]
        with site.agent():
            until(lambda: server.count("DHCPREQUEST") > requested, "the lease is not confirmed")
            until(lambda: site.answers()["c1 eth0"]["lease"]["since"] > since, "nor on record")
            assert server.count("DHCPDISCOVER") == discovered
            assert list(site.addresses()) == [address]
            site.good("DEL", network)
            until(lambda: server.holders() == {}, "it is not given back")


def test_it_is_renewed_in_time(site: Site, network: dict[str, Any]) -> None:
    with site.dnsmasq("--dhcp-option=option:T2,3") as server, site.agent():  # and T1 is before it
        result = site.add(network)
        since = site.answers()["c1 eth0"]["lease"]["since"]
        until(lambda: site.answers()["c1 eth0"]["lease"]["since"] > since, "it is not renewed")
        assert server.count("DHCPDISCOVER") == 1
        site.good("CHECK", {**network, "prevResult": result})
        site.good("DEL", network)


def test_a_lease_that_the_server_takes_back_is_given_up_for_another(site: Site) -> None:
    site.wire()
    with site.dnsmasq(), site.agent():
        result = site.add(MACVLAN)
        [address] = site.addresses()
    site.end_agent()
    with site.dnsmasq(first="10.6.0.200", last="10.6.0.210"), site.agent():
        until(lambda: site.answers()["c1 eth0"]["address"] != address, "it has no other")
        until(lambda: list(site.addresses()) == [site.answers()["c1 eth0"]["address"]], "not there")
        assert b"default via 10.6.0.1" in site.ip("route", netns="c1")
        assert "the lease of" in site.agent_said()
        failed = site.call("CHECK", {**MACVLAN, "prevResult": result})
        assert address in failed.document["msg"]  # what ADD said it had
        site.good("DEL", MACVLAN)


def test_without_a_server_it_ends_in_time_with_nothing_left(
    site: Site, network: dict[str, Any]
) -> None:
    before = site.host.call(rest)
    with site.agent(PYNET_DHCP_TIMEOUT="1"):
        site.host.container("c1")
        refused = site.call("ADD", network)
        assert refused.code == 11, refused
        assert "no server answers" in refused.document["msg"]
        site.assert_nothing_left(before)


@pytest.mark.parametrize("gone", ["server", "namespace", "agent", "interface", "all"])
def test_a_del_needs_none_of_them(site: Site, network: dict[str, Any], gone: str) -> None:
    before = site.host.call(rest)
    with site.agent() as agent:
        with site.dnsmasq():
            site.add(network)
            if gone == "interface":
                site.ip("link", "del", "eth0", netns="c1")
            if gone not in ("server", "all"):
                _without(site, network, gone, agent)
        if gone in ("server", "all"):
            _without(site, network, gone, agent)
    site.assert_nothing_left(before)


def _without(site: Site, network: dict[str, Any], gone: str, agent: Any) -> None:
    if gone in ("namespace", "all"):
        site.host.delete_container("c1")
    if gone in ("agent", "all"):
        agent.kill()
        until(lambda: site.agent_pid() is None, "it can't be killed")
    site.good("DEL", network)


def test_an_address_that_is_in_use_is_declined(site: Site) -> None:
    site.wire(bridge=True)
    site.host.container("other")
    wire = f"link add v1 master {LAN} up type veth peer eth0 netns other"
    site.ip(*wire.split())
    site.ip("addr", "add", "10.6.0.107/24", "dev", "eth0", netns="other")
    site.ip("link", "set", "eth0", "up", netns="other")
    identifier = "00:" + b"c1/office/eth0".hex(":")
    with site.dnsmasq(f"--dhcp-host=id:{identifier},10.6.0.107") as server, site.agent():
        assert site.add(BRIDGE)["ips"][0]["address"] != "10.6.0.107/24"
        assert server.count("DHCPDECLINE") == 1
        site.good("DEL", BRIDGE)


def test_two_attachments_of_a_container_have_a_lease_each(site: Site) -> None:
    site.wire()
    with site.dnsmasq() as server, site.agent():
        addresses = {site.add(MACVLAN, interface=name)["ips"][0]["address"]
                     for name in ("eth0", "eth1")}  # fmt: skip
        assert len(addresses) == len(server.holders()) == 2
        site.good("DEL", MACVLAN, interface="eth1")
        until(lambda: len(server.holders()) == 1, "it is not given back")
        site.good("DEL", MACVLAN)


def test_without_an_agent_and_none_to_be_left_behind(site: Site) -> None:
    site.wire()
    before = site.host.call(rest)
    site.host.container("c1")
    refused = site.call("ADD", MACVLAN)
    assert refused.code == 50
    assert "PYNET_DAEMON=never" in refused.document["msg"]
    assert "pynet agent" in refused.document["msg"]
    site.assert_nothing_left(before)


def test_gc_gives_back_what_is_not_valid(site: Site) -> None:
    site.wire()
    with site.dnsmasq() as server, site.agent():
        for container in ("c1", "c2"):
            site.add(MACVLAN, container)
        assert len(server.holders()) == 2
        valid = [{"containerID": "c2", "ifname": "eth0"}]
        site.good("GC", {**MACVLAN, "cni.dev/valid-attachments": valid})
        until(lambda: len(server.holders()) == 1, "it is not given back")
        assert list(site.answers()) == ["c2 eth0"]
        site.good("GC", {**MACVLAN, "cni.dev/valid-attachments": []})
