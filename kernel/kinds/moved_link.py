"""Links of the host's that are lent to a container, and given back wherever they are found."""

from __future__ import annotations

import errno
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from time import monotonic, sleep

from msgspec.structs import asdict

from ...model.errors import KernelError
from ...model.moved_link import MovedLink
from ...model.plan import Drift
from ...model.query import Link
from ...model.value import Value
from ..netlink import addresses, links, moving
from ..netlink.numbers import links_in
from ..netlink.refusals import GONE, THERE, tolerating
from ..netlink.rtnl import Operation
from ..netlink.rtnl_socket import Socket
from ..places import Places
from ..witness import lost_sandbox
from .container_link import in_the_way
from .handler import Handler, compare, missing
from .links import set_attributes

_NAMES_TAKEN = "dev%d"
"""What it is called where somebody else has its own name by now, and the one it has inside, too.

As the kernel calls a card whose namespace dies.
"""
_A_NAME = re.compile(r"[^\s/:%]{1,15}")
"""An alias that can be an interface's name."""
_RETURN_LIMIT = 1.0
_RETURN_STEP = 0.02


class _Before(Value):
    """What the link was on the host; `permanent` is the MAC it was built with, "" for none."""

    index: int
    kind: str
    mac: str
    permanent: str
    mtu: int
    queue: int
    up: bool
    master: str
    alias: str
    addresses: tuple[str, ...]
    promisc: bool = False
    allmulti: bool = False

    @property
    def is_card(self) -> bool:
        """Whether the kernel moves it out of a namespace that dies: it has no kind of its own."""
        return not self.kind


class MovedLinkHandler(Handler[MovedLink]):
    def exists(self, at: Places, resource: MovedLink) -> bool:
        if not at.has("sandbox"):
            return False
        found = links.by_name(at.socket("sandbox"), resource.inner)
        return found is not None and found.alias == resource.name

    def previous(self, at: Places, resource: MovedLink) -> str | None:
        sock = at.socket("host")
        link = links.by_name(sock, resource.name)
        if link is None:
            return None
        assigned = addresses.on(sock, link.index)
        before = _Before(
            index=link.index,
            kind=link.kind,
            mac=link.mac,
            permanent=link.permanent_mac,
            mtu=link.mtu,
            queue=link.queue,
            up=link.up,
            master=links.name_of(sock, link.master) if link.master else "",
            alias=link.alias,
            # One that somebody is told to have for a while comes from whoever told it.
            addresses=tuple(
                each.address for each in assigned if each.permanent and not each.link_local
            ),
            promisc=link.promisc,
            allmulti=link.allmulti,
        )
        return json.dumps(asdict(before))

    def create(self, at: Places, resource: MovedLink) -> None:
        sock = at.socket("host")
        link = links.required(sock, resource.name)
        if links.index(at.socket("sandbox"), resource.inner):
            raise in_the_way(at, resource.inner)
        sock.transact(moving.aliased(link.index, link.name, resource.name))
        sandbox = at.namespace("sandbox")
        sock.transact(moving.moved(link.index, link.name, sandbox, resource.inner))

    def verify(self, at: Places, resource: MovedLink) -> list[Drift]:
        found = links.by_name(at.socket("sandbox"), resource.inner)
        if found is None:
            return [missing(resource.inner)]
        return compare(
            resource.inner,
            alias=(resource.name, found.alias or None),
            MAC=(resource.mac or found.mac, found.mac),
            MTU=(resource.mtu or found.mtu, found.mtu),
        )

    def mend(self, at: Places, resources: Sequence[MovedLink], drifts: Sequence[Drift]) -> None:
        """What has left the container is lent again, if it is back under its name."""
        sock = at.socket("sandbox")
        for resource in resources:
            index = links.index(sock, resource.inner)
            if not index:
                self.create(at, resource)
                index = links.required_index(sock, resource.inner)
            if any(drift.property == "alias" for drift in drifts):
                sock.transact(moving.aliased(index, resource.inner, resource.name))
            set_attributes(sock, resource.inner, drifts)

    def delete(self, at: Places, resource: MovedLink, previous: str | None) -> None:
        """It died with the namespace, where it is found nowhere: then that is no error."""
        if previous is None:
            if resource.left:
                _give_back_left(at, resource)
            return
        values = json.loads(previous)
        before = _Before(**{**values, "addresses": tuple(values["addresses"])})
        _bring_home(at, resource, before)
        found = _on_host(at, resource, before)
        if found is not None:
            _give_back(at.socket("host"), found, resource, before)


def _bring_home(at: Places, resource: MovedLink, before: _Before) -> None:
    """Move it out of the container, whether a path leads there or not."""
    if at.has("sandbox"):
        _move_out(at, at.socket("sandbox"), resource, before)
    elif at.number >= 0:
        with lost_sandbox(at) as sock:
            if sock is not None:
                _move_out(at, sock, resource, before)
                return
        # Whose path was just removed may be on its way down, which takes the kernel a moment.
        end = monotonic() + _RETURN_LIMIT
        while _recognized(links_in(at.socket("host"), at.number) or (), resource, before):
            if monotonic() > end:
                raise KernelError(
                    f"{resource.describe()}: its namespace still lives, and neither a path nor a"
                    " process leads there from here; it comes back, or ends, with that",
                    errno=errno.EBUSY,
                )
            sleep(_RETURN_STEP)


def _move_out(at: Places, sock: Socket, resource: MovedLink, before: _Before) -> None:
    link = _recognized(links.everything(sock), resource, before)
    if link is not None:
        # The mark first: on the host it may have any name, and any index.
        sock.transact(moving.aliased(link.index, link.name, resource.name))
        _to_host(at, sock, link, resource.name)


def _to_host(at: Places, sock: Socket, link: Link, name: str) -> None:
    """Under that name, if nobody else has it."""
    host = at.namespace("host")
    try:
        sock.transact(moving.moved(link.index, link.name, host, name))
    except KernelError as error:
        if error.errno != errno.EEXIST:
            raise
        with tolerating(GONE):  # moved, and only not renamed
            sock.transact(moving.moved(link.index, link.name, host, _NAMES_TAKEN))


def _give_back_left(at: Places, resource: MovedLink) -> None:
    """What no record tells of: its mark is its name, and its MTU and addresses are unknown."""
    host = at.socket("host")
    name = resource.name
    if at.has("sandbox"):
        sock = at.socket("sandbox")
        for link in links.everything(sock):
            is_it = link.alias == name if name else link.mac == resource.mac
            if is_it and _A_NAME.fullmatch(link.alias):
                name = link.alias
                _to_host(at, sock, link, name)
    for link in links.everything(host) if name else ():
        if link.alias != name:
            continue
        if link.name != name and not links.index(host, name):
            host.transact(links.down(link.name), moving.renamed(link.index, link.name, name))
        host.transact(moving.aliased(link.index, link.name, ""))


def _recognized(found: Iterable[Link], resource: MovedLink, before: _Before) -> Link | None:
    """It may have been renamed, or given another MAC, in there: the surest sign counts."""
    same_kind = [link for link in found if link.kind == before.kind and link.name != "lo"]
    signs: tuple[Callable[[Link], bool], ...] = (
        lambda link: bool(before.permanent) and link.permanent_mac == before.permanent,
        lambda link: link.alias == resource.name,
        lambda link: bool(before.mac) and link.mac == before.mac,
    )
    return next((link for sign in signs for link in same_kind if sign(link)), None)


def _on_host(at: Places, resource: MovedLink, before: _Before) -> Link | None:
    """Where it is now; a card is waited for, as the kernel takes its time to move it out."""
    sock = at.socket("host")
    end = monotonic() + _RETURN_LIMIT
    while True:
        found = links.everything(sock)
        # A new one of the same name and MAC is another: what never left has its index still.
        known = [
            link
            for link in found
            if link.alias == resource.name
            or (before.permanent and link.permanent_mac == before.permanent)
            or (link.index, link.mac) == (before.index, before.mac)
        ]
        link = _recognized(known, resource, before)
        if link is not None or not before.is_card or monotonic() > end:
            return link
        sleep(_RETURN_STEP)


def _give_back(sock: Socket, link: Link, resource: MovedLink, before: _Before) -> None:
    """All that it was. The mark goes last: until then, whoever comes after a crash finds it."""
    name = link.name
    if name != resource.name and not links.index(sock, resource.name):
        sock.transact(links.down(name), moving.renamed(link.index, name, resource.name))
        name = resource.name
    sock.transact(*_settings(sock, link, name, before))
    with tolerating(THERE):
        for address in before.addresses:
            sock.transact(addresses.added(link.index, name, address), tolerated=THERE)
    sock.transact(moving.aliased(link.index, name, before.alias))


def _settings(sock: Socket, link: Link, name: str, before: _Before) -> Iterator[Operation]:
    """What differs, and needs it to be down, before it is set up."""
    if before.mac and link.mac != before.mac:
        yield links.down(name)
        yield links.address(name, before.mac)
    if link.mtu != before.mtu:
        yield links.mtu(name, before.mtu)
    if link.queue != before.queue:
        yield links.queue(name, before.queue)
    if link.promisc != before.promisc:
        yield links.promisc(name, before.promisc)
    if link.allmulti != before.allmulti:
        yield links.allmulti(name, before.allmulti)
    master = links.index(sock, before.master) if before.master else 0
    if master and link.master != master:
        yield links.master(name, master, before.master)
    yield links.up(name) if before.up else links.down(name)
