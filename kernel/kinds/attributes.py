"""Kinds that set one attribute of a link that is there, and give back what it was."""

from __future__ import annotations

from collections.abc import Callable

from ...model.link_attributes import (
    AllMulticast,
    LinkAddress,
    LinkAttribute,
    LinkMtu,
    PortIsolation,
    Promiscuous,
    TransmitQueue,
)
from ...model.plan import Drift
from ...model.query import Link
from ..netlink import links, ports
from ..netlink.refusals import GONE, tolerating
from ..netlink.rtnl import Operation
from ..netlink.rtnl_socket import Socket
from ..places import Places
from .handler import Handler, compare, missing


class AttributeHandler(Handler[LinkAttribute]):
    """`look` answers the value of the link of that name as text, None where there is none.

    `setting` answers the operation that gives it another; `unborn` is what a new link has.
    """

    def __init__(
        self,
        look: Callable[[Socket, str], str | None],
        setting: Callable[[str, str], Operation],
        unborn: str | None = None,
    ) -> None:
        self._look = look
        self._setting = setting
        self._unborn = unborn

    def exists(self, at: Places, resource: LinkAttribute) -> bool:
        """Whether it has the value already."""
        return self._look(at.socket(resource.place), resource.name) == resource.value

    def previous(self, at: Places, resource: LinkAttribute) -> str | None:
        """Of a link that the same plan makes, what the kernel will make it with."""
        found = self._look(at.socket(resource.place), resource.name)
        return self._unborn if found is None else found

    def create(self, at: Places, resource: LinkAttribute) -> None:
        at.socket(resource.place).transact(self._setting(resource.name, resource.value))

    def verify(self, at: Places, resource: LinkAttribute) -> list[Drift]:
        found = self._look(at.socket(resource.place), resource.name)
        if found is None:
            return [missing(resource.name)]
        return compare(resource.name, **{resource.attribute: (resource.value, found)})

    def delete(self, at: Places, resource: LinkAttribute, previous: str | None) -> None:
        if previous is not None:
            with tolerating(GONE):
                at.socket(resource.place).transact(self._setting(resource.name, previous))


def _of_link(value: Callable[[Link], str]) -> Callable[[Socket, str], str | None]:
    def look(sock: Socket, name: str) -> str | None:
        found = links.by_name(sock, name)
        return None if found is None else value(found)

    return look


def _isolation(sock: Socket, name: str) -> str | None:
    port = ports.by_name(sock, name)
    return None if port is None or not port.bridge else _switch(port.isolated)


def _switch(on: bool) -> str:
    return "on" if on else "off"


HANDLERS = {
    Promiscuous.kind: AttributeHandler(
        _of_link(lambda link: _switch(link.promisc)),
        lambda name, text: links.promisc(name, text == "on"),
        unborn="off",
    ),
    AllMulticast.kind: AttributeHandler(
        _of_link(lambda link: _switch(link.allmulti)),
        lambda name, text: links.allmulti(name, text == "on"),
    ),
    LinkAddress.kind: AttributeHandler(_of_link(lambda link: link.mac), links.address),
    LinkMtu.kind: AttributeHandler(
        _of_link(lambda link: str(link.mtu)), lambda name, text: links.mtu(name, int(text))
    ),
    TransmitQueue.kind: AttributeHandler(
        _of_link(lambda link: str(link.queue)), lambda name, text: links.queue(name, int(text))
    ),
    PortIsolation.kind: AttributeHandler(
        _isolation, lambda name, text: ports.isolation(name, text == "on")
    ),
}
