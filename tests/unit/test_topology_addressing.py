"""The addresses and routes of a topology's links, without any of them being made."""

from __future__ import annotations

import ipaddress
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pynet.testnets.spec import notation
from pynet.testnets.spec.addressing import Addressing, AddressingError, Interface, addressing
from pynet.testnets.spec.expanding import expanded
from pynet.testnets.spec.segments import segments_of
from pynet.testnets.spec.topology import Network, Node, Topology, Underlay

KINDS = ("host", "router", "external", "switch")


def wired(nodes: str, *links: str, **more: object) -> Topology:
    """`h1 r1 sw` and their links; a name's first letter says its kind."""
    kinds = {kind[0]: kind for kind in KINDS}
    return Topology.model_validate(
        {
            "nodes": {name: Node(kind=kinds[name[0]]) for name in nodes.split()},  # type: ignore[arg-type]
            "links": [notation.parse_link(text) for text in links],
            **more,
        }
    )


def route(plan: Addressing, node: str, dst: str) -> str:
    return dict(plan.routes[node]).get(dst, "")


def on(plan: Addressing, node: str, interface: str = "") -> list[Interface]:
    """The addresses of a node, or of one interface of it."""
    return [
        ipaddress.ip_interface(text)
        for (at, name), texts in plan.interfaces.items()
        for text in texts
        if at == node and interface in ("", name)
    ]


def owner(plan: Addressing, address: str) -> str:
    wanted = ipaddress.ip_address(address)
    return next(at for at, _ in plan.interfaces if wanted in [own.ip for own in on(plan, at)])


@st.composite
def topologies(draw: st.DrawFn) -> Topology:
    """Any wiring of a few nodes, without a cycle of switches; some interfaces with addresses."""
    names = [f"{kind[0]}{n}" for kind in KINDS for n in range(draw(st.integers(0, 4)))]
    links = []
    grouped = {name: {name} for name in names if name[0] == "s"}
    for number in range(draw(st.integers(0, 12)) if len(names) > 1 else 0):
        one, other = draw(st.lists(st.sampled_from(names), min_size=2, max_size=2, unique=True))
        if one in grouped and other in grouped:
            if grouped[one] is grouped[other]:
                continue
            grouped[one] |= grouped[other]
            grouped.update(dict.fromkeys(grouped[other], grouped[one]))
        links.append(f"{one}:i{number} -- {other}:i{number}")
    topology = wired(" ".join(names), *links)
    nodes = dict(topology.nodes)
    for number, segment in enumerate(segments_of(topology, topology.links)):
        for host, end in enumerate(segment.ends):
            if draw(st.booleans()):
                address = f"192.168.{number}.{200 - host}/24"
                given = {**nodes[end.node].addresses, end.interface: (address,)}
                nodes[end.node] = nodes[end.node].model_copy(update={"addresses": given})
    return topology.model_copy(update={"nodes": nodes})


@given(topologies())
def test_no_address_is_given_twice(topology: Topology) -> None:
    plan = addressing(topology)
    texts = [text.partition("/")[0] for found in plan.interfaces.values() for text in found]
    assert len(texts) == len(set(texts))


@given(topologies())
def test_all_ends_of_a_segment_are_in_its_subnets(topology: Topology) -> None:
    plan = addressing(topology)
    for segment in plan.segments:
        for end in segment.ends:
            networks = {address.network for address in on(plan, end.node, end.interface)}
            given = topology.nodes[end.node].addresses.get(end.interface)
            assert networks <= set(segment.subnets.values())
            assert len(networks) == (1 if given else 2)


@given(topologies())
def test_segments_do_not_overlap(topology: Topology) -> None:
    subnets = [net for segment in addressing(topology).segments for net in segment.subnets.values()]
    for one, other in itertools.combinations(subnets, 2):
        assert one.version != other.version or not one.overlaps(other)  # type: ignore[arg-type]


@given(topologies())
def test_every_route_leads_to_a_neighbour_that_forwards(topology: Topology) -> None:
    plan = addressing(topology)
    for node, routes in plan.routes.items():
        assert len({dst for dst, _ in routes}) == len(routes)
        for _, via in routes:
            neighbour = owner(plan, via)
            assert neighbour != node
            assert topology.nodes[neighbour].kind in ("router", "external")
            assert any(ipaddress.ip_address(via) in own.network for own in on(plan, node))


@given(topologies())
def test_packets_arrive_where_their_route_leads_to(topology: Topology) -> None:
    plan = addressing(topology)
    for start, routes in plan.routes.items():
        for dst in {dst for dst, _ in routes} - {"0.0.0.0/0", "::/0"}:
            goal, at = ipaddress.ip_network(dst), start
            for _ in plan.routes:
                if goal not in [address.network for address in on(plan, at)]:
                    default = "0.0.0.0/0" if goal.version == 4 else "::/0"
                    at = owner(plan, route(plan, at, dst) or route(plan, at, default))
            assert goal in [address.network for address in on(plan, at)]


def test_hosts_on_a_switch_count_from_one() -> None:
    plan = addressing(wired("h1 h2 sw", "h1 -- sw", "h2 -- sw"))
    assert plan.interfaces == {
        ("h1", "eth0"): ("192.168.0.1/24", "fd00:c0a8::1/64"),
        ("h2", "eth0"): ("192.168.0.2/24", "fd00:c0a8::2/64"),
    }
    assert plan.routes == {"h1": (), "h2": ()}


def test_each_segment_takes_the_next_subnet() -> None:
    plan = addressing(wired("h1 h2 h3", "h1 -- h2", "h2 -- h3"))
    assert plan.interfaces[("h2", "eth1")] == ("192.168.1.1/24", "fd00:c0a8:0:1::1/64")


def test_linked_switches_are_one_segment() -> None:
    plan = addressing(wired("h1 h2 s1 s2", "h1 -- s1", "s1 -- s2", "h2 -- s2"))
    assert [segment.switches for segment in plan.segments] == [("s1", "s2")]
    assert plan.interfaces[("h2", "eth0")][0] == "192.168.0.2/24"


def test_hosts_behind_routers_find_each_other_and_the_way_out() -> None:
    plan = addressing(wired("h1 h2 r1 e1", "h1 -- r1", "h2 -- r1", "r1 -- e1"))
    assert plan.interfaces[("e1", "lo")] == ("203.0.113.1/32", "2001:db8:ffff::1/128")
    assert plan.routes["h1"] == (("0.0.0.0/0", "192.168.0.2"), ("::/0", "fd00:c0a8::2"))
    assert route(plan, "r1", "0.0.0.0/0") == "192.168.2.2"
    assert route(plan, "e1", "192.168.0.0/24") == "192.168.2.1"
    assert route(plan, "e1", "192.168.1.0/24") == "192.168.2.1"
    assert "0.0.0.0/0" not in dict(plan.routes["e1"])


def test_a_host_between_two_routers_has_the_shorter_way_to_each_side() -> None:
    links = ("h1 -- r1", "h1 -- r2", "r1 -- h2", "r2 -- h3")
    plan = addressing(wired("h1 h2 h3 r1 r2", *links))
    assert route(plan, "h1", "0.0.0.0/0") == "192.168.0.2"
    assert route(plan, "h1", "192.168.3.0/24") == "192.168.1.2"
    assert route(plan, "h1", "192.168.2.0/24") == ""  # by the default route


def test_the_second_external_is_reached_past_the_first() -> None:
    plan = addressing(wired("h1 r1 e1 e2", "h1 -- r1", "r1 -- e1", "r1 -- e2"))
    assert route(plan, "r1", "203.0.113.2/32") == "192.168.2.2"
    assert route(plan, "h1", "203.0.113.2/32") == ""  # by its default route, as the first


def test_given_addresses_set_the_segments_subnet() -> None:
    nodes = {"h1": Node(addresses={"eth1": ("10.9.0.7/28",)}), "h2": Node(), "h3": Node()}
    links = [notation.parse_link("h1:eth1 -- h2"), notation.parse_link("h2 -- h3")]
    plan = addressing(Topology(nodes=nodes, links=tuple(links)))
    assert plan.interfaces[("h1", "eth1")] == ("10.9.0.7/28",)
    assert plan.interfaces[("h2", "eth0")] == ("10.9.0.1/28", "fd00:c0a8::1/64")
    assert plan.interfaces[("h2", "eth1")][0] == "192.168.0.1/24"


def test_container_networks_are_passed_over() -> None:
    networks = {"web": Network(subnets=("192.168.0.0/23", "fd00:c0a8::/64"))}
    plan = addressing(wired("h1 h2", "h1 -- h2", networks=networks))
    assert plan.interfaces[("h1", "eth0")] == ("192.168.2.1/24", "fd00:c0a8:0:1::1/64")


def test_a_routed_network_is_known_to_routers_and_hosts_but_not_outside() -> None:
    networks = {
        "routed": Network(hosts=("h1",), subnets=("10.1.0.0/24",), masquerade=False),
        "hidden": Network(hosts=("h1",), subnets=("10.2.0.0/24",)),
        "twice": Network(subnets=("10.3.0.0/24",), masquerade=False),
    }
    links = ("h1 -- r1", "h2 -- r1", "r1 -- e1")
    plan = addressing(wired("h1 h2 r1 e1", *links, networks=networks))
    assert route(plan, "r1", "10.1.0.0/24") == "192.168.0.1"
    known = {dst for routes in plan.routes.values() for dst, _ in routes}
    assert not known & {"10.2.0.0/24", "10.3.0.0/24"}
    assert route(plan, "e1", "10.1.0.0/24") == ""


def test_neighbours_reach_a_routed_network_directly() -> None:
    networks = {"routed": Network(hosts=("h1",), subnets=("10.1.0.0/24",), masquerade=False)}
    plan = addressing(wired("h1 h2 sw", "h1 -- sw", "h2 -- sw", networks=networks))
    assert plan.routes["h2"] == (("10.1.0.0/24", "192.168.0.1"),)


def test_one_family_alone() -> None:
    plan = addressing(wired("h1 r1", "h1 -- r1", underlay=Underlay(ipv6="")))
    assert plan.interfaces[("h1", "eth0")] == ("192.168.0.1/24",)
    assert plan.routes["h1"] == (("0.0.0.0/0", "192.168.0.2"),)


def test_a_thousand_hosts_fit_on_one_switch() -> None:
    names = [f"h{n}" for n in range(1000)]
    plan = addressing(wired(" ".join(["sw", *names]), *(f"{name} -- sw" for name in names)))
    assert plan.interfaces[("h999", "eth0")] == ("192.168.3.232/22", "fd00:c0a8::3e8/64")


def test_where_no_address_is_left_it_says_what_to_write() -> None:
    nodes = {"h1": Node(addresses={"eth1": ("10.9.0.1/31",)}), "sw": Node(kind="switch")}
    nodes |= {"h2": Node(), "h3": Node()}
    links = tuple(notation.parse_link(f"h{n}:eth1 -- sw") for n in (1, 2, 3))
    with pytest.raises(AddressingError, match=r"h3:eth1 .* give its own, as in addresses"):
        addressing(Topology(nodes=nodes, links=links))


def given_to(h1: str, h2: str, *links: str) -> Topology:
    nodes = {"h1": Node(addresses={"eth1": (h1,)}), "h2": Node(addresses={"eth1": (h2,)})}
    nodes |= {"h3": Node()}
    return Topology(nodes=nodes, links=tuple(notation.parse_link(text) for text in links))


def test_linked_interfaces_are_given_addresses_of_one_subnet() -> None:
    with pytest.raises(AddressingError, match="give both addresses of one subnet") as caught:
        addressing(given_to("10.9.0.1/24", "10.8.0.1/24", "h1:eth1 -- h2:eth1"))
    assert caught.value.location == ("nodes", "h2", "addresses", "eth1")


def test_interfaces_that_are_not_linked_are_given_subnets_of_their_own() -> None:
    with pytest.raises(AddressingError, match=r"10.9.0.0/16 overlaps the subnet of h1:eth1"):
        addressing(given_to("10.9.0.1/24", "10.9.0.2/16", "h1:eth1 -- h3", "h2:eth1 -- h3"))


def test_where_no_subnet_is_left_it_says_what_to_write() -> None:
    links = ("h1 -- h2", "h2 -- h3")
    narrow = Underlay(ipv4="192.168.0.0/24")
    with pytest.raises(AddressingError, match=r'underlay: \{ipv4: "10.0.0.0/8"\}'):
        addressing(wired("h1 h2 h3", *links, underlay=narrow))


@given(topologies())
def test_the_addresses_are_those_of_the_expanded_topology(topology: Topology) -> None:
    assert addressing(expanded(topology)) == addressing(topology)
