"""Links that are made for a container, inside it: on a link that is there already, or on none."""

from __future__ import annotations

from .place import Place
from .resource import Resource


class ContainerLink(Resource, kw_only=True):
    """`ip link add link PARENT name NAME netns SANDBOX address MAC mtu MTU type KIND ...`

    It comes into being in the container, and goes with it. `parent` is "" where it stands on
    nothing. `mac` "" and `mtu` 0 are the kernel's choice. It is not set up. What is made in the
    container on it is inside it.
    """

    identity = ("name",)
    place: Place = "sandbox"
    name: str
    mac: str = ""
    mtu: int = 0
    parent: str = ""
    parent_place: Place = "host"

    @property
    def container_end(self) -> tuple[str, str]:
        return self.name, self.mac

    def describe(self) -> str:
        where = " in the container" if self.parent_place == "sandbox" else ""
        on = f" on {self.parent}{where}" if self.parent else ""
        mac = f" ({self.mac})" if self.mac else ""
        return f"{self.kind} {self.name}{mac} in the container{on}"


class Macvlan(ContainerLink, kw_only=True):
    """`ip link add link PARENT ... type macvlan mode MODE [bcqueuelen LENGTH]`

    Its parent sends what comes for `mac` to it. `broadcast_queue` is in packets; 0 is the kernel's.
    """

    kind = "macvlan"
    mode: str = "bridge"
    broadcast_queue: int = 0


class Ipvlan(ContainerLink, kw_only=True):
    """`ip link add link PARENT ... type ipvlan mode MODE`

    Its parent sends what comes for its addresses to it; it has the parent's MAC.
    """

    kind = "ipvlan"
    mode: str = "l2"


class Vlan(ContainerLink, kw_only=True):
    """`ip link add link PARENT ... type vlan id ID`

    What it sends leaves the parent with the tag `id`, and what comes with that is its own.
    """

    kind = "vlan"
    id: int


class Dummy(ContainerLink, kw_only=True):
    """`ip link add NAME ... type dummy`

    It stands on nothing, and what is sent by it goes nowhere.
    """

    kind = "dummy"


class Tap(ContainerLink, kw_only=True):
    """`ip tuntap add NAME mode tap [user OWNER] [group GROUP] [multi_queue]`

    Its other end is a program, that of `owner` or `group` where they are given. `bridge` is one of
    the container's that it becomes a port of, "" for none. `selinux` is the security context that
    it is made in.
    """

    kind = "tun"
    owner: int | None = None
    group: int | None = None
    multi_queue: bool = False
    bridge: str = ""
    selinux: str = ""

    def describe(self) -> str:
        port = f", port of {self.bridge}" if self.bridge else ""
        return f"tap {self.name} ({self.mac}) in the container{port}"
