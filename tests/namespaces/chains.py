"""Network lists as a runtime plays them: ADD in order, each given the result of the one before."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import drive
import lan
import pytest
from _pytest.mark import ParameterSet
from drive import Outcome, Runtime
from scenes import succeed

Config = Mapping[str, Any]
Call = Callable[[str, dict[str, Any], Runtime], Outcome]

CHAIN: tuple[Config, ...] = (
    drive.LOOPBACK,
    drive.BRIDGE,
    drive.PORTMAP,
    drive.FIREWALL,
    drive.TUNING,
)


@dataclass(frozen=True)
class Part:
    """What of a network's list a test is about, and what stands before it there."""

    before: tuple[Config, ...]
    plugins: tuple[Config, ...]
    prepare: Callable[[], None] = lambda: None
    """What the host has for it beforehand."""


LEDGER = Path("/run/ledger")
"""A file a container that has an address of `ledger`'s."""
_LEDGER = f"""#!/bin/sh
mkdir -p {LEDGER}
case $CNI_COMMAND in
ADD) touch {LEDGER}/$CNI_CONTAINERID
     echo '{{"cniVersion": "1.1.0", "ips": [{{"address": "10.5.0.9/24"}}]}}' ;;
DEL) rm -f {LEDGER}/$CNI_CONTAINERID ;;
esac
"""


def foreign_ipam() -> None:
    """Somebody's IPAM plugin, by the name of `ledger`."""
    binary = Path("/opt/cni/bin/ledger")
    binary.parent.mkdir(parents=True, exist_ok=True)
    binary.write_text(_LEDGER)
    binary.chmod(0o755)


def dropping_firewall() -> None:
    """As Docker leaves a host: what is forwarded is dropped, but for what a chain lets through."""
    for words in ("-P FORWARD DROP", "-N DOCKER-USER", "-A DOCKER-USER -j RETURN",
                  "-I FORWARD -j DOCKER-USER"):  # fmt: skip
        for program in ("iptables-nft", "ip6tables-nft"):
            subprocess.run([program, *words.split()], check=True, stdin=subprocess.DEVNULL)


_LEGGED: Config = {
    **drive.MACVLAN_LEG,
    "hostAddresses": drive.MACVLAN_LEG["hostAddresses"][:1],
    "ipam": {"type": "host-local", "ranges": drive.MACVLAN_LEG["ipam"]["ranges"][:1]},
}
"""With IPv4 alone: each ADD with IPv6 waits two seconds for duplicate address detection."""
PARTS = {
    **{
        name: Part(drive.BEFORE.get(name, ()), (one,), partial(drive.ready, name))
        for name, one in drive.CONFIGS.items()
    },
    "chain": Part((), CHAIN),
    "limits inside": Part((drive.MACVLAN,), (drive.LIMITED_INSIDE,), lan.wire),
    "behind Docker": Part((drive.BRIDGE,), (drive.FIREWALL,), dropping_firewall),
    "macvlan with a leg": Part((), (_LEGGED,), lan.wire),
    "foreign IPAM": Part((), ({**drive.BRIDGE, "ipam": {"type": "ledger"}},), foreign_ipam),
}
"""Each plugin by itself, a whole list, and where others' programs take part."""
if "PYNET_VM" in os.environ:
    PARTS["netkit"] = Part((), (drive.NETKIT,))


def by_kernel(names: Iterable[str]) -> list[ParameterSet]:
    """Names of parts or chains as parameters: `scripts/vm` runs those of its kernels alone."""
    only = {"netkit": (pytest.mark.vm, pytest.mark.linux_6_12)}
    if "PYNET_VM" in os.environ:
        only |= dict.fromkeys(drive.NOT_EVERYWHERE, (pytest.mark.vm,))
    return [pytest.param(name, marks=only.get(name, ())) for name in names]


def _named(network: str, *plugins: Config) -> tuple[Config, ...]:
    """`plugins` as one network's list."""
    return tuple({**plugin, "name": network} for plugin in plugins)


def _followed(main: Config, *routing: Config, **firewall: Any) -> tuple[Config, ...]:
    """`main`, and whatever may stand behind it at once; `routing` is sbr or vrf."""
    wall = {**drive.FIREWALL, "ingressPolicy": "open", **firewall}
    return _named(main["name"], main, drive.BANDWIDTH, drive.TUNING, *routing, wall, drive.PORTMAP)


_ROUTED: Config = {
    **drive.MACVLAN,
    "ipam": {**drive.MACVLAN["ipam"], "routes": [{"dst": "0.0.0.0/0"}]},
}
_ARP: Config = {
    "cniVersion": "1.1.0",
    "type": "tuning",
    "sysctl": {
        "net.ipv4.conf.IFNAME.arp_ignore": "1",
        "net.ipv4.conf.IFNAME.arp_announce": "2",
        "net.ipv4.conf.all.rp_filter": "0",
    },
    "mtu": 1400,
}
"""What is set beside `sbr`, so that each interface answers for its own addresses alone."""
LISTS = {
    "bridge and five": Part((), _followed(drive.BRIDGE, drive.SBR, ingressPolicy="isolated")),
    "ptp and five": Part((), _followed(drive.PTP, drive.SBR)),
    "macvlan and tuning": Part((), _named("lan", _ROUTED, drive.TUNING), lan.wire),
    "macvlan, tuning and sbr": Part((), _named("lan", _ROUTED, _ARP, drive.SBR), lan.wire),
}
"""A main plugin and all that may follow it; and what a Kubernetes pod's second network has behind
macvlan or ipvlan, as Multus and OpenShift document it.
"""
NOT_EVERYWHERE = {
    "ipvlan and sbr": Part((), _named("lan", {**_ROUTED, "type": "ipvlan"}, drive.SBR), lan.wire),
    "bridge and five in a VRF": Part((), _followed(drive.BRIDGE, drive.VRF)),
}
"""The same of links that the kernel `scripts/vm` boots can make, and not every other."""


def play(
    command: str,
    plugins: Sequence[Config],
    runtime: Runtime,
    result: Any = None,
    call: Call = drive.call,
) -> Outcome:
    """The outcome of the last call, which is the first that fails.

    `result` is what the first plugin of an ADD is given, or the list's own for all others. DEL
    goes in reverse (CNI spec 1.1.0, section 3); a runtime has a result only of an ADD that was
    finished.
    """
    outcome = Outcome(0, b"")
    for config in reversed(plugins) if command == "DEL" else plugins:
        outcome = call(command, with_result(config, result), runtime)
        if outcome.status:
            break
        if command == "ADD":
            result = outcome.document
    return outcome


def add_list(plugins: Sequence[Config], runtime: Runtime) -> Any:
    """The last plugin's result; None where there is no plugin."""
    return play("ADD", plugins, runtime, call=succeed).document


def delete_list(plugins: Sequence[Config], runtime: Runtime, result: Any) -> None:
    play("DEL", plugins, runtime, result, succeed)


def check_list(plugins: Sequence[Config], runtime: Runtime, result: Any) -> None:
    play("CHECK", plugins, runtime, result, succeed)


def with_result(config: Config, result: Any) -> dict[str, Any]:
    return {**config, **({"prevResult": result} if result else {})}
