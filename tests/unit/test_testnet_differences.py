"""What has to go and to come between two topologies, and what plugins are called with."""

from __future__ import annotations

from typing import Any

from pynet.testnets.live.differences import differences, links_of
from pynet.testnets.live.network_config import bridge_name, calls, conflist
from pynet.testnets.spec.expanding import expanded
from pynet.testnets.spec.notation import parse_link
from pynet.testnets.spec.topology import (
    Container,
    Membership,
    Network,
    Node,
    Publication,
    Topology,
)

WEB = Network(subnets=("10.1.0.0/24",))
BACK = Network(subnets=("10.2.0.0/24",), internal=True)


def topology(**changes: Any) -> Topology:
    whole: dict[str, Any] = {
        "nodes": {"h1": Node(), "h2": Node()},
        "links": (parse_link("h1 -- h2"),),
        "networks": {"web": WEB},
        "containers": {"a": Container(host="h1", networks=(Membership(network="web"),))},
    }
    return expanded(Topology(**{**whole, **changes}))


def test_the_same_differs_in_nothing() -> None:
    assert differences(topology(), topology()).described() == []


def test_what_is_on_a_node_goes_and_comes_with_it() -> None:
    nodes = {"h1": Node(sysctls={"net.ipv4.ip_forward": "1"}), "h2": Node()}
    change = differences(topology(), topology(nodes=nodes))
    assert change.nodes_gone == change.nodes_new == ("h1",)
    assert change.links_gone == change.links_new == ("h1 -- h2",)
    assert change.networks_gone == change.networks_new == (("h1", "web"),)
    assert change.containers_gone == change.containers_new == ("a",)


def test_addresses_of_a_node_can_change_while_it_stays() -> None:
    nodes = {"h1": Node(addresses={"eth0": ("192.0.2.1/24",)}), "h2": Node()}
    assert differences(topology(), topology(nodes=nodes)).described() == []


def test_two_links_between_the_same_nodes_have_names_of_their_own() -> None:
    link = parse_link("h1 -- h2")
    assert list(links_of(topology(links=(link, link)))) == ["h1 -- h2", "h1:eth1 -- h2:eth1"]


def test_plugins_are_called_for_what_they_can_do() -> None:
    container = Container(
        networks=(Membership(network="back"), Membership(network="web", mac="02:00:00:00:00:01")),
        publish=(Publication(host_port=8080, container_port=80, host_ip="127.0.0.1"),),
    )
    networks = {"web": WEB, "back": BACK}
    (back,) = calls(networks, container, 0)
    assert (back["runtimeConfig"], "isDefaultGateway" in back) == ({}, False)
    bridge, portmap = calls(networks, container, 1)
    assert bridge["isDefaultGateway"]
    assert bridge["runtimeConfig"] == {"mac": "02:00:00:00:00:01"}
    (mapping,) = portmap["runtimeConfig"]["portMappings"]
    assert (mapping["hostPort"], mapping["hostIP"]) == (8080, "127.0.0.1")


def test_one_network_only_is_the_way_out_and_publishes() -> None:
    both = Container(
        networks=(Membership(network="web"), Membership(network="more")),
        publish=(Publication(host_port=8080, container_port=80),),
    )
    (second,) = calls({"web": WEB, "more": WEB}, both, 1)
    assert second["isGateway"]
    assert "isDefaultGateway" not in second


def test_a_list_of_plugins_is_taken_as_it_is() -> None:
    given = Network(plugins=({"type": "loopback"},))
    assert conflist("own", given)["plugins"] == [{"type": "loopback"}]


def test_a_bridge_has_a_name_the_kernel_takes() -> None:
    assert bridge_name("web", WEB) == "br-web"
    assert len(bridge_name("a-rather-long-network", WEB)) <= 15
    assert bridge_name("web", Network(bridge="cni0")) == "cni0"
