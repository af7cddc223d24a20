"""Every key and input of `host-local` and `static`, and of somebody else's IPAM in their place."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import drive
import evidence
import pytest
from drive import Runtime
from evidence import nothing_left, rest
from scenes import add, container, in_host, ip, lines, refused, run, succeed, the_error, wait_for

Config = dict[str, Any]

BASE: Config = {"cniVersion": "1.1.0", "name": "web", "type": "host-local"}


def config(plugin: str = "host-local", **ipam: Any) -> Config:
    return {**BASE, "type": plugin, "ipam": {"type": "host-local", **ipam}}


def ranges(*sets: Sequence[str]) -> list[list[dict[str, str]]]:
    return [[{"subnet": subnet} for subnet in one] for one in sets]


def given(result: Config) -> list[str]:
    return [address["address"] for address in result["ips"]]


def runtime(number: int = 1, **environ: str) -> Runtime:
    """host-local alone needs no namespace that exists but in its environment."""
    return Runtime(f"c{number}", "/run/netns/any", environ=environ)


@pytest.fixture(autouse=True)
def any_namespace(host: Any) -> None:
    host.container("any")


SMALL = config(subnet="10.1.0.0/29")
DUAL = config(ranges=ranges(["10.1.0.0/24"], ["fd00:1::/64"]))

# --- ranges ---------------------------------------------------------------------


@in_host
def test_one_subnet() -> None:
    result = add(config(subnet="10.1.0.0/24"), runtime())
    assert result == {
        "cniVersion": "1.1.0",
        "ips": [{"address": "10.1.0.2/24", "gateway": "10.1.0.1"}],
    }


@in_host
def test_bounds_and_gateway() -> None:
    wanted = config(
        subnet="10.1.0.0/24", rangeStart="10.1.0.10", rangeEnd="10.1.0.12", gateway="10.1.0.11"
    )
    assert given(add(wanted, runtime(1))) == ["10.1.0.10/24"]
    result = add(wanted, runtime(2))
    assert result["ips"] == [{"address": "10.1.0.12/24", "gateway": "10.1.0.11"}]
    refused(50, "no IP addresses available|web|10.1.0.10-10.1.0.12", "ADD", wanted, runtime(3))


@in_host
def test_all_of_a_subnet_but_network_gateway_and_broadcast() -> None:
    found = [given(add(SMALL, runtime(number)))[0] for number in range(5)]
    assert found == [f"10.1.0.{number}/29" for number in range(2, 7)]
    refused(50, "5 of 5 held", "ADD", SMALL, runtime(6))


@in_host
def test_ipv6_has_no_broadcast() -> None:
    wanted = config(subnet="fd00:1::/126")
    assert [given(add(wanted, runtime(number)))[0] for number in range(2)] == [
        "fd00:1::2/126",
        "fd00:1::3/126",
    ]


@in_host
def test_a_set_of_ranges_is_used_up_one_by_one() -> None:
    wanted = config(ranges=ranges(["10.1.0.0/30", "10.2.0.0/30"]))
    assert given(add(wanted, runtime(1))) == ["10.1.0.2/30"]
    result = add(wanted, runtime(2))
    assert result["ips"] == [{"address": "10.2.0.2/30", "gateway": "10.2.0.1"}]
    refused(50, "10.1.0|10.2.0", "ADD", wanted, runtime(3))


@in_host
def test_an_address_of_each_set() -> None:
    wanted = config(ranges=ranges(["10.1.0.0/24"], ["10.2.0.0/24"], ["fd00:1::/64"]))
    expected = ["10.1.0.2/24", "10.2.0.2/24", "fd00:1::2/64"]
    assert given(add(wanted, runtime())) == expected
    succeed("DEL", wanted, runtime())
    assert evidence.rows() == set()


@in_host
def test_the_older_form_comes_before_ranges() -> None:
    wanted = config(subnet="10.9.0.0/24", ranges=ranges(["10.1.0.0/24"]))
    assert given(add(wanted, runtime())) == ["10.9.0.2/24", "10.1.0.2/24"]


@in_host
def test_where_one_set_is_full_nothing_of_the_other_is_taken() -> None:
    wanted = config(ranges=ranges(["10.1.0.0/24"], ["fd00:1::/126"]))
    for number in range(2):
        add(wanted, runtime(number))
    refused(50, "fd00:1::", "ADD", wanted, runtime(3))


@pytest.mark.parametrize("version", ["0.1.0", "0.2.0"])
@in_host
def test_old_versions_have_one_address_a_family(version: str) -> None:
    both = {**DUAL, "cniVersion": version}
    result = add(both, runtime())
    assert (result["ip4"]["ip"], result["ip6"]["ip"]) == ("10.1.0.2/24", "fd00:1::2/64")
    two = {**config(ranges=ranges(["10.3.0.0/24"], ["10.4.0.0/24"])), "cniVersion": version}
    refused(7, f"ipam.ranges|{version}|more than one IPv4", "ADD", two, runtime(2))


@in_host
def test_never_used_first_then_what_was_released_first() -> None:
    for number in range(4):
        add(SMALL, runtime(number))  # .2 to .5
    succeed("DEL", SMALL, runtime(2))  # .4
    succeed("DEL", SMALL, runtime(0))  # .2
    order = [given(add(SMALL, runtime(number)))[0] for number in range(10, 13)]
    assert order == ["10.1.0.6/29", "10.1.0.4/29", "10.1.0.2/29"]


@in_host
def test_networks_do_not_share_their_addresses() -> None:
    other = {**SMALL, "name": "db"}
    assert given(add(SMALL, runtime())) == given(add(other, runtime())) == ["10.1.0.2/29"]


@in_host
def test_a_container_with_two_interfaces_has_two_addresses() -> None:
    second = replace(runtime(), interface="eth1")
    assert given(add(SMALL, runtime())) != given(add(SMALL, second))
    succeed("DEL", SMALL, runtime())
    assert given(add(SMALL, runtime(2))) == ["10.1.0.4/29"]
    refused(100, "c1|eth1", "ADD", SMALL, second)


# --- requests -------------------------------------------------------------------

WAYS: dict[str, tuple[Config, dict[str, str]]] = {
    "runtimeConfig": ({"runtimeConfig": {"ips": ["10.1.0.77"]}}, {}),
    "runtimeConfig with prefix": ({"runtimeConfig": {"ips": ["10.1.0.77/24"]}}, {}),
    "args": ({"args": {"cni": {"ips": ["10.1.0.77"]}}}, {}),
    "CNI_ARGS": ({}, {"CNI_ARGS": "IgnoreUnknown=1;IP=10.1.0.77"}),
}


@pytest.mark.parametrize("way", WAYS)
@in_host
def test_an_address_asked_for(way: str) -> None:
    keys, environ = WAYS[way]
    wanted = {**DUAL, **keys}
    assert given(add(wanted, runtime(1, **environ))) == ["10.1.0.77/24", "fd00:1::2/64"]
    refused(104, "10.1.0.77|c1|eth0", "ADD", wanted, runtime(2, **environ))
    succeed("DEL", wanted, runtime(1, **environ))
    assert given(add(wanted, runtime(2, **environ)))[0] == "10.1.0.77/24"


@in_host
def test_addresses_of_both_families_asked_for() -> None:
    wanted = {**DUAL, "runtimeConfig": {"ips": ["fd00:1::77", "10.1.0.77"]}}
    assert given(add(wanted, runtime())) == ["10.1.0.77/24", "fd00:1::77/64"]


@pytest.mark.parametrize(
    "asked, words",
    [
        (["10.9.0.5"], "failed to allocate all requested IPs|10.9.0.5"),
        (["10.1.0.5", "10.1.0.6"], "failed to allocate all requested IPs|10.1.0.6"),
        (["10.1.0.1"], "10.1.0.1|gateway"),
        (["10.1.0.0"], "10.1.0.0"),
        (["10.1.0.255"], "10.1.0.255"),
        (["house"], "house|not an IP address"),
        ([5], "ips|list of addresses"),
    ],
)
@in_host
def test_what_can_not_be_asked_for(asked: list[Any], words: str) -> None:
    refused(7, words, "ADD", {**DUAL, "runtimeConfig": {"ips": asked}}, runtime())


@in_host
def test_cni_args_count_only_where_nothing_else_asks() -> None:
    """CNI conventions, "args": "the runtime should ignore CNI_ARGS" where both are given."""
    wanted = {**DUAL, "args": {"cni": {"ips": ["10.1.0.77"]}}}
    asking = runtime(1, CNI_ARGS="IP=10.1.0.88")
    assert given(add(wanted, asking))[0] == "10.1.0.77/24"


@in_host
def test_ranges_of_the_runtime_come_first() -> None:
    own = [[{"subnet": "10.7.0.0/24", "rangeStart": "10.7.0.9"}]]
    wanted = {**config(subnet="10.1.0.0/24"), "runtimeConfig": {"ipRanges": own}}
    assert given(add(wanted, runtime(1))) == ["10.7.0.9/24", "10.1.0.2/24"]
    only = {**config(), "runtimeConfig": {"ipRanges": own}}
    assert given(add(only, runtime(2))) == ["10.7.0.10/24"]


# --- routes and DNS -------------------------------------------------------------

ROUTES = [
    {"dst": "192.0.2.0/24"},
    {"dst": "198.51.100.0/24", "gw": "10.1.0.9", "mtu": 1300, "advmss": 1200, "priority": 50},
    {"dst": "203.0.113.0/24", "table": 100},
    {"dst": "203.0.114.0/24", "scope": 253},
    {"dst": "fd00:99::/64", "priority": 77},
]


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


# --- leases that the reference kept ---------------------------------------------


def reference_lease(directory: Path, address: str, owner: str) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "lock").touch()
    file = directory / address
    file.write_text(owner)
    return file


@pytest.mark.parametrize("data_dir", ["", "/run/leases"])
@in_host
def test_leases_of_the_reference_are_taken_over(data_dir: str) -> None:
    run("mount -t tmpfs none /var/lib")
    directory = Path(data_dir or "/var/lib/cni/networks", "web")
    mine = reference_lease(directory, "10.1.0.2", "old\r\neth0")
    older = reference_lease(directory, "10.1.0.3", "ancient")  # before interfaces were noted
    empty = reference_lease(directory, "10.1.0.4", "")
    (directory / "last_reserved_ip.0").write_text("10.1.0.4")
    wanted = {**SMALL, "ipam": {**SMALL["ipam"], **({"dataDir": data_dir} if data_dir else {})}}
    assert given(add(wanted, runtime(1))) == ["10.1.0.5/29"]
    assert given(add(wanted, runtime(2))) == ["10.1.0.6/29"]
    succeed("DEL", wanted, Runtime("old"))
    assert not mine.exists() and older.exists()
    succeed("DEL", wanted, Runtime("ancient"))
    assert not older.exists() and empty.exists()
    found = {given(add(wanted, runtime(number)))[0] for number in (3, 4, 5)}
    assert found == {"10.1.0.2/29", "10.1.0.3/29", "10.1.0.4/29"}


@in_host
def test_the_container_of_a_lease_taken_over_keeps_its_address() -> None:
    file = reference_lease(Path("/run/leases/web"), "10.1.0.5", "c1\r\neth0")
    wanted = config(subnet="10.1.0.0/29", dataDir="/run/leases")
    assert given(add(wanted, runtime(1))) == ["10.1.0.5/29"]
    succeed("DEL", wanted, runtime(1))
    assert not file.exists()


@in_host
def test_a_data_dir_is_a_pool_of_its_own() -> None:
    one, two = (config(subnet="10.1.0.0/29", dataDir=f"/run/{name}") for name in ("a", "b"))
    assert given(add(one, runtime(1))) == given(add(two, runtime(2))) == ["10.1.0.2/29"]


# --- CHECK and STATUS -----------------------------------------------------------


@in_host
def test_check() -> None:
    add(DUAL, runtime())
    succeed("CHECK", DUAL, runtime())
    drop_leases()
    error = the_error(drive.call("CHECK", DUAL, runtime()))
    assert error["code"] == 101 and "10.1.0.2" in error["msg"] and "fd00:1::2" in error["msg"]


def drop_leases() -> None:
    with sqlite3.connect("/run/pynet/pynet.db") as store:
        store.execute("DELETE FROM lease")


@pytest.mark.parametrize("plugin", ["host-local", "bridge"])
@in_host
def test_status_of_a_full_range(plugin: str) -> None:
    wanted = config(plugin, subnet="10.1.0.0/30")
    succeed("STATUS", wanted)
    add(wanted, container("c1"))
    refused(50, "no IP addresses available|10.1.0.1-10.1.0.2", "STATUS", wanted)
    quiet = config(plugin, subnet="10.1.0.0/30", statusOnExhaustion="ok")
    succeed("STATUS", quiet)
    unclear = config(plugin, subnet="10.1.0.0/30", statusOnExhaustion="perhaps")
    refused(7, "ipam.statusOnExhaustion|perhaps", "STATUS", unclear)
    succeed("DEL", wanted, Runtime("c1", "/run/netns/c1"))
    succeed("STATUS", wanted)


@pytest.mark.parametrize("command", ["STATUS", "ADD"])
@in_host
def test_a_full_range_is_first_cleared_of_the_dead(command: str) -> None:
    wanted = config("bridge", subnet="10.1.0.0/30")
    dead = container("c1")
    add(wanted, dead)
    living = container("c2")
    refused(50, "no IP addresses available", command, wanted, living)
    run("ip netns del c1")
    wait_for(lambda: not any(" veth" in line for line in lines()))
    succeed(command, wanted, living)
    if command == "ADD":
        assert given(add({**wanted, "name": "db", "bridge": "cni1"}, container("c3")))
        refused(50, "no IP addresses available", "STATUS", wanted)


# --- static ---------------------------------------------------------------------


def static(*addresses: Config, **more: Any) -> Config:
    return {**BASE, "type": "static", "ipam": {"type": "static", "addresses": addresses, **more}}


FIXED = {"address": "10.9.0.5/24", "gateway": "10.9.0.1"}


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


# --- somebody else's IPAM -------------------------------------------------------

FOREIGN = """#!/bin/sh
# Notes how it was called, and answers as the file beside it says.
config=$(cat)
echo "$CNI_COMMAND $CNI_CONTAINERID $CNI_IFNAME $CNI_NETNS $CNI_ARGS" >> /run/foreign.calls
echo "$config" > /run/foreign.stdin
echo "a line of log" >&2
test -e /run/foreign.$CNI_COMMAND && { cat /run/foreign.$CNI_COMMAND; exit 1; }
test $CNI_COMMAND = ADD && cat /run/foreign.result
exit 0
"""
RESULT = {
    "cniVersion": "1.1.0",
    "ips": [{"address": "10.5.0.9/24", "gateway": "10.5.0.1"}],
    "routes": [{"dst": "0.0.0.0/0"}],
    "dns": {"nameservers": ["9.9.9.9"]},
}


def foreign(name: str = "whereabouts") -> Config:
    """The configuration of a bridge with an IPAM plugin of somebody else's."""
    Path("/run/plugins").mkdir(exist_ok=True)
    binary = Path("/run/plugins", name)
    binary.write_text(FOREIGN)
    binary.chmod(0o755)
    Path("/run/foreign.result").write_text(json.dumps(RESULT))
    return {**BASE, "type": "bridge", "isGateway": True, "ipam": {"type": name, "pool": "blue"}}


def with_plugins(name: str = "c1") -> Runtime:
    environ = {"CNI_PATH": "/nowhere:/run/plugins", "CNI_ARGS": "K8S=1;IgnoreUnknown=1"}
    return replace(container(name), environ=environ)


def calls() -> list[str]:
    file = Path("/run/foreign.calls")
    found = file.read_text().splitlines() if file.exists() else []
    file.unlink(missing_ok=True)
    return [line.split()[0] for line in found]


@pytest.mark.parametrize("name", ["whereabouts", "host-local"])
@in_host
def test_every_command_is_passed_on(name: str) -> None:
    """One of our names, too, is somebody else's where the first of that name in CNI_PATH is."""
    wanted = foreign(name)
    one = with_plugins()
    result = add(wanted, one)
    assert Path("/run/foreign.calls").read_text() == (
        "ADD c1 eth0 /run/netns/c1 K8S=1;IgnoreUnknown=1\n"
    )
    assert json.loads(Path("/run/foreign.stdin").read_text()) == wanted
    assert given(result) == ["10.5.0.9/24"] and result["dns"] == RESULT["dns"]
    assert "address eth0 10.5.0.9/24" in lines("c1")
    calls()
    checked = {**wanted, "prevResult": result}
    succeed("CHECK", checked, one)
    assert json.loads(Path("/run/foreign.stdin").read_text()) == checked
    succeed("STATUS", wanted, one)
    living = [{"containerID": "c1", "ifname": "eth0"}]
    succeed("GC", {**wanted, "cni.dev/valid-attachments": living}, one)
    assert "valid-attachments" in Path("/run/foreign.stdin").read_text()
    succeed("DEL", checked, one)
    assert calls() == ["CHECK", "STATUS", "GC", "DEL"]


@in_host
def test_a_foreign_failure_is_passed_on_and_all_is_undone() -> None:
    wanted = foreign()
    add(wanted, with_plugins("c2"))
    calls()
    Path("/run/foreign.ADD").write_text('{"code": 11, "msg": "pool is busy", "details": "x"}')
    refused(11, "whereabouts|pool is busy", "ADD", wanted, with_plugins("c1"))
    assert calls() == ["ADD", "DEL"]
    Path("/run/foreign.ADD").write_text('{"code": 150, "msg": "something of ours"}')
    refused(103, "whereabouts|something of ours", "ADD", wanted, with_plugins("c3"))
    Path("/run/foreign.ADD").write_text("Segmentation fault")
    refused(103, "whereabouts|exit status 1", "ADD", wanted, with_plugins("c4"))


@pytest.mark.parametrize(
    "answer, words",
    [
        ("", "whereabouts|no address"),
        ("{}", "whereabouts|no address"),
        ("nonsense", "whereabouts|JSON"),
        ('{"cniVersion": "1.1.0", "ips": [{"address": "x"}]}', "ips[0].address"),
        ('{"cniVersion": "0.2.0", "ip4": {"ip": "10.5.0.9/24"}}', "cniVersion|0.2.0"),
    ],
)
@in_host
def test_an_answer_that_is_none(answer: str, words: str) -> None:
    wanted = foreign()
    add(wanted, with_plugins("c2"))
    calls()
    Path("/run/foreign.result").write_text(answer)
    error = refused_any(words, "ADD", wanted, with_plugins("c1"))
    assert error["code"] in (7, 103)
    assert calls() == ["ADD", "DEL"]


def refused_any(words: str, command: str, wanted: Config, one: Runtime) -> Any:
    before = rest()
    error = the_error(drive.call(command, wanted, one))
    assert all(word in error["msg"] for word in words.split("|")), error
    assert rest() == before
    return error


@in_host
def test_a_foreign_del_that_fails_is_tried_again_by_gc() -> None:
    wanted = foreign()
    add(wanted, with_plugins("c2"))
    before = rest()
    one = with_plugins("c1")
    add(wanted, one)
    Path("/run/foreign.DEL").write_text('{"code": 11, "msg": "server is away"}')
    error = the_error(drive.call("DEL", wanted, one))
    assert error["code"] == 11 and "server is away" in error["msg"]
    left = nothing_left(before, rest())
    assert left and all(line.startswith("row ") for line in left)
    Path("/run/foreign.DEL").unlink()
    calls()
    living = [{"containerID": "c2", "ifname": "eth0"}]
    succeed("GC", {**wanted, "cni.dev/valid-attachments": living}, one)
    assert calls() == ["DEL", "GC"]
    assert rest() == before


@in_host
def test_without_a_record_the_foreign_del_is_run_all_the_same() -> None:
    wanted = foreign()
    succeed("DEL", wanted, with_plugins())
    assert calls() == ["DEL"]


@in_host
def test_a_del_does_without_an_ipam_plugin_that_is_gone() -> None:
    """Nothing is recorded, so there is nothing it would have to give back that we know of."""
    succeed("DEL", {**BASE, "type": "bridge", "ipam": {"type": "gone"}}, container("c1"))


@in_host
def test_a_foreign_status_and_check_count() -> None:
    wanted = foreign()
    one = with_plugins()
    result = add(wanted, one)
    for command in ("STATUS", "CHECK"):
        Path(f"/run/foreign.{command}").write_text('{"code": 50, "msg": "no server"}')
        refused(50, "no server", command, {**wanted, "prevResult": result}, one)


@in_host
def test_host_local_under_somebody_elses_main_plugin() -> None:
    """As an executable it is called with the main plugin's configuration and environment."""
    ipam = {"type": "host-local", "subnet": "10.1.0.0/24"}
    wanted = {**BASE, "type": "macvlan", "master": "eth7", "ipam": ipam}
    stdin = json.dumps(wanted).encode()
    one = container("c1")

    def call(command: str, text: bytes = stdin) -> drive.Outcome:
        outcome = drive.raw_call("host-local", one.environment(command), text)
        assert outcome.status == 0, outcome.stdout
        return outcome

    before = rest()
    result = call("ADD").document
    assert given(result) == ["10.1.0.2/24"]
    assert "interfaces" not in result and "interface" not in result["ips"][0]
    ours = {**result["ips"][0], "interface": 0}
    told = {
        **result,
        "interfaces": [{"name": "eth0", "sandbox": "/run/netns/c1"}],
        "ips": [ours],
    }
    call("CHECK", json.dumps({**wanted, "prevResult": told}).encode())
    call("STATUS")
    call("DEL", json.dumps({**wanted, "prevResult": told}).encode())
    assert nothing_left(before, rest()) == []
