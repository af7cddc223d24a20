"""One attachment as `inspect` knows it: a value, filled from its records."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

from ...cni.keys import Keys
from ...engine.judging import Condition, Judgement
from ...engine.request_record import Call
from ...model.plan import Drift
from ...model.published import PublishedPort, dead_end
from ...model.resources import (
    AddressLease,
    BridgePort,
    ContainerLink,
    GatewayAddress,
    HostLeg,
    LinkPair,
)
from ...store.records import Record, State, Step
from ..findings.words import Finding, about
from ..output import timestamp
from .leased import Leased, leased
from .published import Unpublished

_PUBLISHER = "portmap"
_KEYS = Keys("runtimeConfig", "portMappings", "hostIP", "hostPort", "containerPort", "protocol")


@dataclass
class Attached:
    """`records` are one a plugin, in the order they were made.

    `host_interface` is the host's end of the pair, `parent` what the container's interface stands
    on where it is none of a pair, `leg` the host's own interface beside it there, with
    `leg_addresses`, `created` in seconds since 1970.
    `judgement` is how it is; whoever shows one has asked for it.
    """

    records: list[Record]
    mac: str = ""
    mtu: int = 0
    host_interface: str = ""
    host_mac: str = ""
    bridge: str = ""
    parent: str = ""
    leg: str = ""
    leg_addresses: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    gateways: tuple[str, ...] = ()
    ports: list[PublishedPort] = field(default_factory=list)
    unpublished: list[Unpublished] = field(default_factory=list)
    leases: list[Leased] = field(default_factory=list)
    judgement: Judgement = field(default_factory=lambda: Judgement(Condition.READY))

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
        """0 where the store was lost since: then the record tells when it was made up."""
        first = self.records[0]
        return 0.0 if first.is_made_up else first.created

    @property
    def condition(self) -> Condition:
        return self.judgement.condition

    @property
    def drift(self) -> list[Drift]:
        return [fault.drift for fault in self.judgement.faults]

    @property
    def findings(self) -> list[Finding]:
        return about(self.records, self.judgement)

    @property
    def is_fine(self) -> bool:
        return self.judgement.is_fine

    def to_json(self) -> dict[str, Any]:
        """As it stands in schema pynet.inspect/2; null is what is not known."""
        return {
            "network": self.network,
            "container": self.container,
            "interface": self.interface,
            "condition": str(self.condition),
            "netns": self.netns or None,
            "created": timestamp(self.created),
            "addresses": list(self.addresses),
            "gateways": list(self.gateways),
            "ports": [
                {
                    "protocol": port.protocol,
                    "host_address": port.host_address,
                    "host_port": port.host_port,
                    "address": port.address,
                    "port": port.port,
                }
                for port in self.ports
            ],
            "unpublished": [each._asdict() for each in self.unpublished],
            "leases": [each.to_json() for each in self.leases],
            "mac": self.mac or None,
            "mtu": self.mtu or None,
            "host_interface": self.host_interface or None,
            "bridge": self.bridge or None,
            "parent": self.parent or None,
            "leg": self.leg or None,
            "leg_addresses": list(self.leg_addresses),
            "plugins": [
                {"name": record.plugin, "state": str(record.state)} for record in self.records
            ],
            "looked_inside": self.judgement.entered,
            "drift": [drift.to_json() for drift in self.drift],
            "mend": list(dict.fromkeys(each.mend for each in self.findings if each.mend)),
        }


def described(records: list[Record], steps: Iterable[Step]) -> Attached:
    """The attachment of these records, and of all their steps."""
    attached = Attached(records)
    for step in steps:
        _take_from_step(attached, step)
    for record in records:
        if record.result:
            _take_from_result(attached, json.loads(record.result))
        if record.plugin == _PUBLISHER and record.state is State.READY:
            attached.unpublished += _left_out(record, {port.family for port in attached.ports})
    return attached


def _left_out(record: Record, families: Collection[int]) -> Iterator[Unpublished]:
    """Of the record's own request: the plugin has published what could be."""
    asked = _KEYS.fold(_KEYS.fold(Call.load(record.request).config).get("runtimeConfig", {}))
    for mapping in map(_KEYS.fold, asked.get("portMappings", ())):
        if not mapping.get("hostIP"):
            continue
        address: Any = ip_address(mapping["hostIP"])
        address = getattr(address, "ipv4_mapped", None) or address
        if address.version not in families or dead_end(str(address)):
            protocol = mapping.get("protocol", "").lower() or "tcp"
            yield Unpublished(protocol, str(address), mapping["hostPort"], mapping["containerPort"])


def _take_from_step(attached: Attached, step: Step) -> None:
    resource = step.resource
    if isinstance(resource, LinkPair):
        attached.host_interface, attached.host_mac = resource.name, resource.mac
        attached.mac, attached.mtu = resource.peer_mac, resource.mtu
    elif isinstance(resource, ContainerLink):
        attached.parent = resource.parent
        attached.mac, attached.mtu = resource.mac, resource.mtu
    elif isinstance(resource, HostLeg):
        attached.leg = resource.name
    elif isinstance(resource, GatewayAddress) and resource.name == attached.leg:
        attached.leg_addresses += (resource.address,)
    elif isinstance(resource, BridgePort):
        attached.bridge = resource.bridge
    elif isinstance(resource, PublishedPort):
        attached.ports.append(resource)
    elif lease := leased(step):
        attached.leases.append(lease)
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
