"""Addresses, gateways and routes that the kernel takes, and makes something else of, or nothing."""

from __future__ import annotations

from typing import Any

import drive
import pytest
from drive import CONFIGS
from scenes import add, container, in_host, ip, refused, succeed

MAINS = ("bridge", "macvlan", "ptp")


def static(address: str, gateway: str = "", **route: Any) -> dict[str, Any]:
    return {
        "type": "static",
        "addresses": [{"address": address, "gateway": gateway}],
        "routes": [route] if route else [],
    }


def attached_well(main: str, ipam: dict[str, Any], **keys: Any) -> dict[str, Any]:
    """The result of an ADD of which CHECK says the same."""
    drive.ready(main)
    config = {**CONFIGS[main], "ipam": ipam, **keys}
    runtime = container("c1")
    result = add(config, runtime)
    succeed("CHECK", {**config, "prevResult": result}, runtime)
    succeed("DEL", {**config, "prevResult": result}, runtime)
    return dict(result)


@pytest.mark.parametrize("main", ["bridge", "macvlan"])
@pytest.mark.parametrize(
    ("address", "none", "dst"),
    [("10.6.0.9/24", "0.0.0.0", "0.0.0.0/0"), ("fd00:6::9/64", "::", "::/0")],
)
@in_host
def test_a_gateway_of_zeros_is_none(main: str, address: str, none: str, dst: str) -> None:
    result = attached_well(main, static(address, none, dst=dst), isDefaultGateway=False)
    assert result["ips"][0].get("gateway") in (None, *("10.6.0.1", "fd00:6::1"))


@in_host
def test_a_route_by_zeros_ends_on_the_link() -> None:
    attached_well("bridge", static("10.6.0.9/24", "10.6.0.1", dst="1.0.0.0/8", gw="0.0.0.0"))


@in_host
def test_a_pair_needs_a_gateway_and_zeros_are_none() -> None:
    config = {**CONFIGS["ptp"], "ipam": static("10.8.0.2/24", "0.0.0.0")}
    refused(7, "comes without one", "ADD", config, container("c1"))


@pytest.mark.parametrize("main", MAINS)
@pytest.mark.parametrize(
    "ipam",
    [
        static("224.0.0.9/24", "224.0.0.1"),
        static("10.8.0.2/24", "224.0.0.1"),
        static("0.0.0.0/24", "10.8.0.1"),
        static("ff02::5/64", "fd00:8::1"),
        {"type": "host-local", "subnet": "224.0.0.0/24"},
    ],
)
@in_host
def test_what_is_no_single_machines_address_is_refused(main: str, ipam: dict[str, Any]) -> None:
    drive.ready(main)
    config = {**CONFIGS[main], "ipam": ipam}
    refused(7, "no address that an interface can have", "ADD", config, container("c1"))


@pytest.mark.parametrize("main", MAINS)
@in_host
def test_metrics_above_the_kernels_are_the_kernels(main: str) -> None:
    most = 2**32 - 1
    route = {"dst": "1.0.0.0/8", "mtu": most, "advmss": most, "table": 100}
    attached_well(main, static("10.6.0.9/24", "10.6.0.1", **route))


@in_host
def test_a_gateway_in_other_words_is_told_in_the_usual_ones() -> None:
    drive.ready("macvlan")
    config = {**CONFIGS["macvlan"], "ipam": static("fd00:6::9/64", dst="::/0")}
    runtime = container("c1", environ={"CNI_ARGS": "GATEWAY=FD00:6:0::1"})
    result = add(config, runtime)
    assert result["ips"][0]["gateway"] == "fd00:6::1"
    assert {"default"} <= {route["dst"] for route in ip("-6 route", "c1")}
