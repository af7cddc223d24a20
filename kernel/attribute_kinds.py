"""Kinds that set one attribute of a link that is there, and give back what it was."""

from __future__ import annotations

from collections.abc import Callable

from ..model.link_attributes import (
    AllMulticast,
    LinkAddress,
    LinkAttribute,
    LinkMtu,
    Promiscuous,
    TransmitQueue,
)
from ..model.plan import Drift
from ..model.query import Link
from . import links
from .handler import Handler, compare, missing
from .places import Places
from .refusals import GONE, tolerating
from .rtnl import Operation


class AttributeHandler(Handler[LinkAttribute]):
    """`found` is a link's value as text; `setting` the operation that gives a name's link one."""

    def __init__(
        self, found: Callable[[Link], str], setting: Callable[[str, str], Operation]
    ) -> None:
        self._found = found
        self._setting = setting

    def exists(self, at: Places, resource: LinkAttribute) -> bool:
        """Whether it has the value already."""
        return self.previous(at, resource) == resource.value

    def previous(self, at: Places, resource: LinkAttribute) -> str | None:
        found = links.by_name(at.socket(resource.place), resource.name)
        return None if found is None else self._found(found)

    def create(self, at: Places, resource: LinkAttribute) -> None:
        at.socket(resource.place).transact(self._setting(resource.name, resource.value))

    def verify(self, at: Places, resource: LinkAttribute) -> list[Drift]:
        found = self.previous(at, resource)
        if found is None:
            return [missing(resource.name)]
        return compare(resource.name, **{resource.attribute: (resource.value, found)})

    def delete(self, at: Places, resource: LinkAttribute, previous: str | None) -> None:
        if previous is not None:
            with tolerating(GONE):
                at.socket(resource.place).transact(self._setting(resource.name, previous))


def _switch(on: bool) -> str:
    return "on" if on else "off"


HANDLERS = {
    Promiscuous.kind: AttributeHandler(
        lambda link: _switch(link.promisc),
        lambda name, text: links.promisc(name, text == "on"),
    ),
    AllMulticast.kind: AttributeHandler(
        lambda link: _switch(link.allmulti),
        lambda name, text: links.allmulti(name, text == "on"),
    ),
    LinkAddress.kind: AttributeHandler(lambda link: link.mac, links.address),
    LinkMtu.kind: AttributeHandler(
        lambda link: str(link.mtu), lambda name, text: links.mtu(name, int(text))
    ),
    TransmitQueue.kind: AttributeHandler(
        lambda link: str(link.queue), lambda name, text: links.queue(name, int(text))
    ),
}
