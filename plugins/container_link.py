"""What plugins have in common that make a link in the container: parent, MTU, addresses.

Each brings the link itself, as a resource; all else about it is here once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Annotated, Any, ClassVar

from msgspec.structs import replace

from ..cni.environment import ADDRESSING
from ..cni.names import interface_problem
from ..cni.net_conf import NetConf
from ..cni.section import Unfit
from ..model.errors import ConfigError, TryLater
from ..model.kernel_kinds import KernelMakes
from ..model.place import Place
from ..model.plan import Plan
from ..model.plugin import Plugin
from ..model.query import DefaultLink, Link, LinkNamed, Query, Seen
from ..model.request import Request
from ..model.resource import Resource
from ..model.resources import AddressLease, LinkUp
from ..model.result import Address, Interface, Result
from ..model.shown import set_up
from . import kernel_kinds, sandbox
from .delegation import (
    foreign_ipam,
    ipam_questions,
    ipam_status,
    ipam_type,
    mtu_leased,
    plan_addresses,
    pools,
)

MIN_MTU, MAX_MTU = 68, 65535
"""The kernel's bounds (include/uapi/linux/if_ether.h)."""


_NEVER_ON_THEIR_OWN = ("macvlan", "ipvlan")


def possible_mtu(mtu: int) -> int:
    """For `Annotated`: 0, or what a link may have."""
    if mtu and not MIN_MTU <= mtu <= MAX_MTU:
        raise Unfit(f"is not within {MIN_MTU}..{MAX_MTU}, nor 0")
    return mtu


class OnParentConf(NetConf):
    """The keys of those whose link stands on another one, `master`."""

    master: str = ""
    mtu: Annotated[int, possible_mtu] = 0
    linkInContainer: bool = False

    def check(self) -> None:
        if self.master and (problem := interface_problem(self.master)):
            raise ValueError(f'master: "{self.master}" {problem}')

    @property
    def place(self) -> Place:
        """Where `master` is."""
        return "sandbox" if self.linkInContainer else "host"


# --- what it stands on ------------------------------------------------------------------------


def parent_questions(conf: OnParentConf) -> Iterator[Query[Any]]:
    """What `parent` will ask, as far as that is known beforehand."""
    yield LinkNamed(conf.master, conf.place) if conf.master else DefaultLink(conf.place)


def parent(request: Request, seen: Seen, kind: str) -> Link:
    """The link that `master` names, for one of `kind`: by default that of the default route.

    Raises `ConfigError` where there is none, where it takes no packets of `mtu`, and where the
    kernel would put the link on another, the master of that one.
    """
    conf: OnParentConf = request.conf
    where = f"in {request.netns}" if conf.linkInContainer else "on the host"
    name = conf.master or seen[DefaultLink(conf.place)]
    if not name:
        raise ConfigError(f"master: none is given, and there is no default route {where}")
    found = seen[LinkNamed(name, conf.place)]
    if found is None:
        raise ConfigError(f'master: there is no interface "{name}" {where}')
    if conf.mtu > found.mtu:
        raise ConfigError(f"mtu: {conf.mtu} is above the {found.mtu} of {name}, its master")
    if found.kind == kind and kind in _NEVER_ON_THEIR_OWN:
        raise ConfigError(
            f"master: {name} is itself of kind {kind}, and the kernel would take its master"
            " instead; name that one"
        )
    return found


def behind(request: Request) -> Request:
    """Where another plugin stands before it and no `master` is given: on its one interface."""
    conf: OnParentConf = request.conf
    if conf.master or request.prev_result is None:
        return request
    names = [each.name for each in request.prev_result.interfaces if not each.sandbox]
    if len(names) != 1:
        raise ConfigError(
            f"master: none is given, and prevResult tells of {len(names)} interfaces of the host,"
            " not of one"
        )
    return replace(request, conf=conf.replaced(master=names[0]))


# --- the whole of it ------------------------------------------------------------------------------


def questions(request: Request) -> Iterator[Query[Any]]:
    """What `plan` will ask of its own."""
    yield from ipam_questions(request)


def plan(
    request: Request,
    seen: Seen,
    link: Resource,
    interface: Interface,
    *,
    on: Link | None = None,
    dad: bool = True,
    settings: tuple[Resource, ...] = (),
    given: Result | None = None,
) -> Plan:
    """The link, what `ipam` leases on it, and the result; without `ipam`, the link set up.

    `interface` is how the result tells of it, `on` what it stands on, `settings` what it is given
    beside addresses, `given` what stands in for what `ipam` would lease. Raises `TryLater` where
    `on` is down and it has to be known that nobody there has the address.
    """
    foreign_ipam(request, seen)
    made = (link, *settings)
    notes = () if on is None or on.up else (f"nothing passes while {is_down(request, on)}",)
    end = sandbox.End(interface.name, link.key)
    unaddressed = partial(sandbox.unaddressed, end, dad=dad, asks_routers=True)
    dns = request.conf.dns.to_dns()
    if given is not None:
        leased = Plan((), given)
    elif ipam_type(request):
        leased = plan_addresses(request, seen, lambda: (*made, *unaddressed()))
    else:
        up = LinkUp(name=interface.name, place="sandbox", inside=link.key)
        return Plan((*made, up), Result(interfaces=(interface,), dns=dns), notes)
    interface = replace(interface, mtu=mtu_leased(leased, interface.mtu))
    ips = tuple(Address(ip.address, ip.gateway, interface=0) for ip in leased.result.ips)
    result = replace(leased.result, interfaces=(interface,), ips=ips, dns=dns or leased.result.dns)
    if on and notes and dad and any(":" in ip.address for ip in ips):
        raise TryLater(f"no duplicate of an IPv6 address is found while {is_down(request, on)}")
    inside = partial(_inside, end, result, dad)
    return Plan(
        (*made, *leased.resources, *inside()),
        result,
        notes,
        announcement=sandbox.announcement(end, leased, seen),
    )


def is_down(request: Request, on: Link) -> str:
    """The end of a sentence: that the master `on` is, and what helps.

    By itself no reason to refuse an ADD, as it is none to the reference: it may come up later.
    """
    inside = request.netns if request.conf.linkInContainer else ""
    return f"{on.name}, its master, is down; set it up: `{set_up(on.name, inside)}`"


def _inside(end: sandbox.End, result: Result, dad: bool) -> Iterator[Resource]:
    yield from sandbox.configure(end, result, dad=dad, asks_routers=True)
    if dad:
        yield from sandbox.detected(end, result)
    yield from sandbox.routes(end, result)


class ContainerLinkPlugin(Plugin):
    """What else such plugins do, whichever link they make."""

    arguments = ADDRESSING
    creates_interface = True
    link_kind: ClassVar[str] = ""
    """The kernel's kind of the link it makes; "" where it makes none."""

    def status(self, request: Request, seen: Seen) -> None:
        if self.link_kind:
            kernel_kinds.required(seen, KernelMakes("link", self.link_kind))
        if isinstance(request.conf, OnParentConf):
            parent(request, seen, self.link_kind)
        ipam_status(request, seen)

    def delegate(self, request: Request, seen: Seen) -> str:
        return foreign_ipam(request, seen)

    def pools(self, request: Request) -> Iterable[AddressLease]:
        return pools(request) if request.conf else ()

    def link_left(self, request: Request, mac: str) -> Resource:
        """What tells the link that an ADD without a record has made."""
        raise NotImplementedError

    def leftovers(self, request: Request) -> Iterable[Resource]:
        conf = request.conf
        known = isinstance(conf, OnParentConf) and conf.master
        on = {"parent": conf.master, "parent_place": conf.place} if known else {}
        for mac in macs_left(request, request.attachment.mac("container")):
            yield replace(self.link_left(request, mac), **on)
        yield from self.pools(request)


def macs_left(request: Request, own: str) -> Iterator[str]:
    """The MACs that a link without a record may have: what its result told, and our choice."""
    interfaces = request.prev_result.interfaces if request.prev_result else ()
    told = (each.mac.lower() for each in interfaces if each.name == request.interface)
    yield from dict.fromkeys(filter(None, (*told, own)))
