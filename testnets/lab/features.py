"""What this kernel has: each feature is tried once, in namespaces that end with the attempt."""

from __future__ import annotations

import functools
import os
import socket
import subprocess
from collections.abc import Callable, Mapping
from difflib import get_close_matches

from . import syscalls
from .forked import Forked, LabError
from .holder import own_namespaces
from .host import plain_environment

_IPPROTO_SCTP = 132


def lacking(feature: str) -> str:
    """Why `feature` can't be had here, in words; "" where it can.

    Raises `LabError` for a feature that nobody has heard of.
    """
    if feature not in FEATURES:
        near = get_close_matches(feature, FEATURES, n=1)
        guess = f"; did you mean {near[0]!r}?" if near else ""
        raise LabError(f"{feature!r} is no feature{guess}. They are: {', '.join(FEATURES)}")
    return _lacking(feature)


@functools.cache
def _lacking(feature: str) -> str:
    user = syscalls.CLONE_NEWUSER if os.geteuid() != 0 else 0
    kinds = syscalls.CLONE_NEWNET | syscalls.CLONE_NEWNS
    try:
        return Forked(FEATURES[feature], lambda: own_namespaces(user, kinds)).wait()
    except OSError as error:
        return f"{feature}: it could not be tried, namespaces are not allowed here ({error})"


def _commands(*commands: str) -> Callable[[], str]:
    return lambda: next(filter(None, map(_refusal, commands)), "")


def _refusal(command: str) -> str:
    """What is said of a command that fails; "" of one that does not."""
    environ = {**plain_environment(), "LC_ALL": "C"}
    try:
        done = subprocess.run(
            command.split(), env=environ, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return f"there is no command {command.split()[0]!r}"
    said = [line for line in (done.stderr + done.stdout).splitlines() if line.strip(" ^~")]
    words = said[0].removeprefix("Error: ") if said else f"status {done.returncode}"
    return f"`{command}`: {words}" if done.returncode else ""


def _link(kind: str, options: str = "") -> Callable[[], str]:
    return _commands(f"ip link add probe0 type {kind} {options}".rstrip())


def _over_bridge(kind: str, options: str = "") -> Callable[[], str]:
    """A link of that kind on top of a bridge, which every kernel for containers has."""
    add = f"ip link add link probe1 name probe0 type {kind} {options}".rstrip()
    return _commands("ip link add probe1 type bridge", add)


def _queue(discipline: str) -> Callable[[], str]:
    return _commands("ip link set lo up", f"tc qdisc add dev lo root {discipline}")


def _chain(family: str, hook: str) -> Callable[[], str]:
    chain = f"nft add chain {family} probe probe {{ type {hook} ; }}"
    return _commands(f"nft add table {family} probe", chain)


def _sctp() -> str:
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM, _IPPROTO_SCTP).close()
    except OSError as error:
        return f"socket(AF_INET, SOCK_STREAM, IPPROTO_SCTP): {error.strerror}"
    return ""


FEATURES: Mapping[str, Callable[[], str]] = {
    "bond": _link("bond"),
    "bridge": _link("bridge"),
    "dummy": _link("dummy"),
    "geneve": _link("geneve", "id 1 remote 192.0.2.1"),
    "gre": _link("gre", "local 192.0.2.1 remote 192.0.2.2"),
    "ifb": _link("ifb"),
    "ipvlan": _over_bridge("ipvlan"),
    "macvlan": _over_bridge("macvlan", "mode bridge"),
    "macvtap": _over_bridge("macvtap"),
    "netem": _queue("netem delay 1ms"),
    "nft-egress": _chain("netdev", "filter hook egress device lo priority 0"),
    "nft-nat": _chain("inet", "nat hook postrouting priority 100"),
    "sctp": _sctp,
    "tbf": _queue("tbf rate 1mbit burst 10kb latency 50ms"),
    "vlan": _over_bridge("vlan", "id 1"),
    "vlan-filtering": _link("bridge", "vlan_filtering 1"),
    "vrf": _link("vrf", "table 10"),
    "vxlan": _link("vxlan", "id 1 dstport 4789 remote 192.0.2.1"),
    "wireguard": _link("wireguard"),
}
"""What can be asked for, and what is tried; it answers with a refusal in words, or ""."""
