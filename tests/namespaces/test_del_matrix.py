"""DEL whatever is gone or changed: it succeeds, twice, leaves nothing, and touches nobody else.

CNI spec 1.1.0, "DEL": "Plugins should generally complete a DEL action without error even if
some resources are missing."
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from time import sleep
from typing import Any

import bystanders
import drive
import lan
import pytest
from chains import CHAIN, PARTS, Config, add_list, by_kernel, delete_list, with_result
from drive import PLAIN_BRIDGE as BRIDGE
from drive import Runtime
from evidence import inside, left, nothing_left
from scenes import add, container, in_host, lines, run, whole

pytestmark = pytest.mark.every_point

CHAINS: dict[str, tuple[Config, ...]] = {
    "bridge": (BRIDGE,),
    "bridge-dual": (drive.BRIDGE,),  # with macspoofchk and ipMasq
    "loopback": (drive.LOOPBACK,),
    "host-local": (drive.HOST_LOCAL,),
    "static": (drive.STATIC,),
    "host-device": (drive.HOST_DEVICE,),
    "macvlan": (drive.MACVLAN,),
    "macvlan with a leg": (drive.MACVLAN_LEG,),
    "ptp": (drive.PTP,),
    "tap": (drive.TAP,),
    "chain": CHAIN,
    "limits": (BRIDGE, drive.BANDWIDTH),
    "limits inside": (drive.MACVLAN, drive.LIMITED_INSIDE),
    **{name: (drive.CONFIGS[name],) for name in drive.STACKED if name in drive.CONFIGS},
}
if "netkit" in PARTS:
    CHAINS["netkit"] = PARTS["netkit"].plugins
"""The plugins of a network, in the order of their ADD."""
OTHER_SUBNET: dict[str, Any] = {
    "host-local": {"type": "host-local", "subnet": "10.77.0.0/24"},
    "static": {"type": "static", "addresses": [{"address": "10.77.0.5/24"}]},
}
STRANGER = {
    **BRIDGE,
    "name": "db",
    "bridge": "cni1",
    "ipMasq": True,
    "macspoofchk": True,
    "ipam": {"type": "host-local", "subnet": "10.2.0.0/24"},
}
"""Another network, where another container has our container's id and interface."""


@dataclass
class Scene:
    """What is there before the DEL; a situation changes it."""

    chain: tuple[Config, ...]
    runtime: Runtime
    result: dict[str, Any]
    fresh: set[str]
    """The container before its ADD."""

    def delete(self) -> None:
        delete_list(self.chain, self.runtime, self.result)


def no_namespace_given(scene: Scene) -> None:
    scene.runtime = replace(scene.runtime, netns="")


def path_vanished(scene: Scene) -> None:
    """Nothing keeps the namespace, so the kernel takes it down."""
    run("ip netns del c1")


def path_vanished_namespace_alive(scene: Scene) -> None:
    """As when a process of the container still runs."""
    keep = os.open("/run/netns/c1", os.O_RDONLY)  # until this child ends
    run("ip netns del c1")
    assert keep


def replaced(scene: Scene) -> None:
    """Another container's namespace has come to the same path, with an interface like ours."""
    os.open("/run/netns/c1", os.O_RDONLY)
    run("ip netns del c1")
    run("ip netns add c1")
    run("ip -n c1 link set lo up")
    run("ip -n c1 link add eth0 type veth peer name eth9")
    run("ip -n c1 addr add 10.1.0.2/24 dev eth0")
    run("ip -n c1 link set eth0 up")


def interface_removed_inside(scene: Scene) -> None:
    if any(interface["name"] == "eth0" for interface in scene.result.get("interfaces", ())):
        run("ip -n c1 link del eth0")
    run("ip -n c1 link set lo down")


def interface_removed_outside(scene: Scene) -> None:
    for interface in scene.result.get("interfaces", ()):
        if interface["name"].startswith("veth"):
            run(f"ip link del {interface['name']}")


def no_result(scene: Scene) -> None:
    scene.result = {}


def other_subnet(scene: Scene) -> None:
    def changed(config: Config) -> Config:
        kind = config.get("ipam", {}).get("type")
        return {**config, "ipam": OTHER_SUBNET[kind]} if kind else config

    scene.chain = tuple(map(changed, scene.chain))


def invalid_configuration(scene: Scene) -> None:
    broken = {"bridge": 5, "dns": "x", "ipam": {"type": 7, "ranges": "x"}, "runtimeConfig": 7}
    broken |= {"sysctl": "x", "mtu": "x", "snat": "x", "ingressPolicy": "x"}
    scene.chain = tuple({**config, **broken} for config in scene.chain)


def everything_at_once(scene: Scene) -> None:
    no_result(scene)
    invalid_configuration(scene)
    path_vanished_namespace_alive(scene)
    no_namespace_given(scene)


def nothing_is_wrong(scene: Scene) -> None:
    pass


SITUATIONS: list[Callable[[Scene], None]] = [
    nothing_is_wrong,
    no_namespace_given,
    path_vanished,
    path_vanished_namespace_alive,
    replaced,
    interface_removed_inside,
    interface_removed_outside,
    no_result,
    other_subnet,
    invalid_configuration,
    everything_at_once,
]
each_chain = pytest.mark.parametrize("name", by_kernel(CHAINS))


def elsewhere(config: Config) -> Config:
    """With other ports of the host, where it publishes any, in another VLAN, on another card."""
    if config["type"] == "vlan":
        return {**config, "vlanId": 8}
    if config["type"] == "host-device":
        return {**config, "device": lan.CARDS[1]}
    if config["type"] != "portmap":
        return config
    ports = config["runtimeConfig"]["portMappings"]
    moved = [{**port, "hostPort": port["hostPort"] + 1000} for port in ports]
    return {**config, "runtimeConfig": {"portMappings": moved}}


def others(chain: tuple[Config, ...]) -> None:
    """Whom a DEL must leave alone: an administrator's links, a neighbour, a namesake."""
    drive.ready(*(config["type"] for config in chain))
    run("ip link add veth0123456789a type veth peer name admin0")
    run("ip addr add 172.16.0.1/24 dev veth0123456789a")
    run("ip link set veth0123456789a up")
    run("ip link add admin-br type bridge")
    bystanders.settle()
    add_list(tuple(map(elsewhere, chain)), container("c10"))
    add(STRANGER, replace(container("namesake"), container="c1"))


def attached(chain: tuple[Config, ...]) -> Scene:
    drive.ready(*(config["type"] for config in chain))
    runtime = container("c1")
    fresh = lines("c1")
    return Scene(chain, runtime, add_list(chain, runtime), fresh)


def outside(everything: set[str]) -> set[str]:
    """Without what is inside of c1."""
    return {line for line in everything if not line.startswith("c1: ")}


def deleted_twice(scene: Scene, baseline: set[str]) -> None:
    """Succeeds both times, and leaves what was there before."""
    for time in ("first", "second"):
        scene.delete()
        assert left_in_the_end(scene.chain, baseline) == [], time


def left_in_the_end(chain: tuple[Config, ...], baseline: set[str]) -> list[str]:
    """What is left once the kernel has taken down the links of a namespace that nothing keeps.

    A device that was lent is one of them, and is made anew.
    """
    for _ in range(20):
        drive.ready(*(config["type"] for config in chain))
        found = nothing_left(baseline, outside(whole()))
        if not found:
            break
        sleep(0.05)
    return found


@each_chain
@pytest.mark.parametrize("among_others", [True, False])
@in_host
def test_nothing_is_left_and_nobody_else_is_touched(name: str, among_others: bool) -> None:
    if among_others:
        others(CHAINS[name])
    else:  # its last user takes down what is shared; what is kept on purpose is there now
        attached(CHAINS[name]).delete()
        run("ip netns del c1")
    baseline = whole()
    for situation in SITUATIONS:
        scene = attached(CHAINS[name])
        situation(scene)
        sandbox = lines("c1") if Path("/run/netns/c1").exists() else set()
        try:
            deleted_twice(scene, baseline)
            if sandbox:
                # The kernel gives lo its address when it is set up, and leaves it.
                own = {"address lo 127.0.0.1/8"}
                expected = sandbox if situation is replaced else scene.fresh
                assert lines("c1") - own == expected - own
        except BaseException as error:
            error.add_note(f"situation: {situation.__name__}")
            raise
        if sandbox:
            run("ip netns del c1")


INTACT = (nothing_is_wrong, no_namespace_given, no_result, other_subnet, invalid_configuration)
"""The situations in which the container is as its ADD left it."""


@pytest.mark.parametrize("name", sorted(drive.BEFORE.keys() & drive.CONFIGS.keys()))
@in_host
def test_a_chained_plugin_leaves_nothing_to_the_one_before_it(name: str) -> None:
    """Whose own DEL would take it along: here nobody but the chained plugin is told."""
    before, plugin = drive.BEFORE[name], drive.CONFIGS[name]
    others((*before, plugin))
    neighbours = whole()
    for situation in SITUATIONS:
        runtime = container("c1")
        given = add_list(before, runtime)
        baseline, fresh = outside(whole()), inside("c1")
        result = add(with_result(plugin, given), runtime)
        scene = Scene((plugin,), runtime, result, set())
        situation(scene)
        sandbox = lines("c1") if situation is replaced else set()
        try:
            for _ in ("once", "and again"):
                scene.delete()
                now = whole()
                assert left(baseline, outside(now)) == []
                assert neighbours <= now
            assert situation not in INTACT or inside("c1") == fresh
            assert not sandbox or lines("c1") == sandbox
        except BaseException as error:
            error.add_note(f"situation: {situation.__name__}")
            raise
        delete_list(before, runtime, given)
        if Path("/run/netns/c1").exists():
            run("ip netns del c1")


# --- the store is gone ----------------------------------------------------------


def without_store(scene: Scene) -> None:
    for path in Path("/run/pynet").glob("pynet.db*"):
        path.unlink()


def but_rows(everything: set[str]) -> set[str]:
    return {line for line in outside(everything) if not line.startswith("row ")}


@each_chain
@in_host
def test_without_a_store_what_can_be_found_by_name_and_result_is_removed(name: str) -> None:
    others(CHAINS[name])
    baseline = but_rows(whole())
    scene = attached(CHAINS[name])
    without_store(scene)
    for _ in ("once", "and again"):
        scene.delete()
        assert but_rows(whole()) == baseline


linked = pytest.mark.parametrize("name", ["bridge-dual", "chain"])


@linked
@pytest.mark.parametrize(
    "also", [path_vanished, path_vanished_namespace_alive, replaced, no_namespace_given]
)
@in_host
def test_without_a_store_and_a_namespace(name: str, also: Callable[[Scene], None]) -> None:
    others(CHAINS[name])
    baseline = but_rows(whole())
    scene = attached(CHAINS[name])
    without_store(scene)
    also(scene)
    sandbox = lines("c1") if also is replaced else set()
    scene.delete()
    assert but_rows(whole()) == baseline
    assert not sandbox or lines("c1") == sandbox


@linked
@pytest.mark.parametrize("change", [no_result, invalid_configuration, other_subnet])
@in_host
def test_without_a_store_and_a_result_all_of_it_goes(
    name: str, change: Callable[[Scene], None]
) -> None:
    others(CHAINS[name])
    baseline = but_rows(whole())
    scene = attached(CHAINS[name])
    without_store(scene)
    change(scene)
    scene.result = {}
    scene.delete()
    assert but_rows(whole()) == baseline


@in_host
def test_a_stranger_with_the_name_of_our_link_stays() -> None:
    scene = attached(CHAINS["bridge-dual"])
    without_store(scene)
    interface_removed_outside(scene)
    name = scene.result["interfaces"][1]["name"]
    run(f"ip link add {name} type veth peer name admin0")
    before = whole()
    scene.result = {}
    scene.delete()
    assert f"link {name}" in whole() and {line for line in before if "link" in line} <= whole()


@each_chain
@in_host
def test_who_was_never_attached_can_be_deleted(name: str) -> None:
    others(CHAINS[name])
    before = whole()
    for runtime in (Runtime("c9", "/run/netns/c9"), Runtime("c9", ""), container("c9")):
        Scene(CHAINS[name], runtime, {}, set()).delete()
    assert outside(whole()) - lines_of_c9() == before


def lines_of_c9() -> set[str]:
    return {f"c9: {line}" for line in lines("c9")}
