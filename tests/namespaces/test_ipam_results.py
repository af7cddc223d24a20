"""Routes, DNS and fixed addresses: what IPAM's results hold, and what becomes of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from drive import Runtime
from pools import FIXED, ROUTES, Config, config, given, ranges, runtime, static
from pools import any_namespace as any_namespace
from scenes import add, container, in_host, ip, lines, refused, succeed

# --- routes and DNS -------------------------------------------------------------


@in_host
def test_routes() -> None:
    wanted = config("bridge", ranges=ranges(["10.1.0.0/24"], ["fd00:1::/64"]), routes=ROUTES)
    one = container("c1")
    result = add(wanted, one)
    assert result["routes"] == ROUTES
    found = {route["dst"]: route for route in ip("route show table all", "c1")}
    found |= {route["dst"]: route for route in ip("-6 route show", "c1")}
    assert found["192.0.2.0/24"]["gateway"] == "10.1.0.1"
    plain = found["198.51.100.0/24"]
    assert (plain["gateway"], plain["metric"]) == ("10.1.0.9", 50)
    assert plain["metrics"] == [{"mtu": 1300, "advmss": 1200}]
    assert found["203.0.113.0/24"]["table"] == "100"
    linked = found["203.0.114.0/24"]
    assert linked["scope"] == "link" and "gateway" not in linked
    assert found["fd00:99::/64"]["gateway"] == "fd00:1::1"
    assert found["fd00:99::/64"]["metric"] == 77
    succeed("CHECK", {**wanted, "prevResult": result}, one)
    succeed("DEL", wanted, one)


@in_host
def test_several_routes_to_one_destination() -> None:
    """As the reference has it: all next hops of one route, by their turn."""
    hops = [{"dst": "192.0.2.0/24", "gw": f"10.1.0.{number}"} for number in (8, 9)]
    one = container("c1")
    wanted = config("bridge", subnet="10.1.0.0/24", routes=hops)
    result = add(wanted, one)
    shown = json.dumps(ip("route show", "c1"))
    assert "10.1.0.8" in shown and "10.1.0.9" in shown
    succeed("CHECK", {**wanted, "prevResult": result}, one)


@in_host
def test_a_route_that_leads_nowhere_is_refused_by_its_text() -> None:
    succeed("DEL", config("bridge"), container("c2"))
    add(config("bridge", subnet="10.1.0.0/24"), Runtime("c2", "/run/netns/c2"))
    wanted = config(
        "bridge", subnet="10.1.0.0/24", routes=[{"dst": "192.0.2.0/24", "gw": "10.99.0.1"}]
    )
    refused(102, "192.0.2.0/24 via 10.99.0.1|eth0|/run/netns/c1", "ADD", wanted, container("c1"))


@in_host
def test_resolv_conf() -> None:
    text = "# comment\nnameserver 9.9.9.9\nnameserver ::1\ndomain a.test\nsearch b.test c.test\n"
    Path("/run/resolv.conf").write_text(text + "options ndots:2 edns0\n")
    result = add(config(subnet="10.1.0.0/24", resolvConf="/run/resolv.conf"), runtime())
    assert result["dns"] == {
        "nameservers": ["9.9.9.9", "::1"],
        "domain": "a.test",
        "search": ["b.test", "c.test"],
        "options": ["ndots:2", "edns0"],
    }
    missing = config(subnet="10.1.0.0/24", resolvConf="/run/none.conf")
    refused(7, "ipam.resolvConf|/run/none.conf", "ADD", missing, runtime(2))


# --- static ---------------------------------------------------------------------


@in_host
def test_static() -> None:
    six = {"address": "fd00:9::5/64"}
    dns = {"nameservers": ["9.9.9.9"], "domain": "a.test"}
    result = add(static(FIXED, six, routes=ROUTES[:1], dns=dns), runtime())
    assert result == {
        "cniVersion": "1.1.0",
        "ips": [FIXED, six],
        "routes": ROUTES[:1],
        "dns": dns,
    }


@in_host
def test_static_from_cni_args() -> None:
    asking = runtime(1, CNI_ARGS="IP=10.8.0.5/24,fd00:8::5/64;GATEWAY=10.8.0.1,fd00:8::1")
    expected = [
        FIXED,
        {"address": "10.8.0.5/24", "gateway": "10.8.0.1"},
        {"address": "fd00:8::5/64", "gateway": "fd00:8::1"},
    ]
    assert add(static(FIXED), asking)["ips"] == expected


@in_host
def test_static_asked_for_otherwise_replaces_all() -> None:
    by_args = {**static(FIXED), "args": {"cni": {"ips": ["10.8.0.5/24"]}}}
    assert given(add(by_args, runtime(1))) == ["10.8.0.5/24"]
    by_runtime = {**by_args, "runtimeConfig": {"ips": ["10.7.0.5/24"]}}
    assert given(add(by_runtime, runtime(2))) == ["10.7.0.5/24"]


@pytest.mark.parametrize(
    "wanted, words",
    [
        (static({"address": "10.9.0.5"}), "ipam.addresses[0]|10.9.0.5|prefix length"),
        (static(FIXED, {"address": "10.9.0.5/33"}), "ipam.addresses[1]|10.9.0.5/33"),
        (static({**FIXED, "gateway": "x"}), "ipam.addresses[0].gateway|x"),
        (static({**FIXED, "gateway": "fd00::1"}), "ipam.addresses[0].gateway|fd00::1|family"),
        (
            static(FIXED, routes=[{"dst": "10.1.0.5/24"}]),
            "ipam.routes[0].dst|host bits|10.1.0.0/24",
        ),
        (static(FIXED, routes=[{"dst": "default"}]), "ipam.routes[0].dst|default"),
        (static(FIXED, routes=[{"dst": "::/0", "gw": "x"}]), "ipam.routes[0].gw|x"),
        (static(FIXED, routes=[{"dst": "::/0", "mtu": -1}]), "ipam.routes[0].mtu|-1"),
    ],
)
@in_host
def test_what_static_refuses(wanted: Config, words: str) -> None:
    refused(7, words, "ADD", wanted, runtime())


@pytest.mark.parametrize("version", ["0.1.0", "0.2.0"])
@in_host
def test_old_versions_have_one_static_address_a_family(version: str) -> None:
    old = {**static(FIXED, {"address": "10.9.0.6/24"}), "cniVersion": version}
    refused(7, f"ipam.addresses|{version}|more than one IPv4", "ADD", old, runtime())


@pytest.mark.parametrize("wanted", [config(subnet="10.1.0.0/24"), static(FIXED)])
@pytest.mark.parametrize("netns", ["/run/netns/none", "/etc/hostname", "anything"])
@in_host
def test_who_only_leases_needs_no_namespace(wanted: Config, netns: str) -> None:
    asking = Runtime("host-local", netns)
    assert len(add(wanted, asking)["ips"]) == 1
    succeed("CHECK", wanted, asking)
    succeed("DEL", wanted, asking)


@in_host
def test_of_an_ipv6_destination_the_network_counts() -> None:
    asked = config(subnet="10.1.0.0/24", routes=[{"dst": "3ffe:ffff:0:01ff::1/64"}])
    assert add(asked, runtime())["routes"] == [{"dst": "3ffe:ffff:0:1ff::/64"}]


@in_host
def test_a_bridge_with_static_addresses() -> None:
    wanted = {
        **static(FIXED, {"address": "fd00:9::5/64"}),
        "type": "bridge",
        "isDefaultGateway": True,
    }
    one = container("c1")
    result = add(wanted, one)
    assert {"address eth0 10.9.0.5/24", "address eth0 fd00:9::5/64"} <= lines("c1")
    assert [route["gw"] for route in result["routes"]] == ["10.9.0.1", "fd00:9::1"]
    succeed("CHECK", {**wanted, "prevResult": result}, one)
    succeed("DEL", wanted, one)
    none = {**wanted, "ipam": {"type": "static"}}
    refused(7, "ipam|static|no address", "ADD", none, one)
