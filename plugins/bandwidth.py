"""`bandwidth`: limits of what a container receives and sends, whatever kind its interface is.

Keys and result are the reference plugin's. A pair is limited at the host's end, where the
container can't undo it; an interface without one (macvlan, ipvlan, tap) inside the container.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec.structs import replace

from ..model.errors import ConfigError
from ..model.kernel_kinds import KernelMakes
from ..model.place import Place
from ..model.plan import Plan
from ..model.plugin import Plugin
from ..model.query import HostEnd, IpvlanMode, LinkNamed, Seen
from ..model.request import Request
from ..model.resource import Resource
from ..model.resources import Ifb, RateLimit, Redirect, TrafficHook
from ..model.result import Interface
from ..model.shaping import Hook, Side
from ..model.value import Value
from . import kernel_kinds
from .bandwidth_config import BandwidthConf, Limit, Rates
from .chained import previous_result, required_interface

_FRAME = 64
"""Bytes that a frame may have beyond the MTU: its header, and tags."""
_TOKEN_SECONDS = 0.001
"""What a bucket holds at least: the kernel fills it at each wake of a timer."""
_WAITING_SECONDS = 0.025
_WAITING_PACKETS = 10
"""How much waits: the reference's 25 ms, which are 2 packets at 1 Mbit/s; so 10 at least."""
_LARGEST = 72 * 1024
"""Bytes of the largest packet that a sender leaves to be cut later. Where the burst has room for
one, the queue needs it too; the reference's has room for the whole burst, be it 4 GiB.
"""
_MOST_BYTES = (1 << 32) - 1


class _Shaped(Value):
    """Where one direction is limited: at an interface, by what that sends or receives."""

    place: Place
    name: str
    mtu: int
    hook: Hook
    side: Side
    ifb: str
    mac: str


class Bandwidth(Plugin):
    name = "bandwidth"
    about = "limits the rate of what the container receives and sends"
    config = BandwidthConf

    def plan(self, request: Request, seen: Seen) -> Plan:
        conf: BandwidthConf = request.conf
        result = previous_result(request)
        if not (conf.rates.ingress or conf.rates.egress):
            return Plan((), result)
        seen.together(LinkNamed(request.interface, "sandbox"), HostEnd(request.interface))
        inside = required_interface(request, seen)
        if inside.kind == "ipvlan" and conf.rates.ingress:
            _refuse_unreachable(request, seen)
        end = seen[HostEnd(request.interface)]
        place: Place = "sandbox" if end is None else "host"
        at = inside if end is None else end
        resources: list[Resource] = []
        for direction, limit in (("ingress", conf.rates.ingress), ("egress", conf.rates.egress)):
            if limit is not None:
                where = _shaped(request, direction, place, at.name, inside.mtu)
                resources += _limited(where, limit, conf.among)
        made = tuple(
            Interface(
                each.name,
                mac=each.mac,
                mtu=each.mtu,
                sandbox=request.netns if end is None else "",
            )
            for each in resources
            if isinstance(each, Ifb)
        )
        hooks = dict.fromkeys(each for each in resources if isinstance(each, TrafficHook))
        others = [each for each in resources if not isinstance(each, TrafficHook)]
        return Plan((*hooks, *others), replace(result, interfaces=(*result.interfaces, *made)))

    def status(self, request: Request, seen: Seen) -> None:
        """What every interface needs for the configuration's rates; a runtime's are not known."""
        conf: BandwidthConf = request.conf
        limits = [conf.rates.ingress, conf.rates.egress]
        if any(limits):
            kernel_kinds.required(seen, KernelMakes("queue", "tbf"))
            if all(limits) or conf.among.shapedSubnets or conf.among.unshapedSubnets:
                kernel_kinds.required(seen, KernelMakes("link", "ifb"))

    def leftovers(self, request: Request) -> Iterable[Resource]:
        """At the host's end as we name it, inside, and the reference's interface of kind ifb."""
        ends: tuple[tuple[Place, str], ...] = (
            ("host", request.attachment.host_end),
            ("sandbox", request.interface),
        )
        for place, name in ends:
            for direction in ("ingress", "egress"):
                where = _shaped(request, direction, place, name, 0)
                yield Redirect(place=place, name=name, hook=where.hook, to=where.ifb)
                yield Ifb(place=place, name=where.ifb, mac=where.mac)
            yield RateLimit(place=place, name=name, rate=0, burst=0, queue=0)
            yield TrafficHook(place=place, name=name)
        yield Ifb(name=_name_of_theirs(request))


def _refuse_unreachable(request: Request, seen: Seen) -> None:
    """In mode l3s what comes in is given to a container's sockets, and to no hook of its link."""
    if seen[IpvlanMode(request.interface)] == "l3s":
        raise ConfigError(
            f"ingressRate: {request.interface} is of kind ipvlan in mode l3s, and what such an"
            " interface receives can't be limited; use mode l2 or l3, or egressRate alone",
            details="ingressRate",
        )


def _shaped(request: Request, direction: str, place: Place, name: str, mtu: int) -> _Shaped:
    """What the host's end sends is what the container receives; subnets are the remote side's."""
    receives = direction == "ingress"
    digest = request.attachment.digest(f"ifb {direction}", 6).hex()
    return _Shaped(
        place,
        name,
        mtu,
        hook="ingress" if receives == (place == "sandbox") else "egress",
        side="src" if receives else "dst",
        ifb=f"bw{direction[0]}{digest}",
        mac=request.attachment.mac(f"ifb {direction}"),
    )


def _limited(at: _Shaped, limit: Limit, among: Rates) -> Iterator[Resource]:
    """What an interface sends has its bucket there; all else, or a part of it, goes by an ifb."""
    subnets = among.shapedSubnets or among.unshapedSubnets
    if at.hook == "egress" and not subnets:
        yield _bucket(at, at.name, limit)
        return
    ifb = Ifb(place=at.place, name=at.ifb, mac=at.mac, mtu=at.mtu)
    yield ifb
    yield replace(_bucket(at, at.ifb, limit), inside=ifb.key)
    yield TrafficHook(place=at.place, name=at.name)
    yield Redirect(
        place=at.place,
        name=at.name,
        hook=at.hook,
        to=at.ifb,
        side=at.side,
        subnets=subnets,
        only=bool(among.shapedSubnets),
    )


def _bucket(at: _Shaped, name: str, limit: Limit) -> RateLimit:
    """A burst of less than a packet would let none through."""
    frame, bytes_a_second = at.mtu + _FRAME, limit.rate // 8
    burst = max(limit.burst // 8, frame, int(bytes_a_second * _TOKEN_SECONDS))
    waiting = int(bytes_a_second * _WAITING_SECONDS) + min(burst, _LARGEST)
    queue = max(_WAITING_PACKETS * frame, waiting)
    return RateLimit(
        place=at.place,
        name=name,
        rate=limit.rate,
        burst=min(burst, _MOST_BYTES),
        queue=min(queue, _MOST_BYTES),
    )


def _name_of_theirs(request: Request) -> str:
    """As the reference plugin names the one it makes for a container of a network."""
    from hashlib import sha512  # of use only where a record is missing

    return "bwp" + sha512(f"{request.network}{request.container}".encode()).hexdigest()[:12]
