"""ADD: what it answers is there, and when it fails nothing is."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ..checks import Family
from ..judging import refused, shape, succeeded
from ..scene import Attachment, Scene
from ..subject import CHAINED, IPAM, LOOPBACK, MAIN, tight
from ..traces import few, host, ip, network, run, unchanged
from ..verdicts import Failed, NotApplicable

FAMILY = Family("adding")
_ADD = "ADD: Add container to network, or apply modifications"
_SUCCESS = "ADD Success"
_AT_ONCE = 8


@FAMILY.check(_ADD)
def result_is_true(scene: Scene) -> None:
    """Interface, MAC, addresses and routes of the result are there"""
    container = scene.container()
    scene.prepare(container)
    result = scene.add(container)
    shape(result, scene.version, scene.calls[-1])
    if scene.subject.role == IPAM:
        return
    links = {link["ifname"]: link for link in ip("addr show", container.namespace)}
    inside = [one for one in result.get("interfaces", []) if one.get("sandbox")]
    if not any(one["name"] == container.interface for one in inside):
        raise Failed(f"the result has no interface {container.interface!r} with a `sandbox`")
    for one in inside:
        if one["name"] not in links:
            raise Failed(f"interface {one['name']!r} of the result is not in the container")
        mac = links[one["name"]]["address"]
        if one.get("mac") and one["mac"].lower() != mac:
            raise Failed(f"{one['name']!r} has MAC {mac}, the result says {one['mac']}")
    _addresses_are_there(result, links)
    _routes_are_there(result, container)


def _addresses_are_there(result: dict[str, Any], links: dict[str, Any]) -> None:
    found = {
        f"{address['local']}/{address['prefixlen']}"
        for link in links.values()
        for address in link["addr_info"]
    }
    for one in result.get("ips", []):
        if one["address"] not in found:
            raise Failed(f"address {one['address']} of the result is not in the container")


def _routes_are_there(result: dict[str, Any], container: Attachment) -> None:
    listed = [*ip("-4 route show table all", container.namespace)]
    listed += ip("-6 route show table all", container.namespace)
    found = {"0.0.0.0/0" if route["dst"] == "default" else route["dst"] for route in listed}
    for route in result.get("routes", []):
        if route["dst"] not in found | {"::/0"}:
            raise Failed(f"there is no route to {route['dst']} of the result in the container")


@FAMILY.check(_SUCCESS, MAIN, LOOPBACK, CHAINED)
def sandbox_is_verbatim(scene: Scene) -> None:
    """`sandbox` of the container's interface is the text of CNI_NETNS"""
    container = scene.attach(scene.container())
    for one in (container.result or {}).get("interfaces", []):
        if one.get("name") == container.interface and one.get("sandbox"):
            if one["sandbox"] != container.netns:
                raise Failed(f"`sandbox` is {one['sandbox']!r}, CNI_NETNS is {container.netns!r}")
            return
    raise Failed(f"the result has no interface {container.interface!r} with a `sandbox`")


@FAMILY.check("Delegated plugins (IPAM)", IPAM)
def addresses_only(scene: Scene) -> None:
    """The result of an IPAM plugin has addresses, no `interfaces`, and no index of one"""
    container = scene.attach(scene.container())
    result = container.result or {}
    if not result.get("ips"):
        raise Failed("the result has no `ips`")
    if result.get("interfaces"):
        raise Failed("the result has `interfaces`")
    if any("interface" in one for one in result["ips"]):
        raise Failed("an address has an `interface`")


@FAMILY.check(_ADD, MAIN)
def interface_is_taken(scene: Scene) -> None:
    """ADD where the container has such an interface is an error, and changes nothing"""
    scene.live_once()
    container = scene.container()
    run(f"ip link add {container.interface} type veth peer name other0", container.namespace)
    before, inside = host(), set(network(container.namespace))
    call = scene.call("ADD", container)
    refused(call)
    if changed := unchanged(inside, lambda: set(network(container.namespace))):
        raise Failed(f"it failed, and this has changed in the container: {few(changed)}", call)
    if changed := scene.unchanged(before):
        raise Failed(f"it failed, and this has changed on the host: {few(changed)}", call)


@FAMILY.check(_ADD, MAIN, IPAM)
def failure_leaves_nothing(scene: Scene) -> None:
    """ADD that finds no free address leaves nothing, and the same ADD works once there is one"""
    small = tight(scene.subject.config, 30)
    if small is None:
        raise NotApplicable("its addresses are not those of host-local")
    scene.changes = small
    first = scene.attach(scene.container("first"))
    if scene.subject.role == MAIN and not (first.result or {}).get("ips"):
        raise NotApplicable("the plugin did not ask for an address")
    container = scene.container()
    before, inside = host(), set(network(container.namespace))
    call = scene.call("ADD", container)
    refused(call)
    if changed := unchanged(inside, lambda: set(network(container.namespace))):
        raise Failed(f"it failed, and this is left in the container: {few(changed)}", call)
    if changed := scene.unchanged(before):
        raise Failed(f"it failed, and this is left on the host: {few(changed)}", call)
    succeeded(scene.call("DEL", first))
    scene.add(container)


@FAMILY.check(_ADD)
def again_after_del(scene: Scene) -> None:
    """ADD, DEL and ADD of the same container works as the first time"""
    container = scene.attach(scene.container())
    succeeded(scene.call("DEL", container))
    scene.release(container)
    container.result = None
    scene.prepare(container)
    scene.add(container)


@FAMILY.check("Section 2: Execution Protocol", MAIN, IPAM, LOOPBACK)
def many_at_once(scene: Scene) -> None:
    """ADDs of different containers may run at the same time; no address is given twice"""
    if (scene.subject.config.get("ipam") or {}).get("type") == "static":
        raise NotApplicable("its configuration has one address only")
    if "device" in scene.subject.config:
        raise NotApplicable("its configuration has one device only")
    containers = [scene.container(f"m{number}") for number in range(_AT_ONCE)]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        calls = list(pool.map(lambda each: scene.call("ADD", each), containers))
    given: dict[str, str] = {}
    for container, call in zip(containers, calls, strict=True):
        container.result = succeeded(call)
        for one in container.result.get("ips", []) if scene.subject.role != LOOPBACK else []:
            address = one["address"]
            if address in given:
                raise Failed(f"{given[address]} and {container.container} have {address}", call)
            given[address] = container.container
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for call in pool.map(lambda each: scene.call("DEL", each), containers):
            succeeded(call)
