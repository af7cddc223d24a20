"""Links that are made in the container: made, compared, found again and removed, for every kind."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

from ...model.container_link import ContainerLink, Dummy, Ipvlan, Macvlan, Vlan
from ...model.errors import AlreadyAttached, KernelError
from ...model.kernel_kinds import KernelMakes, lacking
from ...model.plan import Drift
from ...model.query import Link
from ...model.shown import set_up
from ..netlink import links, moving
from ..netlink.rtnl import number, u16, u32
from ..netlink.stacked import data_of, mode_data, mode_of, stacked
from ..places import Places
from ..witness import delete_inside, links_inside
from .handler import Handler, compare, missing
from .links import set_attributes

Kind = TypeVar("Kind", bound=ContainerLink)


def in_the_way(at: Places, name: str) -> AlreadyAttached:
    """The container has an interface of that name already."""
    return AlreadyAttached(
        f"container interface {name} already exists in {at.name('sandbox')}; "
        "DEL it first, or choose another CNI_IFNAME"
    )


@contextmanager
def kind_required(kind: str) -> Iterator[None]:
    """Raises `KernelError` that says so where the kernel knows no such links."""
    try:
        yield
    except KernelError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise
        raise KernelError(lacking(KernelMakes("link", kind)), errno=errno.EOPNOTSUPP) from error


def _down(at: Places, resource: ContainerLink) -> Drift:
    """Its parent is down, which is somebody else's to set up."""
    netns = "" if resource.parent_place == "host" else at.name("sandbox")
    return Drift(resource.parent, "state", "up", "down", set_up(resource.parent, netns))


def mark(at: Places, resource: ContainerLink) -> None:
    """`ip link set NAME alias "pynet NAME MAC"` in the container. Raises `KernelError`."""
    sock = at.socket("sandbox")
    index = links.required_index(sock, resource.name)
    sock.transact(moving.aliased(index, resource.name, _mark(resource)))


def _mark(resource: ContainerLink) -> str:
    """No interface can be called so: that would be the alias of one that was lent."""
    return " ".join(filter(None, ("pynet", resource.name, resource.mac)))


class ContainerLinkHandler(Handler[Kind], Generic[Kind]):
    """Of its kind, ours is known by two of these: its name, its mark, its MAC, what it stands on.

    One alone is not enough: an attachment to another network may have the same MAC. Where the link
    has no MAC of its own, its name has to do. The mark is an alias with the name and the MAC that
    it was made with: with both it will do alone, when it has neither by now. It is set last, and
    earlier versions set none.
    """

    deletes_by_number = True

    def data(self, resource: Kind) -> bytes:
        """The attributes of its kind that it is made with."""
        return b""

    def options(self, resource: Kind, data: dict[int, bytes]) -> dict[str, tuple[Any, Any]]:
        """Each property of its kind, as it should be and as it is: `compare`'s."""
        return {}

    def exists(self, at: Places, resource: Kind) -> bool:
        return bool(links.index(at.socket("sandbox"), resource.name))

    def create(self, at: Places, resource: Kind) -> None:
        beside = resource.parent and resource.parent_place == "host"
        sock = at.socket(resource.parent_place if resource.parent else "sandbox")
        operation = stacked(
            resource.kind,
            resource.name,
            parent=links.required_index(sock, resource.parent) if resource.parent else 0,
            mac=resource.mac,
            mtu=resource.mtu,
            data=self.data(resource),
            namespace=at.namespace("sandbox") if beside else None,
        )
        try:
            with kind_required(resource.kind):
                sock.transact(operation)
        except KernelError as error:
            if error.errno != errno.EEXIST or not self.exists(at, resource):
                raise
            raise in_the_way(at, resource.name) from error
        mark(at, resource)

    def verify(self, at: Places, resource: Kind) -> list[Drift]:
        sock = at.socket("sandbox")
        found = links.by_name(sock, resource.name)
        if found is None:
            return [missing(resource.name)]
        if found.kind != resource.kind:  # somebody else's, whose MAC is not for us to set
            return compare(resource.name, kind=(resource.kind, found.kind))
        drifts = compare(
            resource.name,
            MAC=(resource.mac or found.mac, found.mac),
            MTU=(resource.mtu or found.mtu, found.mtu),
        )
        drifts += compare(resource.name, **self.options(resource, data_of(sock, resource.name)))
        return drifts + (self._parent(at, resource, found) if resource.parent else [])

    def _parent(self, at: Places, resource: Kind, found: Link) -> list[Drift]:
        """What it stands on: when that goes down or away, nothing is sent any more."""
        parent = links.by_name(at.socket(resource.parent_place), resource.parent)
        if parent is None:
            return [missing(resource.parent)]
        drifts = [] if parent.up else [_down(at, resource)]
        if found.parent != parent.index:
            drifts += compare(resource.name, parent=(resource.parent, f"index {found.parent}"))
        return drifts

    def mend(self, at: Places, resources: Sequence[Kind], drifts: Sequence[Drift]) -> None:
        for resource in resources:
            if not self.exists(at, resource) and not self._renamed_back(at, resource):
                self.create(at, resource)
            set_attributes(at.socket("sandbox"), resource.name, drifts)

    def _renamed_back(self, at: Places, resource: Kind) -> bool:
        """`ip link set OLD name NAME`; False where it stands under no other name."""
        sock = at.socket("sandbox")
        for link in self._ours(at, resource):
            # In kernels before 6.2 one that is up keeps its name.
            renamed = moving.renamed(link.index, link.name, resource.name)
            up = [links.up(resource.name)] if link.up else []
            sock.transact(links.down(link.name), renamed, *up)
            return True
        return False

    def delete(self, at: Places, resource: Kind, previous: str | None) -> None:
        for link in self._ours(at, resource):
            delete_inside(at, link)

    def _ours(self, at: Places, resource: Kind) -> list[Link]:
        parent = self._parent_index(at, resource)
        found = [link for link in links_inside(at) if link.kind == resource.kind]
        return [link for link in found if self._is_ours(link, resource, parent)]

    @staticmethod
    def _parent_index(at: Places, resource: Kind) -> int:
        if not resource.parent or not at.has(resource.parent_place):
            return 0
        return links.index(at.socket(resource.parent_place), resource.parent) or 0

    @staticmethod
    def _is_ours(found: Link, resource: Kind, parent: int) -> bool:
        named, marked = found.name == resource.name, found.alias == _mark(resource)
        signs = (
            named,
            marked,
            resource.mac and found.mac == resource.mac,
            0 < parent == found.parent,
        )
        enough = marked if resource.mac else named
        return sum(map(bool, signs)) >= 2 or enough


_MACVLAN_QUEUE = 7  # linux/if_link.h, IFLA_MACVLAN_BC_QUEUE_LEN
_VLAN_ID = 1  # linux/if_link.h, IFLA_VLAN_ID


class MacvlanHandler(ContainerLinkHandler[Macvlan]):
    def data(self, resource: Macvlan) -> bytes:
        queue = u32(_MACVLAN_QUEUE, resource.broadcast_queue) if resource.broadcast_queue else b""
        return mode_data(resource.kind, resource.mode) + queue

    def options(self, resource: Macvlan, data: dict[int, bytes]) -> dict[str, tuple[Any, Any]]:
        found = {"mode": (resource.mode, mode_of(resource.kind, data))}
        if resource.broadcast_queue:
            queue = number(data.get(_MACVLAN_QUEUE, b""))
            found["bcqueuelen"] = (str(resource.broadcast_queue), str(queue))
        return found


class IpvlanHandler(ContainerLinkHandler[Ipvlan]):
    def data(self, resource: Ipvlan) -> bytes:
        return mode_data(resource.kind, resource.mode)

    def options(self, resource: Ipvlan, data: dict[int, bytes]) -> dict[str, tuple[Any, Any]]:
        return {"mode": (resource.mode, mode_of(resource.kind, data))}


class VlanHandler(ContainerLinkHandler[Vlan]):
    def data(self, resource: Vlan) -> bytes:
        return u16(_VLAN_ID, resource.id)

    def options(self, resource: Vlan, data: dict[int, bytes]) -> dict[str, tuple[Any, Any]]:
        return {"id": (str(resource.id), str(number(data.get(_VLAN_ID, b""))))}


class DummyHandler(ContainerLinkHandler[Dummy]):
    """Its kind has no attributes."""


HANDLERS: dict[str, Handler[Any]] = {
    Dummy.kind: DummyHandler(),
    Ipvlan.kind: IpvlanHandler(),
    Macvlan.kind: MacvlanHandler(),
    Vlan.kind: VlanHandler(),
}
