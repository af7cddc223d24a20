"""`bandwidth` inside containers whose interfaces this machine's kernel may lack: ipvlan, vlan."""

from __future__ import annotations

from typing import Any

import drive
import lan
import pytest
from chains import with_result
from rates import Way, assert_rate, measured
from scenes import add, container, in_host, refused, run, succeed

MBIT = 1_000_000
BURST = 400_000
IPVLAN: dict[str, Any] = drive.STACKED["ipvlan"]
LIMITS: dict[str, Any] = {
    "cniVersion": "1.1.0",
    "name": IPVLAN["name"],
    "type": "bandwidth",
    "ingressRate": 4 * MBIT,
    "ingressBurst": BURST,
    "egressRate": 8 * MBIT,
    "egressBurst": BURST,
}


def rate(sender: str, receiver: str, address: str, expected: int) -> None:
    way = Way(sender, receiver, address)
    skip, size = (BURST + expected) // 8, expected // 8
    assert_rate(expected, lambda: measured(way, skip=skip, size=size))


@pytest.mark.parametrize("subnets", [{}, {"shapedSubnets": ["10.6.0.0/24"]}])
@in_host
def test_both_directions_of_an_ipvlan(subnets: dict[str, Any]) -> None:
    lan.wire()
    runtime = container("c1")
    given = add(IPVLAN, runtime)
    limits = {**LIMITS, **subnets}
    result = add(with_result(limits, given), runtime)
    rate(lan.NEIGHBOUR, "c1", "10.6.0.2", 4 * MBIT)
    rate("c1", lan.NEIGHBOUR, "10.6.0.1", 8 * MBIT)
    succeed("CHECK", with_result(limits, result), runtime)
    succeed("DEL", with_result(limits, result), runtime)
    assert "bw" not in run("ip -n c1 -br link")


@in_host
def test_both_directions_of_an_ipvlan_that_routes() -> None:
    lan.wire()
    config = {**IPVLAN, "mode": "l3", "ipam": {"type": "host-local", "subnet": "10.61.0.0/24"}}
    config["ipam"]["routes"] = [{"dst": "0.0.0.0/0", "gw": "10.61.0.1"}]
    run("ip addr add 10.6.0.250/24 dev nic0")
    run("ip -n lan route add 10.61.0.0/24 via 10.6.0.250")
    runtime = container("c1")
    add(with_result(LIMITS, add(config, runtime)), runtime)
    rate(lan.NEIGHBOUR, "c1", "10.61.0.2", 4 * MBIT)
    rate("c1", lan.NEIGHBOUR, "10.6.0.1", 8 * MBIT)


@in_host
def test_both_directions_of_a_vlan() -> None:
    lan.wire()
    for words in ("link add link eth0 name eth0.7 type vlan id 7", "link set eth0.7 up",
                  "addr flush dev eth0", "addr add 10.6.0.1/24 dev eth0.7"):  # fmt: skip
        run(f"ip -n lan {words}")
    runtime = container("c1")
    add(with_result(LIMITS, add(drive.STACKED["vlan"], runtime)), runtime)
    rate(lan.NEIGHBOUR, "c1", "10.6.0.2", 4 * MBIT)
    rate("c1", lan.NEIGHBOUR, "10.6.0.1", 8 * MBIT)


@in_host
def test_what_an_ipvlan_in_mode_l3s_receives_is_not_limited_in_silence() -> None:
    lan.wire()
    config = {**IPVLAN, "mode": "l3s", "ipam": {"type": "host-local", "subnet": "10.61.0.0/24"}}
    config["ipam"]["routes"] = [{"dst": "0.0.0.0/0", "gw": "10.61.0.1"}]
    run("ip addr add 10.6.0.250/24 dev nic0")
    run("ip -n lan route add 10.61.0.0/24 via 10.6.0.250")
    runtime = container("c1")
    given = add(config, runtime)
    refused(7, "ingressRate|ipvlan in mode l3s", "ADD", with_result(LIMITS, given), runtime)
    sends = {key: value for key, value in LIMITS.items() if "ingress" not in key}
    add(with_result(sends, given), runtime)
    rate("c1", lan.NEIGHBOUR, "10.6.0.1", 8 * MBIT)
