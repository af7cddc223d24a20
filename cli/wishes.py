"""What an attachment is to have of its own: from options to what plugins are given, and back."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import click

from ..cni.conflist import NetworkList
from ..model.errors import ConfigError
from . import values

_MAPPING = re.compile(r"runtimeConfig\.portMappings\[(\d+)\](?:\.\w+)?")


def port_mapping(text: str) -> dict[str, Any]:
    """`--publish` as the capability `portMappings` has it."""
    found = values.PUBLISHED.fullmatch(text)
    assert found is not None  # its option has looked at it
    mapping: dict[str, Any] = {
        "hostPort": int(found["host"]),
        "containerPort": int(found["port"]),
        "protocol": (found["protocol"] or "tcp").lower(),
    }
    return mapping | ({"hostIP": found["ip"].strip("[]")} if found["ip"] else {})


def wishes(
    network: NetworkList, ips: Sequence[str], mac: str | None, ports: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """`ips` and `mac` as arguments of capabilities where a plugin has them, else as CNI_ARGS.

    Never as both: CNI conventions, "args".
    """
    declared = network.capabilities()
    capabilities: dict[str, Any] = {"portMappings": list(ports)} if ports else {}
    if ports and "portMappings" not in declared:
        raise ConfigError(
            f"--publish: no plugin of network {network.name} publishes ports: put"
            ' {"type": "portmap", "capabilities": {"portMappings": true}} into its list'
        )
    pairs: list[str] = []
    if ips and "ips" in declared:
        capabilities["ips"] = list(ips)
    elif ips:
        pairs.append(f"IP={','.join(ips)}")
    if mac and "mac" in declared:
        capabilities["mac"] = mac
    elif mac:
        pairs.append(f"MAC={mac}")
    args = ";".join([*pairs, "IgnoreUnknown=1"] if pairs else [])
    return {"capabilities": capabilities, "args": args}


def as_typed(said: str, ports: Sequence[str]) -> str:
    """What plugins are given has other names than the options that it comes from."""
    said = _MAPPING.sub(lambda found: f"--publish {ports[int(found[1])]}", said)
    said = said.replace("CNI_ARGS IP", "--ip").replace("runtimeConfig.ips", "--ip")
    if click.get_current_context().find_root().params.get("daemon"):
        said = said.replace("PYNET_DAEMON=", "--daemon ")
    return said
