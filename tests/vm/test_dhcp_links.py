"""dhcp behind `ipvlan` and `vlan`: a real server gives the lease, knows its holder, has it back."""

from __future__ import annotations

from typing import Any

import lan
import pytest
from dhcp_site import MACVLAN, Site
from dhcp_site import site as site
from dhcp_site import unwired as unwired
from evidence import rest
from executables import until

TAGGED = "eth0.7"
"""The neighbour's interface in the VLAN, with its address there."""
NETWORKS: dict[str, dict[str, Any]] = {
    "ipvlan": {**MACVLAN, "type": "ipvlan", "mode": "l2"},
    "vlan": {**MACVLAN, "type": "vlan", "vlanId": 7},
}


def tag(site: Site) -> None:
    for words in (
        f"link add link eth0 name {TAGGED} type vlan id 7",
        "addr del 10.6.0.1/24 dev eth0",
        f"addr add 10.6.0.1/24 dev {TAGGED}",
        f"link set {TAGGED} up",
    ):
        site.ip(*words.split(), netns=lan.NEIGHBOUR)


@pytest.mark.long  # a server has ten seconds, and a busy emulated machine may need them
@pytest.mark.parametrize("plugin", NETWORKS)
def test_a_lease_is_given_kept_and_given_back(site: Site, plugin: str) -> None:
    config = NETWORKS[plugin]
    more = []
    if plugin == "vlan":
        tag(site)
        more = [f"--interface={TAGGED}"]
    with site.dnsmasq(*more) as server, site.agent():
        site.add(config)  # with the first container the kernel loads what stays
        site.good("DEL", config)
        until(lambda: server.holders() == {}, "it is not given back")
        before = site.host.call(rest)
        result = site.add(config)
        [ip] = result["ips"]
        assert list(site.addresses()) == [ip["address"]]
        address = ip["address"].partition("/")[0]
        assert server.holders() == {address: "00:" + b"c1/office/eth0".hex(":")}
        site.host.run(["ping", "-c1", "-W5", "10.6.0.1"], netns="c1")
        site.good("CHECK", {**config, "prevResult": result})
        asked, confirmed = server.count("DHCPDISCOVER"), server.count("DHCPREQUEST")
        site.end_agent()
        with site.agent():  # which confirms it
            until(lambda: server.count("DHCPREQUEST") > confirmed, "the next one does not ask")
            assert server.count("DHCPDISCOVER") == asked
            site.good("DEL", config)
            until(lambda: server.holders() == {}, "it is not given back")
    site.assert_nothing_left(before)
