"""`hostAddresses` of `macvlan`: host and containers reach each other by the host's own link."""

from __future__ import annotations

import subprocess
from typing import Any

import lan
import pytest
from drive import MACVLAN
from drive import MACVLAN_LEG as LEGGED
from evidence import nothing_left, rest
from legs import HOST, LEG, attached, bare, host_reaches
from scenes import container, in_host, ip, reaches, refused, run, succeed

ECHO = "import socket; s = socket.create_connection(({!r}, 7000), 5); print(s.getsockname()[0])"
LISTEN = (
    "import socket, sys; s = socket.create_server((sys.argv[1], 7000), family=int(sys.argv[2]));"
    " print('listening', flush=True); print(s.accept()[1][0], flush=True)"
)


def connects(address: str, client: str, server: str) -> str:
    """The address that the server at ADDRESS sees, by TCP; "" is the host."""

    def inside(name: str) -> list[str]:
        return ["ip", "netns", "exec", name] if name else []

    family = "10" if ":" in address else "2"
    serving = [*inside(server), "python3", "-c", LISTEN, address, family]
    with subprocess.Popen(serving, stdout=subprocess.PIPE, text=True) as listening:
        assert listening.stdout and "listening" in listening.stdout.readline()
        asking = [*inside(client), "python3", "-c", ECHO.format(address)]
        done = subprocess.run(asking, capture_output=True, text=True)
        if done.returncode:
            listening.kill()
        assert done.returncode == 0, done.stderr
        seen = listening.stdout.readline().strip()
        assert seen == done.stdout.strip()
        return seen


@in_host
def test_host_and_containers_reach_each_other() -> None:
    lan.wire()
    before = rest()
    one, first = attached("c1")
    two, second = attached("c2")
    for name, result in (("c1", first), ("c2", second)):
        for host, own in zip(HOST, bare(result), strict=True):
            assert reaches(name, host) and host_reaches(own)
            assert connects(host, name, "") == own
            assert connects(own, "", name) == host
    for other in (*bare(second), "10.6.0.1", "fd00:6::1"):
        assert reaches("c1", other)  # as without a leg
    succeed("CHECK", {**LEGGED, "prevResult": first}, one)
    succeed("DEL", {**LEGGED, "prevResult": first}, one)
    assert host_reaches(bare(second)[0]) and host_reaches(bare(second)[1])
    routes = run("ip route") + run("ip -6 route")
    assert not any(f"{each} dev" in routes for each in bare(first))
    assert all(f"{each} dev {LEG}" in routes for each in bare(second))
    succeed("DEL", {**LEGGED, "prevResult": second}, two)
    assert nothing_left(before, rest()) == []


@in_host
def test_the_result_is_that_of_a_network_without_the_key() -> None:
    lan.wire()
    _, result = attached("c1")
    assert [each["name"] for each in result["interfaces"]] == ["eth0"]


@in_host
def test_networks_of_one_master_share_the_leg_and_have_each_its_addresses() -> None:
    lan.wire()
    other = {
        **MACVLAN,
        "name": "second",
        "hostAddresses": ["10.62.0.9/32"],
        "ipam": {"type": "host-local", "subnet": "10.62.0.0/24", "rangeStart": "10.62.0.10"},
    }
    one, first = attached("c1")
    two, second = attached("c2", other)
    assert host_reaches(bare(first)[0]) and host_reaches(bare(second)[0])
    assert reaches("c2", "10.62.0.9")
    succeed("DEL", {**LEGGED, "prevResult": first}, one)
    assert {"10.62.0.9"} == {
        each["local"] for each in ip(f"addr show {LEG}")[0]["addr_info"] if each["scope"] != "link"
    }
    assert host_reaches(bare(second)[0])
    succeed("DEL", {**other, "prevResult": second}, two)
    assert LEG not in run("ip -br link")


@in_host
def test_what_stood_there_before_us_stays() -> None:
    lan.wire()
    run(f"ip link add link nic0 name {LEG} type macvlan mode bridge")
    run(f"ip addr add {HOST[0]}/32 dev {LEG}")
    run(f"ip link set {LEG} up")
    runtime, result = attached("c1")
    before = ip(f"link show {LEG}")[0]["address"]
    assert host_reaches(bare(result)[0])
    succeed("CHECK", {**LEGGED, "prevResult": result}, runtime)
    succeed("DEL", {**LEGGED, "prevResult": result}, runtime)
    (link,) = ip(f"addr show {LEG}")
    assert link["address"] == before
    assert [each["local"] for each in link["addr_info"] if each["scope"] == "global"] == [HOST[0]]


@in_host
def test_a_master_with_a_long_name_has_a_leg_all_the_same() -> None:
    lan.wire()
    run("ip link add longest-of-name type veth peer name peer0")
    run("ip link set longest-of-name up")
    run("ip link set peer0 up")
    runtime, result = attached("c1", {**LEGGED, "master": "longest-of-name"})
    assert host_reaches(bare(result)[0])
    (name,) = (each["ifname"] for each in ip("link show type macvlan"))
    assert name.startswith("mv-") and len(name) == 15
    succeed("DEL", {**LEGGED, "master": "longest-of-name"}, runtime)


@in_host
def test_the_leg_answers_on_the_wire_for_its_own_address_alone() -> None:
    """Else a neighbour would learn the MAC of a link that goes with the last container."""
    lan.wire()
    run("ip addr add 10.6.0.200/24 dev nic0")
    run("sysctl -q net.ipv4.neigh.eth0.locktime=0", netns="lan")  # the last word counts at once
    _, result = attached("c1")
    assert not reaches("c1", "10.6.0.200")  # which nobody but the leg could have answered
    assert reaches("lan", "10.6.0.200")
    run("ip neigh flush dev mv-nic0")
    asking = ["ping", "-c1", "-W1", "-I", "10.6.0.200", bare(result)[0]]
    subprocess.run(asking, capture_output=True)  # the leg asks everybody for the container's MAC
    assert bare(result)[0] in run("ip neigh show dev mv-nic0")
    (neighbour,) = ip("neigh show to 10.6.0.200", netns="lan")
    assert neighbour["lladdr"] == ip("link show nic0")[0]["address"]


@in_host
def test_no_router_advertisement_is_taken_by_the_leg() -> None:
    lan.wire()
    attached("c1")
    assert run(f"sysctl -n net.ipv6.conf.{LEG}.accept_ra").strip() == "0"


@in_host
def test_a_smaller_mtu_of_the_network_holds_for_what_the_host_sends() -> None:
    lan.wire()
    _, result = attached("c1", {**LEGGED, "mtu": 1400})
    own = bare(result)[0]
    assert "mtu 1400" in run(f"ip route get {own}")
    words = ["ping", "-c1", "-W1", "-s1450", own]
    assert subprocess.run(words, capture_output=True).returncode == 0


# --- what can not be ------------------------------------------------------------------------------


def with_addresses(*addresses: str, **more: Any) -> dict[str, Any]:
    return {"hostAddresses": list(addresses), **more}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"mode": "private"}, 'hostAddresses: in mode "private"'),
        ({"mode": "vepa"}, 'hostAddresses: in mode "vepa"'),
        ({"mode": "passthru"}, 'hostAddresses: in mode "passthru"'),
        ({"linkInContainer": True}, "hostAddresses: with linkInContainer"),
        ({"ipam": {}}, "hostAddresses: needs ipam"),
        (with_addresses("10.6.0.50"), "hostAddresses: a container could be given 10.6.0.50"),
        (with_addresses("10.9.0.1"), "hostAddresses: 10.9.0.1 is in no subnet of the container"),
        (with_addresses("fd00:9::1"), "hostAddresses: fd00:9::1 is in no subnet"),
        (with_addresses("10.6.0.251"), "hostAddresses: the host has 10.6.0.251 on nic0 already"),
        (with_addresses("10.6.0.250/24"), "is not an address, such as"),
        (with_addresses("10.6.0.300"), "is not an address, such as"),
        (with_addresses(""), "is not an address, such as"),
        (with_addresses("224.0.0.5"), "is no address of one network"),
        (with_addresses("127.0.0.1"), "is no address of one network"),
        (with_addresses("fe80::1"), "is no address of one network"),
        (with_addresses("10.6.0.250", "10.6.0.249"), "there may be one IPv4 address and one IPv6"),
        ({"hostAddresses": "10.6.0.250"}, "hostAddresses"),
        ({"hostAddresses": [7]}, "hostAddresses"),
    ],
)
@in_host
def test_what_can_not_be_is_refused_by_its_key(changes: dict[str, Any], words: str) -> None:
    lan.wire()
    run("ip addr add 10.6.0.251/32 dev nic0")
    refused(7, words, "ADD", {**LEGGED, **changes}, container("c1"))


@in_host
def test_the_gateway_of_a_range_may_be_the_hosts() -> None:
    """It is given to nobody, and the containers go out by the host."""
    lan.wire()
    ipam = {"type": "host-local", "subnet": "10.63.0.0/24", "routes": [{"dst": "0.0.0.0/0"}]}
    _, result = attached("c1", {**LEGGED, "hostAddresses": ["10.63.0.1"], "ipam": ipam})
    assert reaches("c1", "10.63.0.1")
    assert result["ips"][0]["gateway"] == "10.63.0.1"


@in_host
def test_an_interface_of_that_name_which_is_no_leg_is_refused() -> None:
    lan.wire()
    run(f"ip link add {LEG} type bridge")
    refused(7, f"hostAddresses: the host's own link would be {LEG}", "ADD", LEGGED, container("c1"))


@in_host
def test_the_containers_own_address_is_not_the_hosts() -> None:
    lan.wire()
    ipam = {"type": "static", "addresses": [{"address": "10.6.0.250/24"}]}
    config = {**LEGGED, "hostAddresses": ["10.6.0.250"], "ipam": ipam}
    refused(7, "hostAddresses: 10.6.0.250 is the container's", "ADD", config, container("c1"))
