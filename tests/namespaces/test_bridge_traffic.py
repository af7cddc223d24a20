"""Bridges that others have made, and packets."""

from __future__ import annotations

import socket
from dataclasses import replace

import pytest
from bridges import (
    ADDRESSED,
    FULL,
    LAYER_2,
    Config,
    addresses,
    config,
    link,
    with_result,
)
from drive import Runtime
from evidence import but_kept, nothing_left, rest, rows
from scenes import (
    BROADCAST,
    add,
    container,
    entered,
    frame,
    heard,
    in_host,
    ip,
    lines,
    run,
    succeed,
    wait_for,
    wire,
)

from pynet.testnets.lab.internet import ADDRESSES, HOST_ADDRESSES, PORT, Internet
from pynet.testnets.lab.lab import Container, Host, Lab

# --- neighbours -------------------------------------------------------------------


@in_host
def test_neighbours_of_an_address_are_told_of_its_next_container() -> None:
    """Who knows the earlier one's MAC would go on sending to it for half a minute."""
    addresses = ("10.1.0.9", "fd00:1::9")
    chosen = {**FULL, "runtimeConfig": {"ips": list(addresses)}}
    neighbour = container("c2")
    add(FULL, neighbour)
    for name in ("c1", "c3"):
        runtime = container(name)
        mac = add(chosen, runtime)["interfaces"][2]["mac"]
        for netns in ("", "c2"):
            for address in addresses:
                if name == "c1":
                    _send_to(address, netns)
                wait_for(lambda: _neighbour(address, netns) == mac)  # noqa: B023 - called here
        if name == "c1":
            succeed("DEL", chosen, runtime)


def _send_to(address: str, netns: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with entered(netns), socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"who has it?", (address, 9))


def _neighbour(address: str, netns: str) -> str:
    found = ip(f"neigh show {address}", netns)
    return str(found[0].get("lladdr", "")) if found else ""


# --- somebody else's bridge -----------------------------------------------------


@in_host
def test_an_administrators_bridge_is_used_and_stays_as_it_was() -> None:
    run("ip link add cni0 address 02:00:00:00:00:55 type bridge")
    run("ip addr add 10.1.0.1/24 dev cni0")
    run("ip link set cni0 up")
    before = {line for line in lines() if "cni0" in line}
    runtime = container("c1")
    result = add(FULL, runtime)
    assert result["interfaces"][0]["mac"] == "02:00:00:00:00:55"
    succeed("CHECK", with_result(FULL, result), runtime)
    succeed("DEL", FULL, runtime)
    succeed("GC", {**FULL, "cni.dev/valid-attachments": []})
    assert {line for line in lines() if "cni0" in line} == before


@in_host
def test_a_bridge_that_was_given_no_mac_keeps_the_one_it_has() -> None:
    """By itself it takes the lowest of its ports' MACs; who knew its old one would lose it."""
    run("ip link add uplink type veth peer name far")
    run("ip link set dev uplink address fe:00:00:00:00:01")
    for bridge in ("cni0", "cni1"):
        run(f"ip link add {bridge} type bridge")
        run(f"ip link set {bridge} up")
    run("ip link set dev uplink master cni0")  # cni1 has no port yet, and so a MAC by chance
    for number, bridge in enumerate(("cni0", "cni1")):
        runtime = container(f"c{number}")
        wanted = {**FULL, "bridge": bridge, "name": bridge}
        result = add(wanted, runtime)
        assert link(bridge)["address"] == result["interfaces"][0]["mac"]
        succeed("CHECK", with_result(wanted, result), runtime)
    assert link("cni0")["address"] == "fe:00:00:00:00:01"


@in_host
def test_a_bridge_that_is_down_is_set_up() -> None:
    run("ip link add cni0 type bridge")
    add(LAYER_2, container("c1"))
    assert "UP" in link("cni0")["flags"]


@in_host
def test_a_container_that_comes_back_in_a_new_namespace() -> None:
    """Its old one is gone and nobody called DEL, as after its runtime was killed."""
    runtime = container("c1")
    first = add(FULL, runtime)
    run("ip netns del c1")
    wait_for(lambda: not any(" veth" in line for line in lines()))
    run("ip netns add c1")
    second = add(FULL, runtime)
    assert second["interfaces"] == first["interfaces"]
    succeed("CHECK", with_result(FULL, second), runtime)
    succeed("DEL", FULL, runtime)
    assert rows() == set()


@in_host
def test_the_bridge_keeps_its_mac_as_ports_come_and_go() -> None:
    macs = set()
    for name in ("c1", "c2", "c3"):
        add(
            ADDRESSED,
            replace(container(name), environ={"CNI_ARGS": f"MAC=02:00:00:00:00:0{name[1]}"}),
        )
        macs.add(link("cni0")["address"])
    assert len(macs) == 1


# --- packets --------------------------------------------------------------------


@in_host
def test_the_first_frame_arrives() -> None:
    """Nothing is repeated here: what was sent before the port forwards would be lost."""
    add(ADDRESSED, container("c1"))
    bridge = wire("cni0")
    for number in range(2, 7):
        add(ADDRESSED, container(f"c{number}"))
        inner = wire("eth0", f"c{number}")
        mac = link("eth0", f"c{number}")["address"]
        inner.send(frame(mac, BROADCAST, b"out"))
        inner.send(frame(mac, BROADCAST, b"end"))
        assert heard(bridge) == [b"out"]
        bridge.send(frame(link("cni0")["address"], mac, b"in"))
        bridge.send(frame(link("cni0")["address"], mac, b"end"))
        assert heard(inner) == [b"in"]


@in_host
def test_addresses_can_be_used_at_once() -> None:
    """A tentative IPv6 address can't be bound to."""
    add(config(isDefaultGateway=True), container("c1"))
    for netns, address in (("c1", "fd00:1::2"), ("", "fd00:1::1"), ("c1", "10.1.0.2")):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with entered(netns), socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.bind((address, 0))


@in_host
def test_isolated_ports_hear_the_host_but_not_each_other() -> None:
    isolated = {**LAYER_2, "portIsolation": True}
    for name, wanted in (("c1", isolated), ("c2", isolated), ("c3", LAYER_2)):
        add(wanted, container(name))
    ears = {name: wire("eth0", name) for name in ("c2", "c3")}
    host = wire("cni0")
    sender = wire("eth0", "c1")
    sender.send(frame(link("eth0", "c1")["address"], BROADCAST, b"hello"))
    sender.send(frame(link("eth0", "c1")["address"], BROADCAST, b"end"))
    assert heard(ears["c3"]) == [b"hello"] and heard(host) == [b"hello"]
    host.send(frame(link("cni0")["address"], BROADCAST, b"end"))
    assert heard(ears["c2"]) == []


@in_host
def test_a_guarded_container_can_not_forge_its_mac() -> None:
    add({**LAYER_2, "macspoofchk": True}, container("c1"))
    add(LAYER_2, container("c2"))
    sender, ear = wire("eth0", "c1"), wire("eth0", "c2")
    sender.send(frame("02:00:00:00:00:66", BROADCAST, b"forged"))
    sender.send(frame(link("eth0", "c1")["address"], BROADCAST, b"end"))
    assert heard(ear) == []


@pytest.fixture
def internet(lab: Lab, host: Host) -> Internet:
    return Internet(lab, host)


def attach(host: Host, config: Config, name: str) -> Container:
    made = host.container(name)
    host.call(add, config, Runtime(name, made.path))
    return made


def reaches_outside(made: Container) -> bool:
    """Asked with little patience: used where the answer is no."""

    def connect() -> bool:
        try:
            socket.create_connection((ADDRESSES[socket.AF_INET], PORT), timeout=0.4).close()
        except TimeoutError:
            return False
        return True

    return made.host.call(connect, netns=made)


def test_the_second_container_stays_connected_when_the_first_goes(
    host: Host, internet: Internet
) -> None:
    baseline = host.call(rest)
    one, two = attach(host, FULL, "c1"), attach(host, FULL, "c2")
    for family, address in HOST_ADDRESSES.items():
        assert internet.sees(one, family) == address
    host.call(succeed, "DEL", FULL, Runtime("c1", one.path))
    host.delete_container(one)
    for family, address in HOST_ADDRESSES.items():
        assert internet.sees(two, family) == address
    assert host.call(addresses, "cni0") == {"10.1.0.1/24", "fd00:1::1/64"}
    host.call(succeed, "DEL", FULL, Runtime("c2", two.path))
    kept = but_kept(nothing_left(baseline, host.call(rest)))
    assert [line for line in kept if "cni0" not in line] == []
    assert "link cni0" in kept
    assert not any(line.startswith("address") for line in kept)


def test_a_flushed_ruleset_comes_back_for_everybody(host: Host, internet: Internet) -> None:
    one = attach(host, FULL, "c1")
    host.run(["nft", "flush", "ruleset"])
    assert not reaches_outside(one)
    attach(host, FULL, "c2")
    for family, address in HOST_ADDRESSES.items():
        assert internet.sees(one, family) == address


def test_without_masquerade_nobody_outside_answers(host: Host, internet: Internet) -> None:
    """And with it in another network of the same host, only that one's containers get out."""
    plain = attach(host, config(isDefaultGateway=True), "c1")
    assert not reaches_outside(plain)
