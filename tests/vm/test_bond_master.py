"""A bond of two interfaces as the master of a container's link: one of them may go."""

from __future__ import annotations

from typing import Any

import drive
import lan
import pytest
from scenes import add, container, in_host, ip, reaches, refused, run, succeed, wait_for
from test_findings import pynet

CONFIGS = {"macvlan": drive.MACVLAN, **{name: drive.STACKED[name] for name in ("ipvlan", "vlan")}}
MEMBERS = ("port0", "port1")
NEIGHBOUR = "10.6.0.1"


def bond() -> None:
    """The host's nic0 is a bond, active-backup; the neighbour has its two wires on a bridge."""
    run(f"ip netns add {lan.NEIGHBOUR}")
    run(f"ip link add {lan.PARENT} type bond mode active-backup miimon 20")
    run(f"ip -n {lan.NEIGHBOUR} link add br0 type bridge")
    for member in MEMBERS:
        run(f"ip link add {member} type veth peer name {member} netns {lan.NEIGHBOUR}")
        run(f"ip -n {lan.NEIGHBOUR} link set {member} master br0 up")
        run(f"ip link set {member} master {lan.PARENT}")
    run(f"ip link set {lan.PARENT} up")
    run(f"ip -n {lan.NEIGHBOUR} link add link br0 name br0.7 type vlan id 7")
    for link in ("br0", "br0.7"):
        run(f"ip -n {lan.NEIGHBOUR} link set {link} up")


def active() -> str:
    (shown,) = ip(f"-d link show {lan.PARENT}")
    return str(shown["linkinfo"]["info_data"].get("active_slave", ""))


@pytest.mark.parametrize("plugin", CONFIGS)
@in_host
def test_a_member_goes_down_and_the_container_is_reached_by_the_other(plugin: str) -> None:
    bond()
    on = "br0.7" if plugin == "vlan" else "br0"
    run(f"ip -n {lan.NEIGHBOUR} addr add {NEIGHBOUR}/24 dev {on}")
    config, runtime = CONFIGS[plugin], container("c1")
    result = add(config, runtime)
    given: dict[str, Any] = {**config, "prevResult": result}
    wait_for(lambda: reaches("c1", NEIGHBOUR))
    first = active()
    run(f"ip -n {lan.NEIGHBOUR} link set {first} down")
    wait_for(lambda: active() not in ("", first))
    wait_for(lambda: reaches("c1", NEIGHBOUR))
    succeed("CHECK", given, runtime)
    assert "all as made" in pynet("inspect")
    run(f"ip link set {lan.PARENT} down")
    said = "nic0: state is down, should be up"
    refused(101, said, "CHECK", given, runtime)
    assert said in pynet("inspect", status=1)
    run(f"ip link del {lan.PARENT}")
    succeed("DEL", given, runtime)
    wait_for(lambda: "eth0" not in run("ip -n c1 -br link"))
