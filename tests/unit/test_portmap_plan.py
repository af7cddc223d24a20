"""portmap's plan: which ports, for which families, and what goes with them."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from pynet.model.errors import AddressInUse, ConfigError
from pynet.model.plan import Plan
from pynet.model.query import AddressesOn, DirectRoute, Listener, ListenersOn, NetworkZone
from pynet.model.request import Request
from pynet.model.resources import PublishedPort, SharedElement, Sysctl
from pynet.model.result import Address, Interface, Result
from pynet.plugins.portmap import Portmap
from pynet.testing import RecordingWorld, memory_engine, request, seen

BEFORE = Result(
    interfaces=(
        Interface("cni0"),
        Interface("veth1"),
        Interface("eth0", sandbox="/run/netns/c1"),
    ),
    ips=(
        Address("192.0.2.9/24", interface=0),
        Address("10.1.0.2/24", interface=2),
        Address("10.1.0.3/24", interface=2),
        Address("fd00:1::2/64", interface=2),
    ),
)
ONLY_4 = replace(BEFORE, ips=BEFORE.ips[:2])
ONLY_6 = replace(BEFORE, ips=BEFORE.ips[3:])


def mapping(**fields: Any) -> dict[str, Any]:
    return {"hostPort": 8080, "containerPort": 80, **fields}


def asked(*mappings: Any, before: Result | None = BEFORE, **config: Any) -> Request:
    ports = {"portMappings": list(mappings)}
    return request(Portmap(), {"runtimeConfig": ports, **config}, prev_result=before)


def answers(
    listeners: tuple[Listener, ...] = (),
    interface: str = "cni0",
    zone: int = 0,
    inside: bool = False,
) -> dict[Any, Any]:
    class Everything(dict[Any, Any]):
        def __missing__(self, question: Any) -> Any:
            if isinstance(question, NetworkZone):
                return zone if question.interface == "cni0" else 0
            assert isinstance(question, ListenersOn)
            return listeners

        def together(self, *questions: Any) -> None:
            pass

    # The interface as it is where prevResult does not tell of it.
    there = ("10.1.0.7/24", "fd00:1::7/64") if inside else ()
    return Everything(
        {
            DirectRoute("10.1.0.2"): interface,
            DirectRoute("10.1.0.7"): interface,
            AddressesOn("eth0", "sandbox"): there,
        }
    )


def plan(*mappings: Any, listeners: tuple[Listener, ...] = (), **fields: Any) -> Plan:
    told = (fields.pop(key, default) for key, default in (("interface", "cni0"), ("zone", 0)))
    given = answers(listeners, *told, inside=fields.pop("inside", False))
    return Portmap().plan(asked(*mappings, **fields), given)  # type: ignore[arg-type]


def ports(made: Plan) -> list[str]:
    found = [one for one in made.resources if isinstance(one, PublishedPort)]
    return [
        f"{one.protocol} {one.host_address} {one.host_port} {one.address} {one.port}"
        for one in found
    ]


def elements(made: Plan) -> set[str]:
    return {one.set for one in made.resources if isinstance(one, SharedElement)}


def test_behind_nothing_it_is_refused_and_without_ports_it_passes_through() -> None:
    with pytest.raises(ConfigError, match="prevResult"):
        Portmap().plan(asked(before=None), seen())
    assert Portmap().plan(asked(), seen()) == Plan((), BEFORE)
    empty = request(Portmap(), {}, prev_result=BEFORE)
    assert Portmap().plan(empty, seen()) == Plan((), BEFORE)


@pytest.mark.parametrize(
    ("host_ip", "expected"),
    [
        ("", ["tcp 0.0.0.0 8080 10.1.0.2 80", "tcp :: 8080 fd00:1::2 80"]),
        ("0.0.0.0", ["tcp 0.0.0.0 8080 10.1.0.2 80"]),
        ("::", ["tcp :: 8080 fd00:1::2 80"]),
        ("0:0::0", ["tcp :: 8080 fd00:1::2 80"]),
        ("192.0.2.2", ["tcp 192.0.2.2 8080 10.1.0.2 80"]),
        ("::ffff:192.0.2.2", ["tcp 192.0.2.2 8080 10.1.0.2 80"]),
        ("2001:DB8:0::2", ["tcp 2001:db8::2 8080 fd00:1::2 80"]),
        ("127.0.0.1", ["tcp 127.0.0.1 8080 10.1.0.2 80"]),
    ],
)
def test_the_family_is_that_of_the_host_address(host_ip: str, expected: list[str]) -> None:
    made = plan(mapping(hostIP=host_ip))
    assert ports(made) == expected
    assert made.result == BEFORE


def test_only_the_families_the_container_has() -> None:
    assert ports(plan(mapping(), before=ONLY_4)) == ["tcp 0.0.0.0 8080 10.1.0.2 80"]
    assert ports(plan(mapping(), before=ONLY_6)) == ["tcp :: 8080 fd00:1::2 80"]
    for before, host_ip, words in (
        (ONLY_4, "::", "no IPv6 address"),
        (ONLY_6, "192.0.2.2", "no IPv4 address"),
        (replace(BEFORE, ips=()), "", "no address"),
    ):
        with pytest.raises(ConfigError, match=rf"portMappings\[0\].*{words}"):
            plan(mapping(hostIP=host_ip), before=before)


def test_where_the_result_tells_no_address_the_interface_does() -> None:
    made = plan(mapping(), before=Result(), inside=True)
    assert ports(made) == ["tcp 0.0.0.0 8080 10.1.0.7 80", "tcp :: 8080 fd00:1::7 80"]
    assert made.result == Result()


def test_what_can_be_published_is_and_the_rest_is_noted() -> None:
    made = plan(mapping(hostIP="192.0.2.2"), mapping(hostPort=8081, hostIP="::"), before=ONLY_4)
    assert ports(made) == ["tcp 192.0.2.2 8080 10.1.0.2 80"]
    (note,) = made.notes
    assert "portMappings[1]" in note and "no IPv6 address" in note and ":: port 8081" in note


@pytest.mark.parametrize(
    ("host_ip", "words"),
    [("::1", "hostIP: .*IPv6 loopback.*127.0.0.1"), ("fe80::1", "hostIP: .*fe80::/10")],
)
@pytest.mark.parametrize("before", [BEFORE, ONLY_4])
def test_what_comes_for_some_addresses_can_be_sent_to_nobody(
    before: Result, host_ip: str, words: str
) -> None:
    """With the reference such a container starts, and is reached at its other addresses."""
    made = plan(mapping(hostIP="127.0.0.1"), mapping(hostIP=host_ip), before=before)
    assert ports(made) == ["tcp 127.0.0.1 8080 10.1.0.2 80"]
    (note,) = made.notes
    assert re.match(rf"runtimeConfig\.portMappings\[1\]\.{words}", note)
    with pytest.raises(ConfigError, match=rf"portMappings\[0\]\.{words}"):
        plan(mapping(hostIP=host_ip), before=before)


def test_an_address_that_names_no_interface_counts() -> None:
    bare = Result(ips=(Address("10.1.0.2/24"),))
    assert ports(plan(mapping(), before=bare)) == ["tcp 0.0.0.0 8080 10.1.0.2 80"]


def test_protocols_in_any_case_and_tcp_where_none_is_said() -> None:
    made = plan(
        mapping(protocol="UDP"), mapping(protocol="Sctp"), mapping(protocol=""), before=ONLY_4
    )
    assert [line.split()[0] for line in ports(made)] == ["udp", "sctp", "tcp"]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"hostPort": 0}, "hostPort: 0: .*1..65535"),
        ({"hostPort": 65536}, "hostPort: 65536: .*1..65535"),
        ({"containerPort": -1}, "containerPort: -1: .*1..65535"),
        ({"hostPort": "80"}, 'hostPort: "80" is not a whole number'),
        ({"hostPort": None}, "needs hostPort"),
        ({"protocol": "icmp"}, 'protocol: "icmp": .*tcp, udp, sctp'),
        ({"hostIP": "localhost"}, "hostIP: .*not an IP address"),
        ({"hostIP": "fe80::1%eth0"}, "hostIP: .*%"),
        ({"hostIP": "224.0.0.1"}, "hostIP: .*multicast"),
        ({"hostIP": "10.1.0.0/24"}, "hostIP: .*not an IP address"),
    ],
)
def test_what_can_not_be_published_is_refused_by_its_path(
    fields: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigError, match=words) as refusal:
        asked(mapping(), mapping(**fields))
    assert "runtimeConfig.portMappings[1]" in refusal.value.msg


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"backend": "ipvs"}, "backend"),
        ({"markMasqBit": 32}, "markMasqBit"),
        ({"markMasqBit": 3, "externalSetMarkChain": "KUBE-MARK-MASQ"}, "externalSetMarkChain"),
        ({"snat": "yes"}, "snat"),
    ],
)
def test_keys_out_of_range(config: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        asked(mapping(), **config)


def test_keys_about_other_backends_select_nothing() -> None:
    plain = plan(mapping())
    for config in (
        {"backend": "iptables"},
        {"backend": "nftables", "markMasqBit": 13},
        {"externalSetMarkChain": "KUBE-MARK-MASQ"},
        {"conditionsV4": [], "conditionsV6": None},
        {"SNAT": True, "masqall": False},
    ):
        assert plan(mapping(), **config) == plain


def test_one_port_twice() -> None:
    assert len(ports(plan(mapping(), mapping(protocol="TCP"), before=ONLY_4))) == 1
    with pytest.raises(
        ConfigError, match=r"portMappings\[1\]: tcp port 8080 of every IPv4 address"
    ):
        plan(mapping(), mapping(containerPort=81))
    assert len(ports(plan(mapping(), mapping(containerPort=81, hostIP="127.0.0.1")))) == 3


def test_sources() -> None:
    both = {"network4_24", "hairpin4", "network6_64", "hairpin6"}
    assert elements(plan(mapping())) == {*both, "loopback_guarded"}
    all_masqueraded = {"published_masquerade4", "published_masquerade6", "loopback_guarded"}
    assert elements(plan(mapping(), masqAll=True)) == both | all_masqueraded
    assert elements(plan(mapping(), snat=False, masqAll=True)) == set()
    only_6 = plan(mapping(hostIP="2001:db8::1"))
    assert elements(only_6) == {"network6_64", "hairpin6"}


@pytest.mark.parametrize(
    ("mappings", "config", "interface", "expected"),
    [
        ([{}], {}, "cni0", "ipv4/conf/cni0/route_localnet"),
        ([{"hostIP": "127.0.0.1"}], {}, "br.100", "ipv4/conf/br.100/route_localnet"),
        ([{"hostIP": "192.0.2.2"}], {}, "cni0", None),
        ([{"hostIP": "::"}], {}, "cni0", None),
        ([{}], {"snat": False}, "cni0", None),
        ([{}], {}, "", None),
    ],
)
def test_loopback_is_routed_only_where_it_must_be(
    mappings: list[dict[str, Any]], config: dict[str, Any], interface: str, expected: str | None
) -> None:
    made = plan(*(mapping(**fields) for fields in mappings), interface=interface, **config)
    settings = [one.setting for one in made.resources if isinstance(one, Sysctl)]
    assert settings == ([expected] if expected else [])
    assert ("loopback_guarded" in elements(made)) == bool(expected)
    if expected:
        order = [one.kind for one in made.resources]
        assert order.index("sysctl") == len(order) - 1, "the guard stands before there is need"


def test_a_listening_process_is_told_of() -> None:
    def notes(address: str, host_ip: str = "", protocol: str = "tcp") -> int:
        listener = Listener(protocol, address, 8080)
        return len(plan(mapping(hostIP=host_ip), listeners=(listener,)).notes)

    assert notes("127.0.0.1") == 1
    assert notes("0.0.0.0") == 1
    assert notes("::") == 1
    assert notes("*") == 2
    assert notes("::1") == 0, "it is still reached"
    assert notes("0.0.0.0", "192.0.2.2") == 1
    assert notes("192.0.2.2", "192.0.2.2") == 1
    assert notes("192.0.2.3", "192.0.2.2") == 0
    assert notes("2001:db8::1", "192.0.2.2") == 0
    assert notes("0.0.0.0", protocol="udp") == 0


@given(
    st.lists(
        st.tuples(
            st.integers(1, 65535),
            st.sampled_from(["tcp", "udp", "sctp"]),
            st.sampled_from(["", "0.0.0.0", "::", "127.0.0.1", "192.0.2.2", "2001:db8::2"]),
        ),
        max_size=8,
    )
)
def test_every_port_once_and_in_one_batch(wanted: list[tuple[int, str, str]]) -> None:
    mappings = [mapping(hostPort=n, protocol=p, hostIP=ip) for n, p, ip in wanted]
    made = plan(*mappings)
    keys = [one.key for one in made.resources]
    assert len(keys) == len(set(keys))
    batches = [one.batch for one in made.resources if one.batch == "nft"]
    in_row = [index for index, one in enumerate(made.resources) if one.batch == "nft"]
    assert in_row == list(range(in_row[0], in_row[0] + len(batches))) if in_row else True
    expected = {(p, n, 6 if ":" in ip else 4) for n, p, ip in wanted if ip} | {
        (p, n, family) for n, p, ip in wanted if not ip for family in (4, 6)
    }
    published = [one for one in made.resources if isinstance(one, PublishedPort)]
    assert {(one.protocol, one.host_port, one.family) for one in published} == expected


def test_in_a_zone_sources_are_known_by_interface_and_network_by_zone() -> None:
    made = plan(mapping(), before=ONLY_4, masqAll=True, zone=40000, interface="cni7")
    found = {(one.set, one.item) for one in made.resources if isinstance(one, SharedElement)}
    assert found == {
        ("network4_24", ("40000", "10.1.0.0", "10.1.0.0")),
        ("hairpin_at4", ("cni0", "10.1.0.2")),
        ("published_masquerade_at4", ("cni0", "10.1.0.2")),
        ("loopback_guarded", ("cni0",)),  # a route to such an address may lead elsewhere
    }


def test_the_second_who_wants_a_port_is_told_whose_it_is() -> None:
    nobody = ListenersOn((("tcp", 8080),))
    zones = {NetworkZone(name): 0 for name in ("cni0", "veth1")}
    world = RecordingWorld({nobody: (), DirectRoute("10.1.0.2"): "cni0", **zones})
    first = asked(mapping(), before=ONLY_4)
    second = replace(first, container="c2", network="other")
    with memory_engine(world) as engine:
        engine(first).add(Portmap(), first)
        with pytest.raises(AddressInUse, match=r"tcp port 8080 .* container c1 \(eth0"):
            engine(second).add(Portmap(), second)
        engine(first).delete(Portmap(), first)
        engine(second).add(Portmap(), second)


def test_without_a_record_the_request_tells_what_to_remove() -> None:
    left = list(Portmap().leftovers(asked(mapping(), before=ONLY_4)))
    assert [one.key for one in left if isinstance(one, PublishedPort)] == [
        "published-port\ttcp\t0.0.0.0\t8080"
    ]
    assert "hairpin4" in {one.set for one in left if isinstance(one, SharedElement)}
    assert list(Portmap().leftovers(asked(mapping(), before=None))) == []
    assert list(Portmap().leftovers(asked(mapping(hostIP="::"), before=ONLY_4))) == []
    assert list(Portmap().leftovers(replace(asked(), conf=None))) == []
