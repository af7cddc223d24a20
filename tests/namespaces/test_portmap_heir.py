"""One container on two networks that publishes the same port on both: one way, then the next.

So Podman does with `-p 8080:80` and two networks, and `podman network disconnect`.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import drive
from crashes import dies_at
from drive import BRIDGE, Runtime
from evidence import nothing_left, rest
from published import Served, both, call, config, mapping, seen
from scenes import add, container, in_host, run, succeed, the_error, wait_for
from test_portmap_life import OTHER, Attached, published

from pynet.testnets.lab.lab import Lab

PORTS = both(8080)
WEB = {
    *(f"{protocol} 8080 > 10.1.0.2 80" for protocol in ("tcp", "udp")),
    *(f"{protocol} 8080 > fd00:1::2 80" for protocol in ("tcp", "udp")),
}
LEFT = {f"{protocol} 8080 > 10.2.0.2 80" for protocol in ("tcp", "udp")}
"""Of OTHER, which has no IPv6."""


def on_both() -> tuple[Attached, Attached]:
    web = Attached("c1")
    other = Attached.__new__(Attached)
    other.bridge, other.runtime = OTHER, Runtime("c1", web.runtime.netns, "eth1")
    other.result = add(OTHER, other.runtime)
    return web, other


def shared() -> tuple[Attached, Attached]:
    """The same, the ports published by both."""
    web, other = on_both()
    for network in (web, other):
        network.succeed("ADD", PORTS)
    return web, other


@in_host
def test_the_first_keeps_the_port_until_it_goes() -> None:
    web, other = on_both()
    before = rest()
    for network in (web, other):
        network.succeed("ADD", PORTS)
    assert published() == WEB
    for network in (web, other):
        network.succeed("CHECK", PORTS)
    web.succeed("DEL", PORTS)
    assert published() == LEFT
    other.succeed("CHECK", PORTS)
    web.succeed("ADD", PORTS)  # connected again, it is the heir
    assert {one for one in published() if "fd00" not in one} == LEFT
    other.succeed("DEL", PORTS)
    assert published() == WEB
    web.succeed("DEL", PORTS)
    assert nothing_left(before, rest()) == []


@in_host
def test_the_second_goes_first() -> None:
    web, other = shared()
    other.succeed("DEL", PORTS)
    assert published() == WEB
    web.succeed("CHECK", PORTS)


@in_host
def test_the_heir_that_is_not_there_is_found_by_its_check() -> None:
    web, other = shared()
    web.succeed("DEL", PORTS)
    run("nft delete element inet pynet published4_any { tcp . 8080 }")
    assert "8080" in the_error(other.call("CHECK", PORTS))["msg"]


@in_host
def test_whoever_fills_the_tables_anew_leaves_it_with_the_first() -> None:
    web, other = shared()
    run("nft flush ruleset")
    Attached("c2")
    assert published() == WEB
    succeed("GC", {**config("web")}, web.runtime)
    assert published() == WEB
    web.succeed("DEL", PORTS)
    run("nft flush ruleset")
    Attached("c3")
    assert published() == LEFT
    other.succeed("CHECK", PORTS)


@in_host
def test_without_a_table_the_first_goes_all_the_same() -> None:
    web, other = shared()
    run("nft flush ruleset")
    web.succeed("DEL", PORTS)
    Attached("c2")
    assert published() == LEFT
    other.succeed("CHECK", PORTS)


@in_host
def test_killed_at_every_point_of_the_way_over() -> None:
    web, other = on_both()
    other.succeed("ADD", [mapping(9090)])  # what is made once stands
    other.succeed("DEL", [mapping(9090)])
    for count in range(1, 50, 2):
        for network in (web, other):
            network.succeed("ADD", PORTS)
        died = dies_at(count, partial(web.call, "DEL", PORTS))
        web.succeed("DEL", PORTS)
        assert published() == LEFT, count
        other.succeed("CHECK", PORTS)
        other.succeed("DEL", PORTS)
        assert published() == set(), count
        if not died:
            break
    assert count > 4


@in_host
def test_of_a_dead_container_neither_keeps_it() -> None:
    web, other = shared()
    web.vanish()
    host_end = other.result["interfaces"][1]["name"]
    wait_for(lambda: f"{host_end}@" not in run("ip -o link"))
    late = Attached("c2")
    late.succeed("ADD", PORTS)
    assert published() == {one.replace(".2 80", ".3 80").replace("::2 80", "::3 80") for one in WEB}
    for network in (web, other):
        network.succeed("DEL", PORTS)
    late.succeed("CHECK", PORTS)


@in_host
def test_two_networks_whose_containers_have_the_same_address() -> None:
    """Then the same key leads to the same: the heir that goes takes nothing with it."""
    static: dict[str, Any] = {
        **BRIDGE,
        "isDefaultGateway": False,
        "ipMasq": False,
        "macspoofchk": False,
        "ipam": {"type": "static", "addresses": [{"address": "10.9.0.5/24"}]},
    }
    twin = {**static, "name": "twin", "bridge": "cni1"}
    runtime = container("c1")
    results = [
        (network, Runtime("c1", runtime.netns, interface), add(network, one))
        for network, interface in ((static, "eth0"), (twin, "eth1"))
        if (one := Runtime("c1", runtime.netns, interface))
    ]
    for network, each, result in results:
        assert call("ADD", each, PORTS, result, network=network["name"]).status == 0
    network, each, result = results[1]
    assert call("DEL", each, PORTS, result, network=network["name"]).status == 0
    assert {one.split(" > ")[1] for one in published()} == {"10.9.0.5 80"}


def test_who_asks_is_answered_before_and_after(lab: Lab) -> None:
    host = lab.host("h1")
    host.run(["ip", "addr", "add", "192.0.2.1/32", "dev", "lo"])
    host.run(["ip", "link", "set", "lo", "up"])
    web = Served(lab, host, "c1", BRIDGE)
    other = Runtime("c1", web.runtime.netns, "eth1")
    result = host.call(drive.call, "ADD", OTHER, other).document
    web.publish(PORTS)
    second = host.call(partial(call, "ADD", other, PORTS, result, network="other"))
    assert second.status == 0, second.stdout
    assert seen(host, "tcp", "192.0.2.1", 8080)
    assert web.portmap("DEL", PORTS).status == 0
    gone = host.call(drive.call, "DEL", {**BRIDGE, "prevResult": web.result}, web.runtime)
    assert gone.status == 0
    assert seen(host, "tcp", "192.0.2.1", 8080)
