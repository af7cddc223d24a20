"""What the final result of a chain says, against what the records of our plugins do.

CNI spec 1.1.0, "CHECK": prevResult is what the last plugin of the chain answered at ADD, and that
may be somebody else's. So it has the last word on what an interface has; what the kernel has by
neither's word is a drift.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from msgspec import convert
from msgspec.structs import replace

from ..model.container_link import ContainerLink
from ..model.link_attributes import DEFAULT_MTU, LinkAddress
from ..model.plan import Drift
from ..model.request import Attachment
from ..model.resource import Resource
from ..model.resources import InterfaceAddress, InterfaceRoute, LinkPair
from ..model.result import Interface, Result
from ..model.value import Value
from ..store.records import Record, State
from ..store.store import Reader, Store
from .request_record import Call


class Dropped(Value):
    """Addresses and routes of the container's `interface`."""

    interface: str
    addresses: frozenset[str] = frozenset()
    routes: frozenset[str] = frozenset()

    def __contains__(self, resource: Resource) -> bool:
        if isinstance(resource, InterfaceAddress):
            return self._is_mine(resource) and resource.address in self.addresses
        if isinstance(resource, InterfaceRoute):
            return self._is_mine(resource) and resource.dst in self.routes
        return False

    def _is_mine(self, resource: InterfaceAddress | InterfaceRoute) -> bool:
        return resource.place == "sandbox" and resource.name == self.interface


class LastWord(Value):
    """`result` is None where nobody told one: then the records have it.

    `mtu` is what a later plugin was told to set, 0 for none: the reference's tuning does not say so
    in its result. With `may_be_tuned` nobody knows whether there is such a plugin, and what has the
    usual MTU may have been given another.
    """

    interface: str
    result: Result | None
    mtu: int = 0
    may_be_tuned: bool = False

    def dropped(self, record: Record) -> Dropped:
        """What the record's plugin answered and is no longer in the final result.

        Then a later plugin has taken it away, or moved it: a route to another table, say.
        """
        if self.result is None or not self.result.ips or not record.result:
            return Dropped(self.interface)
        document = json.loads(record.result)
        addresses = {ip["address"] for ip in document["ips"]}
        routes = {route["dst"] for route in document["routes"]}
        return Dropped(
            self.interface,
            frozenset(addresses - {ip.address for ip in self.result.ips}),
            frozenset(routes - {route.dst for route in self.result.routes}),
        )

    def corrected(self, drift: Drift) -> Drift:
        """With the MTU that a later plugin was told, in place of the one on record."""
        if self.mtu and (drift.subject, drift.property) == (self.interface, "MTU"):
            return replace(drift, expected=str(self.mtu))
        return drift

    def allows(self, drift: Drift, made: Iterable[Resource] = (), request: str = "") -> bool:
        """Whether what was found instead is what the final result says.

        Or may be a later plugin's: the MTU of a link among those `made` for `request`, as a record
        has it, that asks for none. It is the usual one, which nobody decided; on a parent, it is
        the parent's.
        """
        if drift.property == "MTU":
            if self.may_be_tuned and drift.subject in _usual(made) and not _asks_for_mtu(request):
                return True
            if self.mtu and drift.subject == self.interface:
                return drift.found == str(self.mtu)
        interfaces = self.result.interfaces if self.result else ()
        return any(
            drift.found == _value(interface, drift.property)
            for interface in interfaces
            if interface.name == drift.subject
        )


def _usual(made: Iterable[Resource]) -> Iterator[str]:
    """The names of links that stand on nothing and have the usual MTU."""
    for one in made:
        if isinstance(one, LinkPair) and one.mtu == DEFAULT_MTU:
            yield from (one.name, one.peer)
        elif isinstance(one, ContainerLink) and not one.parent and one.mtu == DEFAULT_MTU:
            yield one.name


def _asks_for_mtu(request: str) -> bool:
    config = Call.load(request).config if request else {}
    return any(key.lower() == "mtu" and value for key, value in config.items())


def _value(interface: Interface, name: str) -> str:
    if name == "MAC":
        return interface.mac.lower()
    # The reference's tuning sets an MTU and does not say so in its result: it may be an old one.
    return str(interface.mtu) if name == "MTU" and interface.mtu else ""


def heard(store: Store, record: Record, told: LastWord) -> LastWord:
    """What was `told`; where nobody has kept a result, what our own records know of it.

    That is what the last of ours that came after `record` answered: it has passed on what others
    between had said. An MTU they may not have said, so one that nobody asked for is not judged.
    """
    if told.result is not None:
        return told
    with store.read() as tx:
        results = [
            json.loads(other.result)
            for other in later_records(tx, record)
            if other.attachment == record.attachment
        ]
    chained = [found for found in results if found.get("interfaces")]
    last = convert(chained[-1], Result) if chained else None
    return LastWord(record.interface, last, may_be_tuned=True)


def later_records(tx: Reader, record: Record) -> list[Record]:
    """Those made after `record` for the same container, oldest first.

    Of other networks, too: what they set in it, an earlier one has no say in any more.
    """
    return [
        other
        for other in tx.records(host=record.host, container=record.container)
        if other.id > record.id and other.state is State.READY and other.sandbox == record.sandbox
    ]


def recorded_macs(tx: Reader, host: str, attachment: Attachment) -> set[str]:
    """The MACs that plugins of ours have given the container's interface.

    Whether it still has the last of them is for the record of that plugin to say, whatever
    place in the chain a result is from.
    """
    resources = [
        step.resource
        for record in tx.records_of(host, attachment)
        if record.state is State.READY
        for step in tx.steps(record)
    ]
    found: set[str] = set()
    for resource in resources:
        if (end := resource.container_end) and end[0] == attachment.interface:
            found.add(end[1])
        elif isinstance(resource, LinkAddress) and resource.name == attachment.interface:
            found.add(resource.mac)
    return found - {""}
