"""What a topology's author may leave out is filled in."""

from __future__ import annotations

from pynet.testnets.spec.expanding import expanded, find_link
from pynet.testnets.spec.notation import parse_link
from pynet.testnets.spec.topology import (
    Container,
    Fault,
    Generator,
    Impairment,
    Membership,
    Network,
    Node,
    Topology,
)

SW = Node(kind="switch")


def links(topology: Topology) -> list[str]:
    return [" -- ".join(str(end) for end in link.ends) for link in expanded(topology).links]


def test_interfaces_are_counted_past_those_that_are_named() -> None:
    given = ("h1 -- sw", "h1:eth1 -- sw2", "sw -- h1:eth3", "h1 -- h2")
    nodes = {"h1": Node(), "h2": Node(), "sw": SW, "sw2": SW}
    topology = Topology(nodes=nodes, links=tuple(parse_link(text) for text in given))
    assert links(topology) == [
        "h1:eth0 -- sw:h1-eth0",
        "h1:eth1 -- sw2:h1-eth1",
        "sw:h1-eth3 -- h1:eth3",
        "h1:eth2 -- h2:eth0",
    ]


def test_ports_of_switches_have_names_the_kernel_takes() -> None:
    long = "a-switch-of-a-very-long-name"
    topology = Topology(nodes={long: SW, "sw": SW}, links=(parse_link(f"{long} -- sw"),))
    (link,) = expanded(topology).links
    assert all(len(end.interface) <= 15 for end in link.ends)


def test_generated_containers_are_spread_over_hosts_in_turn() -> None:
    topology = Topology(
        nodes={"h1": Node(), "h2": Node(), "h3": Node(), "sw": SW},
        networks={"web": Network(hosts=("h1", "h3"), subnets=("10.1.0.0/24",))},
        generate=(Generator(containers=3, name="web-{n}", networks=("web",)),),
    )
    membership = (Membership(network="web"),)
    assert expanded(topology).containers == {
        "web-1": Container(host="h1", networks=membership),
        "web-2": Container(host="h3", networks=membership),
        "web-3": Container(host="h1", networks=membership),
    }


def test_the_only_host_is_everybodys() -> None:
    topology = Topology(
        nodes={"h1": Node(), "r": Node(kind="router")},
        networks={"web": Network(subnets=("10.1.0.0/24",))},
        containers={"a": Container()},
    )
    filled = expanded(topology)
    assert filled.containers["a"].host == "h1"
    assert filled.networks["web"].hosts == ("h1",)


def test_faults_call_links_by_their_names() -> None:
    impair = {"h1:eth7 -- sw": Impairment(loss=0.1)}
    topology = Topology(
        nodes={"h1": Node(), "sw": SW},
        links=(parse_link("h1:eth7 -- sw"),),
        checks=(Fault(down=("sw -- h1",), impair=impair),),
    )
    (fault,) = expanded(topology).checks
    assert fault == Fault(down=("h1 -- sw",), impair={"h1 -- sw": Impairment(loss=0.1)})


def test_a_link_is_found_by_either_end_and_by_its_interface() -> None:
    one, other = parse_link("h1:eth1 -- sw"), parse_link("h1:eth2 -- h2")
    assert find_link((one, other), "sw -- h1") is one
    assert find_link((one, other), "h2 -- h1:eth2") is other
    assert find_link((one, other), "h2 -- h1:eth1") is None
    assert find_link((one, other), "h1") is None


def test_expanding_twice_changes_nothing() -> None:
    topology = Topology(
        nodes={"h1": Node(), "sw": SW},
        links=(parse_link("h1 -- sw"),),
        networks={"web": Network(subnets=("10.1.0.0/24",))},
        generate=(Generator(containers=3, networks=("web",)),),
        checks=(Fault(down=("sw -- h1",)),),
    )
    assert expanded(expanded(topology)) == expanded(topology)
    assert not expanded(topology).generate
