"""Results of every version, and the way from one to another."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pynet.cni.result import from_json, to_json
from pynet.cni.version import SUPPORTED
from pynet.model.errors import Code, ConfigError, IncompatibleVersion
from pynet.model.result import Address, Dns, Interface, Result, Route

OLDEST, OLD, NEW = SUPPORTED[:2], SUPPORTED[2:5], SUPPORTED[5:]

v4 = st.ip_addresses(v=4).map(str)
v6 = st.ip_addresses(v=6).map(str)
cidr = st.builds("{}/{}".format, v4, st.integers(0, 32)) | st.builds(
    "{}/{}".format, v6, st.integers(0, 128)
)
words = st.text(max_size=8)
numbers = st.integers(0, 2**31)
dns = st.builds(
    Dns,
    st.lists(words, max_size=2).map(tuple),
    words,
    st.lists(words, max_size=2).map(tuple),
    st.lists(words, max_size=2).map(tuple),
)
interfaces = st.builds(Interface, words, words, words, numbers, words, words)
routes = st.builds(
    Route, cidr, v4 | v6 | st.just(""), numbers, numbers, numbers,
    st.none() | numbers, st.none() | st.integers(0, 255),
)  # fmt: skip


@st.composite
def results(draw: st.DrawFn) -> Result:
    links = draw(st.lists(interfaces, max_size=3))
    index = st.none() | st.integers(0, len(links) - 1) if links else st.none()
    ips = st.builds(Address, cidr, v4 | v6 | st.just(""), index)
    return Result(
        tuple(links),
        tuple(draw(st.lists(ips, max_size=3))),
        tuple(draw(st.lists(routes, max_size=3))),
        draw(dns),
    )


FULL = Result(
    (Interface("br0", "02:00:00:00:00:01"), Interface("eth0", "", "/ns/a", 1450, "/s", "0000:1")),
    (
        Address("10.1.0.5/16", "10.1.0.1", 1),
        Address("10.2.0.5/16"),
        Address("fd00::5/64", "fd00::1", 1),
    ),
    (
        Route("0.0.0.0/0", "10.1.0.1", mtu=1400, table=100, scope=0),
        Route("fd01::/64", "fd00::1", advmss=1300, priority=5),
    ),
    Dns(("10.1.0.1",), "example.org", ("example.org",), ("ndots:2",)),
)
DNS_JSON = {
    "nameservers": ["10.1.0.1"],
    "domain": "example.org",
    "search": ["example.org"],
    "options": ["ndots:2"],
}


# --- out ---------------------------------------------------------------------------


@pytest.mark.parametrize("version", NEW)
def test_the_shape_since_1_0(version: str) -> None:
    assert to_json(FULL, version) == {
        "cniVersion": version,
        "interfaces": [
            {"name": "br0", "mac": "02:00:00:00:00:01"},
            {
                "name": "eth0",
                "sandbox": "/ns/a",
                "mtu": 1450,
                "socketPath": "/s",
                "pciID": "0000:1",
            },
        ],
        "ips": [
            {"interface": 1, "address": "10.1.0.5/16", "gateway": "10.1.0.1"},
            {"address": "10.2.0.5/16"},
            {"interface": 1, "address": "fd00::5/64", "gateway": "fd00::1"},
        ],
        "routes": [
            {"dst": "0.0.0.0/0", "gw": "10.1.0.1", "mtu": 1400, "table": 100, "scope": 0},
            {"dst": "fd01::/64", "gw": "fd00::1", "advmss": 1300, "priority": 5},
        ],
        "dns": DNS_JSON,
    }


@pytest.mark.parametrize("version", OLD)
def test_the_shape_since_0_3_names_the_ip_version_and_drops_newer_fields(version: str) -> None:
    document = to_json(FULL, version)
    assert document["cniVersion"] == version
    assert [ip["version"] for ip in document["ips"]] == ["4", "4", "6"]
    assert document["interfaces"][1] == {"name": "eth0", "sandbox": "/ns/a"}
    assert document["routes"][0]["mtu"] == 1400  # as the reference does


@pytest.mark.parametrize("version", OLDEST)
def test_the_oldest_shape_has_the_first_address_of_each_family(version: str) -> None:
    assert to_json(FULL, version) == {
        "cniVersion": version,
        "ip4": {
            "ip": "10.1.0.5/16",
            "gateway": "10.1.0.1",
            "routes": [{"dst": "0.0.0.0/0", "gw": "10.1.0.1"}],
        },
        "ip6": {
            "ip": "fd00::5/64",
            "gateway": "fd00::1",
            "routes": [{"dst": "fd01::/64", "gw": "fd00::1"}],
        },
        "dns": DNS_JSON,
    }


@pytest.mark.parametrize("version", OLDEST)
def test_the_oldest_shape_needs_an_address(version: str) -> None:
    with pytest.raises(ConfigError, match="needs an address"):
        to_json(Result((Interface("eth0"),)), version)


@pytest.mark.parametrize("version", SUPPORTED)
def test_an_empty_dns_stands_until_0_4_and_is_left_out_since(version: str) -> None:
    document = to_json(Result(ips=(Address("10.0.0.1/8"),)), version)
    assert document.get("dns") == (None if version in NEW else {})


@pytest.mark.parametrize("version", [*OLD, *NEW])
def test_what_is_empty_is_left_out(version: str) -> None:
    assert set(to_json(Result(), version)) <= {"cniVersion", "dns"}
    ip = to_json(Result(ips=(Address("10.0.0.1/8"),)), version)["ips"][0]
    assert set(ip) <= {"address", "version"}


def test_no_result_in_an_unknown_version() -> None:
    with pytest.raises(IncompatibleVersion) as caught:
        to_json(FULL, "0.5.0")
    assert caught.value.code is Code.INCOMPATIBLE_VERSION


# --- and back ------------------------------------------------------------------------


@given(results(), st.sampled_from(NEW))
def test_new_results_round_trip(result: Result, version: str) -> None:
    assert from_json(to_json(result, version), version) == result


@given(results(), st.sampled_from(OLD))
def test_older_results_keep_all_they_can_say(result: Result, version: str) -> None:
    back = from_json(to_json(result, version), version)
    assert (back.ips, back.routes, back.dns) == (result.ips, result.routes, result.dns)
    assert [(one.name, one.mac, one.sandbox) for one in back.interfaces] == [
        (one.name, one.mac, one.sandbox) for one in result.interfaces
    ]
    assert to_json(back, version) == to_json(result, version)


@given(results().filter(lambda result: result.ips), st.sampled_from(OLDEST))
def test_the_oldest_results_survive_the_way_up_and_down(result: Result, version: str) -> None:
    document = to_json(result, version)
    up = from_json(document, version)
    assert up.interfaces == () and up.dns == result.dns
    assert to_json(up, version) == document


def test_the_oldest_shape_goes_up_ip4_first_with_all_routes() -> None:
    document = {
        "ip6": {"ip": "fd00::5/64", "routes": [{"dst": "::/0"}]},
        "ip4": {"ip": "10.0.0.5/8", "gateway": "10.0.0.1", "routes": [{"dst": "0.0.0.0/0"}]},
    }
    assert from_json(document, "0.2.0") == Result(
        ips=(Address("10.0.0.5/8", "10.0.0.1"), Address("fd00::5/64")),
        routes=(Route("0.0.0.0/0"), Route("::/0")),
    )


def test_keys_are_matched_in_any_case() -> None:
    document = {
        "CNIVersion": "1.0.0",
        "IPs": [{"Address": "10.0.0.5/8", "INTERFACE": 0}],
        "Interfaces": [{"NAME": "eth0", "PciID": "x"}],
        "Routes": [{"DST": "::/0", "GW": "fd00::1"}],
        "DNS": {"NameServers": ["a"]},
    }
    assert from_json(document, "1.0.0") == Result(
        (Interface("eth0", pci_id="x"),),
        (Address("10.0.0.5/8", interface=0),),
        (Route("::/0", "fd00::1"),),
        Dns(("a",)),
    )


@pytest.mark.parametrize("index", [-1, 7, None])
def test_an_index_that_means_none_is_none(index: int | None) -> None:
    document = {"ips": [{"address": "10.0.0.5/8", "interface": index}]}
    assert from_json(document, "1.0.0").ips[0].interface is None


def test_empty_and_null_values_are_absent() -> None:
    document: dict[str, Any] = {
        "interfaces": None,
        "ips": [{"address": "10.0.0.5/8", "gateway": ""}],
        "dns": None,
    }
    assert from_json(document, "0.4.0") == Result(ips=(Address("10.0.0.5/8"),))


# --- families ----------------------------------------------------------------------


def family(version: str) -> int:
    return next(place for place, group in enumerate((OLDEST, OLD, NEW)) if version in group)


@pytest.mark.parametrize("config", SUPPORTED)
def test_a_result_without_version_has_the_configurations(config: str) -> None:
    assert from_json({"cniVersion": ""}, config) == from_json({}, config) == Result()


@pytest.mark.parametrize("config", SUPPORTED)
@pytest.mark.parametrize("version", SUPPORTED)
def test_a_result_stands_for_those_of_its_family_only(version: str, config: str) -> None:
    if family(version) == family(config):
        assert from_json({"cniVersion": version}, config) == Result()
        return
    with pytest.raises(ConfigError, match="cniVersion") as caught:
        from_json({"cniVersion": version}, config)
    assert version in caught.value.msg and config in caught.value.msg


@pytest.mark.parametrize("version", ["9.9.9", 5, [1]])
def test_a_result_of_no_known_version_is_an_error(version: Any) -> None:
    with pytest.raises(ConfigError, match=r"prevResult\.cniVersion"):
        from_json({"cniVersion": version}, "1.1.0")


# --- malformed ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ({"ips": {}}, "ips"),
        ({"ips": [5]}, "ips[0]"),
        ({"ips": [{}]}, "ips[0].address"),
        ({"ips": [{"address": "10.0.0.5"}]}, "ips[0].address"),
        ({"ips": [{"address": "fe80::1%eth0/64"}]}, "ips[0].address"),
        ({"ips": [{"address": "10.0.0.5/255.0.0.0"}]}, "ips[0].address"),
        ({"ips": [{"address": "10.0.0.5/8", "gateway": "10.0.0.1/8"}]}, "ips[0].gateway"),
        ({"ips": [{"address": "10.0.0.5/8", "interface": True}]}, "ips[0].interface"),
        ({"interfaces": [{"name": 5}]}, "interfaces[0].name"),
        ({"interfaces": [{}, {"mtu": "1"}]}, "interfaces[1].mtu"),
        ({"routes": [{"dst": "default"}]}, "routes[0].dst"),
        ({"routes": [{"dst": "::/0", "table": 1.5}]}, "routes[0].table"),
        ({"routes": [{"dst": "::/0", "table": 2**32}]}, "routes[0].table"),
        ({"routes": [{"dst": "::/0", "mtu": -1}]}, "routes[0].mtu"),
        ({"routes": [{"dst": "::/0", "scope": 256}]}, "routes[0].scope"),
        ({"dns": []}, "dns"),
        ({"dns": {"search": [1]}}, "dns.search"),
    ],
)
def test_a_malformed_result_is_named_by_its_path(document: dict[str, Any], path: str) -> None:
    with pytest.raises(ConfigError) as caught:
        from_json(document, "1.1.0", "result of dhcp")
    assert caught.value.msg.startswith(f"result of dhcp.{path}: ")
