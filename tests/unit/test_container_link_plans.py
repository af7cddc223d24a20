"""Plans of `ipvlan` and `vlan`, which not every kernel makes: what they stand on, their MACs."""

from __future__ import annotations

from typing import Any

import pytest

from pynet.model.errors import ConfigError
from pynet.model.plan import Plan
from pynet.model.plugin import Plugin
from pynet.model.query import AddressHolders, DefaultLink, Link, LinkNamed, PluginBinary
from pynet.model.resources import (
    GatewayAddress,
    HostLeg,
    InterfaceAddress,
    InterfaceRoute,
    Ipvlan,
    Vlan,
)
from pynet.model.result import Address, Interface, Result
from pynet.plugins.ipvlan import Ipvlan as IpvlanPlugin
from pynet.plugins.vlan import Vlan as VlanPlugin
from pynet.testing import request, seen

NIC = Link(3, "nic0", "veth", "02:00:00:00:00:03", 1450, True)
LEASED = {"type": "static", "addresses": [{"address": "10.6.0.7/24", "gateway": "10.6.0.1"}]}
GIVEN = Result(interfaces=(Interface("nic0"),), ips=(Address("10.6.0.77/24", "10.6.0.1"),))


def planned(plugin: Plugin, config: dict[str, Any], prev_result: Result | None = None) -> Plan:
    asked = request(plugin, config, prev_result=prev_result)
    answers = {
        LinkNamed("nic0"): NIC,
        LinkNamed("iv-nic0"): None,
        DefaultLink(): "nic0",
        AddressHolders("10.6.0.250"): (),
        PluginBinary("static", ()): "",
    }
    return plugin.plan(asked, seen(answers))


def first(kind: type[Any], plan: Plan) -> Any:
    return next(each for each in plan.resources if isinstance(each, kind))


@pytest.mark.parametrize("mode", ["l2", "l3", "l3s"])
def test_an_ipvlan_has_its_masters_mac_and_mtu(mode: str) -> None:
    plan = planned(IpvlanPlugin(), {"ipam": LEASED, "mode": mode})
    link = first(Ipvlan, plan)
    assert (link.parent, link.parent_place, link.mtu, link.mode) == ("nic0", "host", 1450, mode)
    assert link.mac == ""
    assert plan.result.interfaces[0].mac == NIC.mac


@pytest.mark.parametrize(("mode", "asks"), [("l2", True), ("l3", False), ("l3s", False)])
def test_an_ipvlan_that_routes_looks_for_no_duplicates(mode: str, asks: bool) -> None:
    """Nobody there would be asked, nor answer."""
    addresses = [{"address": "fd00:6::7/64"}]
    ipam = {"type": "static", "addresses": addresses}
    address = first(InterfaceAddress, planned(IpvlanPlugin(), {"ipam": ipam, "mode": mode}))
    assert address.dad == asks


def test_an_ipvlan_behind_another_plugin_has_its_addresses_on_its_interface() -> None:
    plan = planned(IpvlanPlugin(), {}, GIVEN)
    assert first(Ipvlan, plan).parent == "nic0"
    assert [each.address for each in plan.result.ips] == ["10.6.0.77/24"]
    two = Result(interfaces=(Interface("nic0"), Interface("nic1")), ips=GIVEN.ips)
    with pytest.raises(ConfigError, match="2 interfaces of the host"):
        planned(IpvlanPlugin(), {}, two)


def test_the_hosts_leg_beside_an_ipvlan_is_no_neighbour_where_that_routes() -> None:
    leg = {"hostAddresses": ["10.6.0.250"], "master": "nic0"}
    ipam = {"type": "static", "addresses": [{"address": "10.61.0.7/32"}]}
    with pytest.raises(ConfigError, match="is in no subnet of the container"):
        planned(IpvlanPlugin(), {**leg, "ipam": ipam})
    plan = planned(IpvlanPlugin(), {**leg, "ipam": ipam, "mode": "l3"})
    assert first(HostLeg, plan).mac == ""
    assert first(HostLeg, plan).may_be_found
    assert first(GatewayAddress, plan).address == "10.6.0.250/32"
    routes = [each for each in plan.resources if isinstance(each, InterfaceRoute)]
    assert [(each.place, each.name, each.dst) for each in routes] == [
        ("sandbox", "eth0", "10.6.0.250/32"),
        ("host", "iv-nic0", "10.61.0.7/32"),
    ]


def test_a_vlan_is_told_by_its_number_on_its_master() -> None:
    plan = planned(VlanPlugin(), {"master": "nic0", "vlanId": 7, "mtu": 1400, "ipam": LEASED})
    link = first(Vlan, plan)
    assert (link.parent, link.id, link.mtu) == ("nic0", 7, 1400)
    assert plan.result.interfaces[0].mac == NIC.mac
    with pytest.raises(ConfigError, match="ipam: vlan needs one"):
        planned(VlanPlugin(), {"master": "nic0"})
