"""`ptp`: who reaches whom, masquerading, what CHECK sees, and bad input."""

from __future__ import annotations

from typing import Any

import chains
import lan
import pytest
from chains import by_kernel
from drive import PORTMAP, PTP, Runtime
from scenes import add, container, in_host, ip, reaches, refused, run, stderr_of, succeed

ADDRESSES = ("10.8.0.2", "fd00:8::2")
GATEWAYS = ("10.8.0.1", "fd00:8::1")


DEVICES = ["veth", *({"netkit"} & chains.PARTS.keys())]
each_device = pytest.mark.parametrize("device", by_kernel(DEVICES))


def attached(name: str, **changes: Any) -> tuple[Runtime, dict[str, Any]]:
    runtime = container(name)
    return runtime, add({**PTP, **changes}, runtime)


@each_device
@in_host
def test_host_and_containers_reach_each_other(device: str) -> None:
    _, result = attached("c1", device=device)
    attached("c2", device=device)
    host_end, inside = result["interfaces"]
    assert (inside["name"], inside["sandbox"]) == ("eth0", "/run/netns/c1")
    assert host_end["mac"] == ip(f"link show {host_end['name']}")[0]["address"]
    assert [each["interface"] for each in result["ips"]] == [1, 1]
    assert [each["address"] for each in result["ips"]] == ["10.8.0.2/24", "fd00:8::2/64"]
    for address, gateway, neighbour in zip(
        ADDRESSES, GATEWAYS, ("10.8.0.3", "fd00:8::3"), strict=True
    ):
        run(f"ping -c1 -W1 {address}")
        assert reaches("c1", gateway)
        assert reaches("c1", neighbour)
        assert f"via {gateway}" in run(f"ip -n c1 route get {neighbour}")


@each_device
@in_host
def test_what_leaves_has_the_hosts_address(device: str) -> None:
    """The neighbour knows no way to the containers."""
    lan.wire()
    run(f"ip addr add 10.6.0.250/24 dev {lan.PARENT}")
    run(f"ip addr add fd00:6::250/64 dev {lan.PARENT} nodad")
    runtime, result = attached("c1", device=device)
    for address in ("10.6.0.1", "fd00:6::1"):
        assert reaches("c1", address)
    succeed("DEL", {**PTP, "prevResult": result}, runtime)
    attached("c2", ipMasq=False, device=device)
    assert not reaches("c2", "10.6.0.1")


@in_host
def test_a_port_is_published_behind_it() -> None:
    runtime, result = attached("c1")
    config = {**PORTMAP, "name": "pairs", "prevResult": result}
    succeed("ADD", config, runtime)
    succeed("CHECK", config, runtime)
    succeed("CHECK", {**PTP, "prevResult": result}, runtime)
    succeed("DEL", config, runtime)


@each_device
@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("ip route del 10.8.0.2", "route 10.8.0.2/32"),
        ("ip -6 route del fd00:8::2", "route fd00:8::2/128"),
        ("ip -n c1 route del 10.8.0.1", "route"),
        ("ip -n c1 route del 10.8.0.0/24", "route 10.8.0.0/24"),
        ("ip -n c1 addr del 10.8.0.2/24 dev eth0", "address 10.8.0.2/24"),
        ("sysctl -qw net.ipv4.ip_forward=0", "ip_forward"),
    ],
)
@in_host
def test_check_sees_what_is_gone(command: str, words: str, device: str) -> None:
    runtime, result = attached("c1", device=device)
    given = {**PTP, "prevResult": result}
    succeed("CHECK", given, runtime)
    run(command)
    refused(101, words, "CHECK", given, runtime)
    succeed("DEL", given, runtime)


@in_host
def test_a_kernel_without_netkit_gives_a_veth_pair_and_says_so() -> None:
    said = stderr_of(lambda: attached("c1", device="netkit"))
    (link,) = ip("-d link show eth0", "c1")
    noted = "pynet: ptp: device netkit: this kernel was built without" in said
    assert link["linkinfo"]["info_kind"] == ("veth" if noted else "netkit"), said


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ipam": {}}, "ipam: ptp needs one"),
        ({"mtu": 20}, "mtu: 20 is not within 68..65535"),
        ({"ipMasqBackend": "pf"}, "ipMasqBackend"),
        ({"device": "tun"}, "device"),
        (
            {"ipam": {"type": "static", "addresses": [{"address": "10.8.0.5/24"}]}},
            "ptp needs a gateway, and 10.8.0.5/24 comes without one",
        ),
    ],
)
@in_host
def test_what_can_not_be_is_refused_by_its_key(changes: dict[str, Any], words: str) -> None:
    refused(7, words, "ADD", {**PTP, **changes}, container("c1"))
