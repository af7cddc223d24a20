"""CHECK: it is content right after an ADD, and sees what was damaged since."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..checks import Family
from ..judging import refused, succeeded
from ..scene import ABSENT, Attachment, Scene
from ..subject import CHAINED, IPAM, LOOPBACK, MAIN
from ..traces import ip, rules, run, settings
from ..verdicts import Failed, NotApplicable
from .deleting import host_ends

FAMILY = Family("checking")
_CHECK = "CHECK: Check container's networking is as expected"
_SINCE = "0.4.0"
_FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")


@FAMILY.check(_CHECK, since=_SINCE)
def after_add(scene: Scene) -> None:
    """CHECK right after an ADD succeeds, and prints nothing"""
    succeeded(scene.call("CHECK", scene.attach(scene.container())))


@FAMILY.check(_CHECK, MAIN, since=_SINCE)
def route_without_gateway(scene: Scene) -> None:
    """CHECK right after an ADD succeeds where a route of the IPAM plugin names no gateway"""
    ipam = scene.subject.config.get("ipam") or {}
    if ipam.get("type") != "host-local":
        raise NotApplicable("its addresses are not those of host-local")
    scene.changes = {"ipam": {**ipam, "routes": [{"dst": "10.202.0.0/16"}]}}
    succeeded(scene.call("CHECK", scene.attach(scene.container())))


@FAMILY.check(_CHECK, MAIN, CHAINED, since=_SINCE)
def without_result(scene: Scene) -> None:
    """CHECK without prevResult is an error"""
    attachment = scene.attach(scene.container())
    refused(scene.call("CHECK", attachment, config={"prevResult": ABSENT}))


@FAMILY.check(_CHECK, MAIN, since=_SINCE)
def without_ipam(scene: Scene) -> None:
    """CHECK of an interface without addresses, where the plugin makes such, succeeds"""
    scene.changes = {"ipam": {}}
    attachment = scene.attach(scene.container())
    if (attachment.result or {}).get("ips"):
        raise NotApplicable("the plugin has given an address all the same")
    succeeded(scene.call("CHECK", attachment))


@FAMILY.check(_CHECK, MAIN, since=_SINCE)
def later_plugins_route(scene: Scene) -> None:
    """CHECK allows for a route that a later plugin has added"""
    attachment = scene.attach(scene.container())
    run(f"ip route add 10.201.0.0/16 dev {attachment.interface}", attachment.namespace)
    succeeded(scene.call("CHECK", attachment))


# --- damage ------------------------------------------------------------------------------------

Damage = Callable[[Scene, Attachment], Callable[[], bool]]
"""Does it, and gives what says whether it still stands: a plugin, or its daemon, may mend it."""


def _interface_gone(scene: Scene, attachment: Attachment) -> Callable[[], bool]:
    run(f"ip link del {attachment.interface}", attachment.namespace)
    return lambda: attachment.interface not in _links(attachment.namespace)


def _interface_down(scene: Scene, attachment: Attachment) -> Callable[[], bool]:
    run(f"ip link set {attachment.interface} down", attachment.namespace)
    return lambda: "UP" not in _links(attachment.namespace)[attachment.interface]


def _address_gone(scene: Scene, attachment: Attachment) -> Callable[[], bool]:
    given = [one["address"] for one in (attachment.result or {}).get("ips", [])]
    if not given:
        raise NotApplicable("the result has no address")
    run(f"ip addr del {given[0]} dev {attachment.interface}", attachment.namespace)
    return lambda: given[0] not in _addresses(attachment.namespace)


def _route_gone(scene: Scene, attachment: Attachment) -> Callable[[], bool]:
    given = [route["dst"] for route in (attachment.result or {}).get("routes", [])]
    if not given:
        raise NotApplicable("the result has no route")
    run(f"ip route del {given[0]}", attachment.namespace)
    return lambda: all(r["dst"] != given[0] for r in ip("route show", attachment.namespace))


def _other_mac(scene: Scene, attachment: Attachment) -> Callable[[], bool]:
    named = [one for one in (attachment.result or {}).get("interfaces", [])
             if one.get("name") == attachment.interface and one.get("mac")]  # fmt: skip
    if not named:
        raise NotApplicable("the result has no MAC of the container's interface")
    run(f"ip link set {attachment.interface} address 02:00:00:c0:ff:ee", attachment.namespace)
    return lambda: True


def _rules_gone(scene: Scene, attachment: Attachment) -> Callable[[], bool]:
    run("nft flush ruleset")
    return lambda: not any(rules())


def _forwarding_off(scene: Scene, attachment: Attachment) -> Callable[[], bool]:
    _FORWARDING.write_text("0")
    return lambda: _FORWARDING.read_text().strip() == "0"


def _host_end_down(scene: Scene, attachment: Attachment) -> Callable[[], bool]:
    names = host_ends(attachment)
    if not names:
        raise NotApplicable("the result names no end of the link on the host")
    run(f"ip link set {names[0]} down")
    return lambda: "UP" not in _links()[names[0]]


def _gateway_gone(scene: Scene, attachment: Attachment) -> Callable[[], bool]:
    gateways = [one.get("gateway") for one in (attachment.result or {}).get("ips", [])]
    for link in ip("addr show"):
        for address in link["addr_info"]:
            if address["local"] in gateways:
                text = f"{address['local']}/{address['prefixlen']}"
                run(f"ip addr del {text} dev {link['ifname']}")
                return lambda: text not in _addresses()
    raise NotApplicable("the host does not have the gateway's address")


def _links(netns: str = "") -> dict[str, list[str]]:
    return {link["ifname"]: link["flags"] for link in ip("link show", netns)}


def _addresses(netns: str = "") -> set[str]:
    return {
        f"{address['local']}/{address['prefixlen']}"
        for link in ip("addr show", netns)
        for address in link["addr_info"]
    }


def _before_nothing(scene: Scene) -> Callable[[], bool]:
    return lambda: True


def _if_it_makes_rules(scene: Scene) -> Callable[[], bool]:
    before = {*rules()}
    return lambda: {*rules()} != before


def _if_it_turns_forwarding_on(scene: Scene) -> Callable[[], bool]:
    before = _FORWARDING.read_text()
    return lambda: _FORWARDING.read_text() != before


def _seen(
    damage: Damage, precondition: Callable[[Scene], Callable[[], bool]], absent: str
) -> Callable[[Scene], None]:
    def ask(scene: Scene) -> None:
        attachment = scene.container()
        scene.prepare(attachment)
        has_made_it = precondition(scene)
        try:
            scene.add(attachment)
            succeeded(scene.call("CHECK", attachment))
        except Failed as error:
            raise NotApplicable(f"the ADD or CHECK that it begins with: {error.message}") from None
        if not has_made_it():
            raise NotApplicable(absent)
        still_stands = damage(scene, attachment)
        call = scene.call("CHECK", attachment)
        if call.status or still_stands():
            refused(call)

    return ask


_ANY = (MAIN, LOOPBACK)
for _name, _what, _damage, _precondition, _absent, _roles in (
    ("interface-gone", "the interface is gone", _interface_gone, _before_nothing, "", (MAIN,)),
    ("interface-down", "the interface is down", _interface_down, _before_nothing, "", _ANY),
    ("address-gone", "an address is gone", _address_gone, _before_nothing, "", (MAIN,)),
    ("route-gone", "a route is gone", _route_gone, _before_nothing, "", (MAIN,)),
    ("other-mac", "the interface has another MAC", _other_mac, _before_nothing, "", (MAIN,)),
    ("rules-gone", "the firewall rules are gone", _rules_gone, _if_it_makes_rules,
     "its ADD makes no firewall rules", (MAIN, CHAINED)),
    ("forwarding-off", "forwarding was turned off", _forwarding_off, _if_it_turns_forwarding_on,
     "its ADD does not turn forwarding on", (MAIN,)),
    ("host-end-down", "the link's end on the host is down", _host_end_down, _before_nothing, "",
     (MAIN,)),
    ("gateway-gone", "the host has lost the gateway's address", _gateway_gone, _before_nothing, "",
     (MAIN,)),
):  # fmt: skip
    FAMILY.add(
        _name,
        f"CHECK is an error where {_what}",
        _CHECK,
        _seen(_damage, _precondition, _absent),
        *_roles,
        since=_SINCE,
    )


@FAMILY.check(_CHECK, CHAINED, since=_SINCE)
def setting_undone(scene: Scene) -> None:
    """CHECK is an error where a setting that ADD made in the container is undone"""
    attachment = scene.container()
    scene.prepare(attachment)
    before = settings(attachment.namespace)
    try:
        scene.add(attachment)
        succeeded(scene.call("CHECK", attachment))
    except Failed as error:
        raise NotApplicable(f"the ADD or CHECK that it begins with: {error.message}") from None
    for path, value in settings(attachment.namespace).items():
        if before.get(path, value) != value and "/neigh/" not in path:
            setting = f"{path.removeprefix('/proc/sys/')}={before[path]}"
            run(f"sysctl -qw {setting}", attachment.namespace)
            refused(scene.call("CHECK", attachment))
            return
    raise NotApplicable("its ADD changes no setting of the container")


@FAMILY.check(_CHECK, IPAM, since=_SINCE)
def reservation_gone(scene: Scene) -> None:
    """CHECK is an error where the address is not reserved any more"""
    if (scene.subject.config.get("ipam") or {}).get("type") == "static":
        raise NotApplicable("its addresses are those of the configuration, and not reserved")
    attachment = scene.attach(scene.container())
    succeeded(scene.call("CHECK", attachment))
    succeeded(scene.call("DEL", attachment))
    refused(scene.call("CHECK", attachment))
