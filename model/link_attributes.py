"""The kinds of resource that set one attribute of a link that is there.

All but `LinkUp` and `ArpNotify` give back what was there before. What one of them sets, CHECK
judges by the last record of the attachment that sets it.
"""

from __future__ import annotations

from typing import ClassVar

from .resource import Resource, Undo

LINK = "link"
"""The batch of what is made by messages to rtnetlink alone."""

DEFAULT_MTU = 1500
"""What the kernel gives a link that asks for no other."""


class LinkAttribute(Resource, kw_only=True):
    """`attribute` is what it is called in a drift."""

    attribute: ClassVar[str]
    undo = Undo.RESTORE
    identity = ("place", "name")
    name: str

    def properties(self) -> frozenset[tuple[str, str]]:
        return frozenset({(self.name, self.attribute)})

    @property
    def value(self) -> str:
        """What it is set to, in the words of `ip`."""
        raise NotImplementedError

    def describe(self) -> str:
        return f"{self.name} {self.attribute} {self.value}" + self.whereabouts


class LinkUp(LinkAttribute, kw_only=True):
    """`ip link set NAME up`; undone by `down`."""

    kind = "link-up"
    batch = LINK
    attribute = "state"
    undo = Undo.DELETE

    @property
    def value(self) -> str:
        return "up"

    def describe(self) -> str:
        return f"{self.name} up" + self.whereabouts


class ArpNotify(LinkAttribute, kw_only=True):
    """`sysctl -w net.ipv4.conf.NAME.arp_notify=1`, but by rtnetlink: one of few that it can set."""

    kind = "arp-notify"
    batch = LINK
    attribute = "arp_notify"
    undo = Undo.DELETE

    @property
    def setting(self) -> str:
        """As `Sysctl` has it."""
        return f"ipv4/conf/{self.name}/arp_notify"

    def properties(self) -> frozenset[tuple[str, str]]:
        return frozenset({(f"sysctl net/{self.setting}", "value")})

    @property
    def value(self) -> str:
        return "1"


class Promiscuous(LinkAttribute, kw_only=True):
    """`ip link set NAME promisc on|off`"""

    kind = "promiscuous"
    attribute = "promisc"
    on: bool = True

    @property
    def value(self) -> str:
        return _switch(self.on)


class AllMulticast(LinkAttribute, kw_only=True):
    """`ip link set NAME allmulticast on|off`"""

    kind = "all-multicast"
    attribute = "allmulti"
    on: bool = True

    @property
    def value(self) -> str:
        return _switch(self.on)


class LinkAddress(LinkAttribute, kw_only=True):
    """`ip link set NAME address MAC`"""

    kind = "link-address"
    attribute = "MAC"
    mac: str

    @property
    def value(self) -> str:
        return self.mac


class LinkMtu(LinkAttribute, kw_only=True):
    """`ip link set NAME mtu MTU`"""

    kind = "link-mtu"
    attribute = "MTU"
    mtu: int

    @property
    def value(self) -> str:
        return str(self.mtu)


class TransmitQueue(LinkAttribute, kw_only=True):
    """`ip link set NAME txqueuelen LENGTH`, in packets."""

    kind = "transmit-queue"
    attribute = "txqueuelen"
    length: int

    @property
    def value(self) -> str:
        return str(self.length)


class PortIsolation(LinkAttribute, kw_only=True):
    """`bridge link set dev NAME isolated on`: no frame from it reaches another such port."""

    kind = "port-isolation"
    attribute = "isolated"

    @property
    def value(self) -> str:
        return "on"


def _switch(on: bool) -> str:
    return "on" if on else "off"
