"""firewall's plan: which elements a policy is, and where accepts go on which kind of host."""

from __future__ import annotations

from typing import Any

import pytest

from pynet.cni.config import parse_model
from pynet.model.errors import ConfigError
from pynet.model.forwarding import Blocker, ForwardBlockers
from pynet.model.plan import Plan
from pynet.model.query import DirectRoute, Link, LinkNamed, NetworkZone
from pynet.model.result import Address, Interface, Result
from pynet.plugins.firewall import Firewall
from pynet.testing import request, seen

MAC = "02:00:00:00:00:01"
BEFORE = Result(
    interfaces=(
        Interface("cni0", mac=MAC),
        Interface("veth1", mac=MAC),
        Interface("eth0", mac=MAC, sandbox="/run/netns/c1"),
    ),
    ips=(Address("10.1.0.2/24", interface=2), Address("fd00:1::2/64", interface=2)),
)
ONLY_4 = Result(BEFORE.interfaces, BEFORE.ips[:1])
LINKS = {
    "cni0": Link(5, "cni0", "bridge", MAC, 1500, True),
    "veth1": Link(6, "veth1", "veth", MAC, 1500, True, master=5),
}
DOCKER = Blocker("ip filter FORWARD", 4, "iptables-nft", "DOCKER-USER")
PLAIN_6 = Blocker("ip6 filter FORWARD", 6, "ip6tables-legacy", "FORWARD")
FIREWALLD = Blocker("inet firewalld filter_FORWARD", 0, "firewalld")
ADMIN = Blocker("inet mine forward", 0)


def planned(
    config: dict[str, Any],
    *blockers: Blocker,
    before: Result | None = BEFORE,
    links: dict[str, Link] = LINKS,
    zone: int = 0,
    routed: str = "",
) -> Plan:
    """`routed` is the interface that the host's own routes to the container go by."""
    answers: dict[Any, Any] = {ForwardBlockers(): blockers}
    for ip in before.ips if before else ():
        answers[DirectRoute(ip.address.partition("/")[0], alone=True)] = routed
    for name, link in links.items():
        answers[LinkNamed(name)] = link
    for name in ("cni0", "veth1"):
        answers[LinkNamed(name)] = links.get(name)
        answers[NetworkZone(name)] = zone if name == "cni0" else 0
    return Firewall().plan(request(Firewall(), config, prev_result=before), seen(answers))


def lines(*args: Any, **options: Any) -> list[str]:
    return [one.describe() for one in planned(*args, **options).resources]


def elements(config: dict[str, Any]) -> list[tuple[str, tuple[str, ...]]]:
    found = planned(config).resources
    return [(one.set, one.item) for one in found if one.kind == "nft-shared-element"]  # type: ignore[attr-defined]


@pytest.mark.parametrize("policy", [{}, {"ingressPolicy": ""}, {"ingressPolicy": "open"}])
def test_open_on_a_host_without_blockers_is_nothing(policy: dict[str, Any]) -> None:
    for backend in ("iptables", "firewalld", "nftables"):
        assert planned({**policy, "backend": backend}) == Plan((), BEFORE)


def test_nothing_is_asked_without_addresses() -> None:
    bare = Result(BEFORE.interfaces)
    asked = request(Firewall(), {"ingressPolicy": "isolated"}, prev_result=bare)
    assert Firewall().plan(asked, seen()) == Plan((), bare)


def test_same_bridge_is_closed_but_to_its_bridge() -> None:
    assert elements({"ingressPolicy": "same-bridge"}) == [
        ("within4", ("cni0", "10.1.0.2")),
        ("closed4", ("10.1.0.2",)),
        ("within6", ("cni0", "fd00:1::2")),
        ("closed6", ("fd00:1::2",)),
    ]
    kinds = {one.kind for one in planned({"ingressPolicy": "same-bridge"}).resources}
    assert kinds == {"nft-shared-element"}


def test_isolated_is_closed_to_its_bridge_too_and_its_port_is_isolated() -> None:
    config = {"ingressPolicy": "isolated"}
    assert ("apart4", ("cni0", "10.1.0.2")) in elements(config)
    assert not any(name.startswith("within") for name, _ in elements(config))
    assert lines(config)[-1] == "veth1 isolated on"


def test_in_a_zone_the_closed_are_known_by_their_interface() -> None:
    found = planned({"ingressPolicy": "isolated"}, zone=40000).resources
    items = [(one.set, one.item) for one in found if one.kind == "nft-shared-element"]  # type: ignore[attr-defined]
    assert ("closed_at4", ("cni0", "10.1.0.2")) in items
    assert ("closed_at6", ("cni0", "fd00:1::2")) in items
    assert not {name for name, _ in items} & {"closed4", "closed6"}


@pytest.mark.parametrize("policy", ["same-bridge", "isolated"])
def test_a_policy_needs_a_bridge(policy: str) -> None:
    pair = {"cni0": Link(5, "cni0", "veth", MAC, 1500, True)}
    for links in ({}, pair):
        with pytest.raises(ConfigError, match="put firewall behind bridge"):
            planned({"ingressPolicy": policy}, links=links)


UNNAMED = Result(ips=(Address("10.1.0.2/32"),))
"""As of a main plugin that names no interface of the host."""
CALI = {"cali1": Link(7, "cali1", "veth", MAC, 1500, True)}


def test_where_no_interface_is_named_the_host_s_route_to_the_container_tells_it() -> None:
    found = lines({}, DOCKER, before=UNNAMED, links=CALI, routed="cali1")
    assert found[1] == "iptables-nft -A PYNET-FORWARD -i cali1 -j ACCEPT"
    zone = lines({}, FIREWALLD, before=UNNAMED, links=CALI, routed="cali1")
    assert "cali1" in zone[0]


@pytest.mark.parametrize("kind", ["", "bridge", "macvlan"])
def test_what_leads_to_more_than_a_container_is_not_opened(kind: str) -> None:
    links = {"eth7": Link(7, "eth7", kind, MAC, 1500, True)}
    found = lines({}, DOCKER, before=UNNAMED, links=links, routed="eth7")
    assert found == ["iptables-nft -I DOCKER-USER -j PYNET-FORWARD"]


def test_docker_s_own_place_for_users_is_used() -> None:
    assert lines({}, DOCKER) == [
        "iptables-nft -I DOCKER-USER -j PYNET-FORWARD",
        "iptables-nft -A PYNET-FORWARD -i cni0 -j ACCEPT",
    ]


def test_each_blocker_of_the_container_s_families_has_its_accept() -> None:
    wide = lines({"firewalldZone": "internal"}, DOCKER, PLAIN_6, FIREWALLD, ADMIN)
    assert wide == [
        "iptables-nft -I DOCKER-USER -j PYNET-FORWARD",
        "iptables-nft -A PYNET-FORWARD -i cni0 -j ACCEPT",
        "ip6tables-legacy -I FORWARD -j PYNET-FORWARD",
        "ip6tables-legacy -A PYNET-FORWARD -i cni0 -j ACCEPT",
        "firewall-cmd --zone=internal --add-interface=cni0",
    ]
    assert lines({}, PLAIN_6, before=ONLY_4) == []


def test_the_admin_chain_is_jumped_to_after_our_own_so_that_it_stands_first() -> None:
    config = {"iptablesAdminChainName": "ADMIN"}
    assert lines(config) == [
        "iptables-nft -I FORWARD -j ADMIN",
        "ip6tables-nft -I FORWARD -j ADMIN",
    ]
    assert lines(config, PLAIN_6)[-1] == "ip6tables-legacy -I FORWARD -j ADMIN"
    assert lines(config, DOCKER, before=ONLY_4)[-1] == "iptables-nft -I FORWARD -j ADMIN"


def test_a_leg_in_a_vlan_and_a_lone_pair_are_gates_as_a_bridge_is() -> None:
    alone = {"veth1": Link(6, "veth1", "veth", MAC, 1500, True)}
    assert lines({}, DOCKER, links=alone)[-1] == "iptables-nft -A PYNET-FORWARD -i veth1 -j ACCEPT"


def test_a_name_that_iptables_would_take_for_something_else_is_refused() -> None:
    for name in ('a"b', "br+", "-x", "a b"):
        before = Result((Interface(name),), ONLY_4.ips)
        answers: dict[Any, Any] = {
            ForwardBlockers(): (DOCKER,),
            DirectRoute("10.1.0.2", alone=True): "",
            LinkNamed(name): Link(5, name, "bridge", MAC, 1500, True),
        }
        asked = request(Firewall(), {}, prev_result=before)
        if " " in name:  # no interface has such a name
            assert len(Firewall().plan(asked, seen(answers)).resources) == 1
            continue
        with pytest.raises(ConfigError, match="iptables can't accept"):
            Firewall().plan(asked, seen(answers))


@pytest.mark.parametrize(
    ("config", "path"),
    [
        ({"ingressPolicy": "closed"}, "ingressPolicy"),
        ({"backend": "pf"}, "backend"),
        ({"iptablesAdminChainName": "-F"}, "iptablesAdminChainName"),
        ({"iptablesAdminChainName": "A B"}, "iptablesAdminChainName"),
        ({"iptablesAdminChainName": "A" * 29}, "iptablesAdminChainName"),
        ({"firewalldZone": "x y"}, "firewalldZone"),
    ],
)
def test_wrong_values_are_named(config: dict[str, Any], path: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse_model(Firewall.config, config)
    assert path in error.value.msg


def test_it_needs_what_stands_before_it() -> None:
    with pytest.raises(ConfigError, match="prevResult: missing"):
        planned({}, before=None)


def test_what_has_no_program_to_change_it_is_a_note() -> None:
    plan = planned({}, Blocker("iptables-legacy FORWARD", 4, lacking="iptables-legacy"))
    assert plan.resources == ()
    (note,) = plan.notes
    assert note.startswith("iptables-legacy FORWARD drops what is forwarded, and iptables-legacy")
    assert planned({}, ADMIN).notes == ()
