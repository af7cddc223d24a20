"""dhcp for IPv6: an address of a server's, or a router's with the rest of a server's."""

from __future__ import annotations

import json
from typing import Any

import pytest
from dhcp_site import MACVLAN, Site
from executables import until

MANAGED = "--enable-ra", "--dhcp-range=fd00:6::100,fd00:6::150,64,2h"
STATELESS = "--enable-ra", "--dhcp-range=fd00:6::,ra-stateless,64,2h"
NAMES = "--dhcp-option=option6:dns-server,[fd00:6::53]", "--dhcp-option=option6:domain-search,six"
BOTH = {"type": "dhcp", "families": ["ipv4", "ipv6"]}


@pytest.fixture
def site(unwired: Site) -> Site:
    """It is wired with each network."""
    return unwired


def of_six(site: Site) -> list[str]:
    return [address for address in site.addresses() if ":" in address]


def test_both_families_have_a_lease_that_is_kept_and_given_back(
    site: Site, network: dict[str, Any]
) -> None:
    config = {**network, "ipam": BOTH}
    with site.dnsmasq(*MANAGED, *NAMES) as server, site.agent():
        result = site.add(config)
        four, six = result["ips"]
        assert four["address"].startswith("10.6.0.") and six["address"].startswith("fd00:6::1")
        assert six["address"] in of_six(site)
        assert result["dns"] == {"nameservers": ["fd00:6::53"], "search": ["six"]}
        site.host.run(["ping", "-c1", "-W5", "fd00:6::1"], netns="c1")
        site.good("CHECK", {**config, "prevResult": result})
        until(lambda: site.addresses()[six["address"]] <= 7200, "its lifetime is not set")
        site.good("DEL", config)
        until(lambda: server.count("DHCPRELEASE") == 2, "it is not given back")


def test_a_server_is_told_of_who_asks(site: Site) -> None:
    site.wire()
    told = {"option": "host-name", "value": "web"}, {"option": "user-class", "value": "blue"}
    ipam = {"type": "dhcp", "families": ["ipv6"], "provide": list(told)}
    blue = "--dhcp-userclass=set:blue,blue", "--dhcp-option=tag:blue,option6:dns-server,[fd00:6::b]"
    with site.dnsmasq(*MANAGED, *blue, "--log-dhcp") as server, site.agent():
        assert site.add({**MACVLAN, "ipam": ipam})["dns"]["nameservers"] == ["fd00:6::b"]
        assert "client provides name: web" in server.said()
        site.good("DEL", {**MACVLAN, "ipam": ipam})


def test_an_address_of_a_router_with_names_of_a_server(site: Site, network: dict[str, Any]) -> None:
    config = {**network, "ipam": BOTH}
    with site.dnsmasq(*STATELESS, *NAMES), site.agent():
        result = site.add(config)
        [four] = result["ips"]
        assert four["address"].startswith("10.6.0.")
        assert result["dns"]["nameservers"] == ["fd00:6::53"]
        until(lambda: of_six(site), "the router's prefix is not taken")
        site.good("CHECK", {**config, "prevResult": result})
        site.good("DEL", config)


def test_addresses_of_routers_alone_are_no_result(site: Site) -> None:
    site.wire()
    with site.dnsmasq(*STATELESS, *NAMES), site.agent():
        site.host.container("c1")
        ipam = {"type": "dhcp", "families": ["ipv6"]}
        refused = site.call("ADD", {**MACVLAN, "ipam": ipam})
        assert refused.code == 7, refused
        assert 'take ["ipv4", "ipv6"]' in refused.document["msg"]
        assert site.answers() == {}


def test_a_router_that_says_that_there_is_none(site: Site) -> None:
    site.wire()
    with site.dnsmasq("--enable-ra", "--dhcp-range=fd00:6::,ra-only,64,2h"), site.agent():
        site.host.container("c1")
        refused = site.call("ADD", {**MACVLAN, "ipam": BOTH})
        assert refused.code == 7, refused
        assert "families" in refused.document["msg"]


def test_an_agent_that_was_killed_is_followed_by_one_that_confirms(site: Site) -> None:
    site.wire()
    config = {**MACVLAN, "ipam": {"type": "dhcp", "families": ["ipv6"]}}
    with site.dnsmasq(*MANAGED) as server:
        with site.agent():
            [six] = site.add(config)["ips"]
        site.end_agent()
        solicited = server.count("DHCPSOLICIT")
        with site.agent():
            until(lambda: server.count("DHCPCONFIRM"), "it is not confirmed")
            until(lambda: json.dumps(site.answers()), "nothing is kept")
            assert six["address"] in of_six(site)
            assert server.count("DHCPSOLICIT") == solicited
            site.good("DEL", config)
            until(lambda: server.count("DHCPRELEASE"), "it is not given back")
