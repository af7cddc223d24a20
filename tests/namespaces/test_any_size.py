"""However much there is: routes, addresses and ports by the thousand, made and undone whole."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import drive
import pytest
from chains import Config, add_list, delete_list, with_result
from drive import BRIDGE, Runtime
from evidence import but_idle_bridge, inside, nothing_left, rest
from published import config, mapping
from scenes import add, container, in_host, refused, run, succeed

from pynet.kernel.netlink import packed, rtnl_socket
from pynet.kernel.nft import table
from pynet.testnets.lab.forked import DiedBySignal, Forked

PORTS = 10_000
"""Of the host, the first one of those that are published."""


def routed(count: int) -> Config:
    routes = [{"dst": f"20.{n >> 8}.{n & 255}.0/24"} for n in range(count)]
    return {**BRIDGE, "ipam": {**BRIDGE["ipam"], "routes": routes}}


def addressed(count: int) -> Config:
    """Each in a subnet of its own, with a gateway on the host."""
    addresses = [{"address": f"10.{9 + (n >> 8)}.{n & 255}.5/24"} for n in range(count)]
    return {**BRIDGE, "bridge": "cni9", "ipam": {"type": "static", "addresses": addresses}}


def publishing(numbers: Iterable[int], to: int = 0, **fields: str) -> Config:
    mappings = [mapping(number, to=to or number, **fields) for number in numbers]
    return {**config(), "runtimeConfig": {"portMappings": mappings}}


def in_a_row(count: int) -> Config:
    return publishing(range(PORTS, PORTS + count), address="0.0.0.0")


def apart(count: int) -> Config:
    """Each by itself, and for the container all are one."""
    return publishing(range(PORTS, PORTS + 2 * count, 2), to=80)


def of_udp(count: int) -> Config:
    return publishing(range(PORTS, PORTS + count), protocol="udp")


def routes_inside() -> int:
    return run("ip -4 route show", netns="c1").count("\n20.")


def addresses_inside() -> int:
    return run("ip -4 addr show", netns="c1").count("inet 10.")


def ports_published() -> int:
    """Those that lead to the container's IPv4 address."""
    return run("nft list map inet pynet published4_any").count(" : 10.1.0.")


SIZES: dict[str, tuple[Callable[[int], Config], int, Callable[[], int]]] = {
    "routes past one receive buffer": (routed, 253, routes_inside),
    "routes": (routed, 6_000, routes_inside),
    "addresses": (addressed, 1_000, addresses_inside),
    "dual-stack ports": (apart, 1_500, ports_published),
    "ports in a row": (in_a_row, 10_000, ports_published),
    "UDP ports": (of_udp, 1_000, ports_published),
}


def before(plugin: Config) -> tuple[Config, ...]:
    return (BRIDGE,) if plugin["type"] == "portmap" else ()


def prepared(plugin: Config) -> tuple[Runtime, Config]:
    """c1, and the plugin with the result of what stands before it. What is kept is there."""
    warm = container("warm")
    first = (*before(plugin), {**plugin, "runtimeConfig": {}})
    delete_list(first, warm, add_list(first, warm))
    run("ip netns del warm")
    runtime = container("c1")
    result = add_list(before(plugin), runtime) if before(plugin) else None
    return runtime, with_result(plugin, result) if result else plugin


@pytest.mark.parametrize("name", SIZES)
@in_host
def test_it_is_made_checked_and_undone_whole(name: str) -> None:
    plugin, count, counted = SIZES[name]
    runtime, asked = prepared(plugin(count))
    if name == "UDP ports":  # then connection tracking has something to be looked through
        run("ping -c 1 -W 2 10.1.0.1", netns="c1")
    baseline = rest() | inside("c1")
    result = add(asked, runtime)
    assert counted() == count
    succeed("CHECK", with_result(asked, result), runtime)
    succeed("DEL", with_result(asked, result), runtime)
    assert nothing_left(baseline, rest() | inside("c1")) == []


SPOILED = {
    "routes": ("ip -n c1 route del 20.1.0.0/24", "20.1.0.0/24"),
    "addresses": ("ip -n c1 addr del 10.10.1.5/24 dev eth0", "10.10.1.5/24"),
    "dual-stack ports": (
        f"nft delete element inet pynet published4_any {{ tcp . {PORTS + 600} }}",
        f"tcp . {PORTS + 600}",
    ),
}


@pytest.mark.parametrize("name", SPOILED)
@in_host
def test_one_of_many_that_is_gone_is_found(name: str) -> None:
    plugin, _, _ = SIZES[name]
    runtime, asked = prepared(plugin(400))
    result = add(asked, runtime)
    spoil, words = SPOILED[name]
    run(spoil)
    refused(101, words, "CHECK", with_result(asked, result), runtime)


@pytest.mark.parametrize(
    ("name", "cleaner"), [("routes", "DEL"), ("addresses", "GC"), ("dual-stack ports", "ADD")]
)
@in_host
def test_killed_between_two_sends(name: str, cleaner: str) -> None:
    plugin, _, counted = SIZES[name]
    runtime, asked = prepared(plugin(400))
    baseline = rest() | inside("c1")
    with pytest.raises(DiedBySignal):
        Forked(lambda: _dying_at_the_third(asked, runtime)).wait()
    assert counted() < 400
    assert nothing_left(baseline, rest()) != []
    if cleaner == "ADD":
        result = add(asked, runtime)
        assert counted() == 400
        succeed("DEL", with_result(asked, result), runtime)
    else:
        succeed(cleaner, {**asked, "cni.dev/valid-attachments": []}, runtime)
    changed = nothing_left(baseline, rest() | inside("c1"))
    assert (but_idle_bridge(changed, str(asked.get("bridge", "cni0")))) == []


def _dying_at_the_third(asked: Config, runtime: Runtime) -> None:
    def sends(items: Iterable[Any]) -> Iterator[list[Any]]:
        for number, together in enumerate(packed.sends(items)):
            if number == 2:
                os.kill(os.getpid(), signal.SIGKILL)
            yield together

    rtnl_socket.sends = table.sends = sends  # type: ignore[attr-defined]
    drive.call("ADD", asked, runtime)
