"""The plugin under test: its place in a network, and where its executable is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..cni.conflist import NetworkList

Config = Mapping[str, Any]

MAIN, IPAM, CHAINED, LOOPBACK = "main", "ipam", "chained", "loopback"
ROLES = frozenset({MAIN, IPAM, CHAINED, LOOPBACK})
"""What a plugin is in its network: it makes an interface, gives addresses, changes what others
have made, or sets `lo` up.
"""


@dataclass(frozen=True)
class Subject:
    """`plugin` is the last of its network; `before` are the configurations that stand before it.

    `needs` are features of the kernel, `links` the interfaces that its host must have.
    """

    plugin: str
    role: str
    config: Config
    before: tuple[Config, ...] = ()
    needs: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    network: str = "conformance"

    @property
    def interface(self) -> str:
        """CNI_IFNAME of its attachments."""
        return "lo" if self.role == LOOPBACK else "eth0"

    @property
    def types(self) -> tuple[str, ...]:
        """All executables that its network needs."""
        listed = (*self.before, self.config)
        delegated = (each.get("ipam") or {} for each in listed)
        named = (*(each["type"] for each in listed), *(each.get("type") for each in delegated))
        return tuple(dict.fromkeys(name for name in named if name))


def subjects_of(network: NetworkList, plugins: Sequence[str] = ()) -> list[Subject]:
    """Each plugin of a network that somebody else has written, or those named, behind the others.

    What links such a network needs is not known: its interfaces are made where it names a `master`.
    """
    found = []
    for place, config in enumerate(network.plugins):
        if plugins and config["type"] not in plugins:
            continue
        before = network.plugins[:place]
        role = _role(config, bool(before))
        links = tuple(each["master"] for each in (*before, config) if each.get("master"))
        found.append(
            Subject(
                config["type"], role, _plain(config), tuple(map(_plain, before)),
                links=links, network=network.name,
            )
        )  # fmt: skip
    return found


def _role(config: Config, chained: bool) -> str:
    if chained:
        return CHAINED
    if config["type"] == "loopback":
        return LOOPBACK
    return IPAM if (config.get("ipam") or {}).get("type") == config["type"] else MAIN


def _plain(config: Config) -> Config:
    return {key: value for key, value in config.items() if key != "capabilities"}


def find(name: str, folders: Sequence[Path]) -> Path | None:
    """The first executable of that name, as CNI_PATH is searched; None where there is none."""
    return next((folder / name for folder in folders if (folder / name).is_file()), None)


# --- the same network, changed as a check needs it ---------------------------------------------


def for_another(config: Config) -> dict[str, Any]:
    """For a second container at the same time: with other ports of the host, other addresses."""
    changed = dict(config)
    given = dict(config.get("runtimeConfig") or {})
    if mappings := given.get("portMappings"):
        moved = [{**each, "hostPort": each["hostPort"] + 1000} for each in mappings]
        changed["runtimeConfig"] = {**given, "portMappings": moved}
    ipam = config.get("ipam") or {}
    if ipam.get("type") == "static":
        addresses = [
            {**each, "address": _moved(each["address"])} for each in ipam.get("addresses", [])
        ]
        changed["ipam"] = {**ipam, "addresses": addresses}
    if "vlanId" in config:
        changed["vlanId"] = config["vlanId"] + 1
    if "device" in config:
        changed["device"] = f"{config['device']}b"
    return changed


def _moved(address: str) -> str:
    text, _, prefix = address.partition("/")
    head, separator, last = text.rpartition("." if "." in text else ":")
    return f"{head}{separator}{int(last) + 10 if separator == '.' else last + '0'}/{prefix}"


def elsewhere(config: Config, network: str) -> dict[str, Any]:
    """For another network at the same time: with that name, another bridge, another subnet."""
    changed = {**config, "name": network}
    if "bridge" in config:
        changed["bridge"] = "cni-test1"
    ipam = config.get("ipam") or {}
    if ipam.get("type") == "host-local":
        changed["ipam"] = {"type": "host-local", "ranges": [[{"subnet": "10.87.0.0/24"}]]}
    return changed


def tight(config: Config, prefix: int) -> dict[str, Any] | None:
    """With a range of a subnet this small; None where its addresses are not of host-local."""
    ipam = config.get("ipam") or {}
    if ipam.get("type") != "host-local":
        return None
    kept = {key: value for key, value in ipam.items() if key in ("type", "dataDir")}
    return {**config, "ipam": {**kept, "ranges": [[{"subnet": f"10.99.0.0/{prefix}"}]]}}
