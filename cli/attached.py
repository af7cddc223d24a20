"""One attachment as `inspect` knows it: a value, filled from its records."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from ..model.plan import Drift
from ..model.resources import AddressLease, BridgePort, Veth
from ..store.records import Record, Step


class Condition(StrEnum):
    """How an attachment is: the worst that is to be said of it."""

    READY = "ready"
    IN_PROGRESS = "in progress"
    """An ADD or DEL is at work on it."""
    DRIFTED = "drifted"
    """Something is not as it was made."""
    HALF_DONE = "half done"
    """An ADD or DEL ended in its middle; the next one, or GC, takes it from there."""
    GONE = "namespace gone"
    UNREACHABLE = "namespace out of reach"
    """It may live, but its path leads elsewhere or nowhere, seen from here."""


@dataclass
class Attached:
    """`records` are one a plugin, in the order they were made.

    `host_interface` is the host's end of the pair, `created` in seconds since 1970.
    `entered` says whether its namespace was looked into.
    """

    records: list[Record]
    mac: str = ""
    mtu: int = 0
    host_interface: str = ""
    host_mac: str = ""
    bridge: str = ""
    addresses: tuple[str, ...] = ()
    gateways: tuple[str, ...] = ()
    condition: Condition = Condition.READY
    entered: bool = False
    drift: list[Drift] = field(default_factory=list)

    @property
    def network(self) -> str:
        return self.records[0].network

    @property
    def container(self) -> str:
        return self.records[0].container

    @property
    def interface(self) -> str:
        return self.records[0].interface

    @property
    def netns(self) -> str:
        return self.records[0].netns

    @property
    def sandbox(self) -> str:
        return self.records[0].sandbox

    @property
    def created(self) -> float:
        return self.records[0].created

    @property
    def is_fine(self) -> bool:
        return self.condition in (Condition.READY, Condition.IN_PROGRESS)

    def to_json(self) -> dict[str, Any]:
        """As it stands in schema pynet.inspect/1."""
        return {
            "network": self.network,
            "container": self.container,
            "interface": self.interface,
            "condition": str(self.condition),
            "netns": self.netns,
            "created": self.created,
            "addresses": list(self.addresses),
            "gateways": list(self.gateways),
            "mac": self.mac,
            "mtu": self.mtu,
            "host_interface": self.host_interface,
            "bridge": self.bridge,
            "plugins": [
                {"name": record.plugin, "state": str(record.state)} for record in self.records
            ],
            "looked_inside": self.entered,
            "drift": [vars(drift) for drift in self.drift],
        }


def described(records: list[Record], steps: Iterable[Step]) -> Attached:
    """The attachment of these records, and of all their steps."""
    attached = Attached(records)
    for step in steps:
        _take_from_step(attached, step)
    for record in records:
        if record.result:
            _take_from_result(attached, json.loads(record.result))
    return attached


def _take_from_step(attached: Attached, step: Step) -> None:
    resource = step.resource
    if isinstance(resource, Veth):
        attached.host_interface, attached.host_mac = resource.name, resource.mac
        attached.mac, attached.mtu = resource.peer_mac, resource.mtu
    elif isinstance(resource, BridgePort):
        attached.bridge = resource.bridge
    elif isinstance(resource, AddressLease) and step.answer:
        attached.addresses += (json.loads(step.answer)["address"],)


def _take_from_result(attached: Attached, result: dict[str, Any]) -> None:
    """A later plugin's result overrules an earlier one's."""
    for interface in result.get("interfaces", ()):
        if interface["sandbox"] and interface["name"] == attached.interface:
            attached.mac = interface["mac"] or attached.mac
            attached.mtu = interface["mtu"] or attached.mtu
    if ips := result.get("ips"):
        attached.addresses = tuple(ip["address"] for ip in ips)
        attached.gateways = tuple(ip["gateway"] for ip in ips if ip["gateway"])
