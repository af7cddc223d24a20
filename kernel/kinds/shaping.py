"""Rate limits: a token bucket, the interface that stands in for another, and what leads there.

Rules that hold here:
- Ours are told from others' by name and MAC (ifb), by handle (bucket), by priority (filters).
- What is made again is changed to what it should be: a bucket, filters.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

from ...model.errors import KernelError
from ...model.plan import Drift
from ...model.shaping import Ifb, RateLimit, Redirect, TrafficHook
from ..netlink import links, traffic_control
from ..netlink.refusals import GONE, THERE, tolerating
from ..netlink.rtnl_socket import Socket
from ..netlink.stacked import stacked
from ..netlink.traffic_control import Filter, Key
from ..places import Places
from ..witness import delete_inside, links_inside
from .handler import Handler, compare, missing

_IPV4, _IPV6, _ALL = 0x0800, 0x86DD, 0x0003  # linux/if_ether.h
_PRIORITIES = {
    "ingress": {_IPV4: 20000, _IPV6: 20001, _ALL: 20002},
    "egress": {_IPV4: 20010, _IPV6: 20011, _ALL: 20012},
}
"""Each protocol needs one of its own. Of one that both hooks have, the kernel lists the filters of
both. Others choose small ones, or have the kernel's from 49152.
"""
_OFFSETS = {(4, "src"): 12, (4, "dst"): 16, (6, "src"): 8, (6, "dst"): 24}
"""Of an address in its IP header (RFC 791, RFC 8200)."""
_NOT_THERE = (*GONE, errno.EINVAL)
"""The kernel also says EINVAL, of a discipline with another handle or kind."""


class IfbHandler(Handler[Ifb]):
    deletes_by_number = True

    def exists(self, at: Places, resource: Ifb) -> bool:
        found = links.by_name(at.socket(resource.place), resource.name)
        return found is not None and found.kind == "ifb"

    def create(self, at: Places, resource: Ifb) -> None:
        sock = at.socket(resource.place)
        if not self.exists(at, resource):
            with _needing("interfaces of kind ifb", "ifb"):
                sock.transact(stacked("ifb", resource.name, mac=resource.mac, mtu=resource.mtu))
        sock.transact(links.up(resource.name))

    def verify(self, at: Places, resource: Ifb) -> list[Drift]:
        found = links.by_name(at.socket(resource.place), resource.name)
        if found is None:
            return [missing(resource.name)]
        return compare(
            resource.name,
            kind=("ifb", found.kind),
            MAC=(resource.mac or found.mac, found.mac),
            state=("up", "up" if found.up else "down"),
        )

    def delete(self, at: Places, resource: Ifb, previous: str | None) -> None:
        if resource.place == "sandbox":
            for link in links_inside(at):
                if (link.kind, link.name) == ("ifb", resource.name):
                    delete_inside(at, link)
            return
        found = links.by_name(at.socket("host"), resource.name)
        if found and found.kind == "ifb" and resource.mac in ("", found.mac):
            at.delete_link(found.index, found.name)


class RateLimitHandler(Handler[RateLimit]):
    def exists(self, at: Places, resource: RateLimit) -> bool:
        sock = at.socket(resource.place)
        found = traffic_control.root(sock, links.index(sock, resource.name))
        return found is not None and found.handle == traffic_control.BUCKET

    def create(self, at: Places, resource: RateLimit) -> None:
        sock = at.socket(resource.place)
        link = links.required(sock, resource.name)
        rate, burst, queue = resource.rate // 8, resource.burst, resource.queue
        operations = [traffic_control.bucket(link.index, resource.name, rate, burst, queue)]
        if not link.queue:  # the kernel sets one for whatever discipline there is, needed or not
            operations.append(links.queue(resource.name, 0))
        try:
            with _needing("token buckets", "sch_tbf"):
                sock.transact(*operations)
        except KernelError as error:
            if error.errno not in THERE:
                raise
            raise KernelError(
                f"interface {resource.name} in {sock.where} has a queueing discipline that somebody"
                f" else gave it; `tc qdisc del dev {resource.name} root` there removes it",
                errno=errno.EEXIST,
            ) from error

    def verify(self, at: Places, resource: RateLimit) -> list[Drift]:
        sock = at.socket(resource.place)
        found = traffic_control.root(sock, links.index(sock, resource.name))
        if found is None or found.handle != traffic_control.BUCKET:
            return [missing(resource.name, "rate limit")]
        rate = resource.rate // 8
        expected = traffic_control.ticks(resource.burst, rate) & 0xFFFFFFFF
        drifts = compare(
            resource.name,
            rate=(f"{rate * 8} bit/s", f"{found.rate * 8} bit/s"),
            queue=(f"{resource.queue} bytes", f"{found.limit} bytes"),
        )
        if not drifts:  # the burst is told as a time, at the rate
            drifts = compare(resource.name, burst=(f"{expected} ticks", f"{found.buffer} ticks"))
        return drifts

    def delete(self, at: Places, resource: RateLimit, previous: str | None) -> None:
        sock = at.socket(resource.place)
        if index := links.index(sock, resource.name):
            with tolerating(_NOT_THERE):
                sock.transact(traffic_control.no_bucket(index, resource.name))


class TrafficHookHandler(Handler[TrafficHook]):
    def exists(self, at: Places, resource: TrafficHook) -> bool:
        return self._found(at.socket(resource.place), resource.name)

    def create(self, at: Places, resource: TrafficHook) -> None:
        sock = at.socket(resource.place)
        if not self._found(sock, resource.name):
            index = links.required_index(sock, resource.name)
            with _needing("hooks for filters (clsact)", "sch_ingress"):
                sock.transact(traffic_control.clsact(index, resource.name), tolerated=THERE)

    def verify(self, at: Places, resource: TrafficHook) -> list[Drift]:
        return [] if self.exists(at, resource) else [missing(resource.name, "hook for filters")]

    def delete(self, at: Places, resource: TrafficHook, previous: str | None) -> None:
        """Not with others' filters. Where ours could not be removed, it is tried again later."""
        sock = at.socket(resource.place)
        index = links.index(sock, resource.name)
        used = {
            priority in ours.values()
            for hook, ours in _PRIORITIES.items()
            for priority, _ in traffic_control.filters(sock, index, hook)
        }
        if True in used:
            raise KernelError(
                f"filters of pynet's are still on {resource.name} in {sock.where}",
                errno=errno.EBUSY,
            )
        if index and not used:
            with tolerating(_NOT_THERE):
                sock.transact(traffic_control.no_clsact(index, resource.name))

    @staticmethod
    def _found(sock: Socket, name: str) -> bool:
        index = links.index(sock, name)
        return bool(index) and traffic_control.hook(sock, index) is not None


class RedirectHandler(Handler[Redirect]):
    def exists(self, at: Places, resource: Redirect) -> bool:
        return bool(_ours(at.socket(resource.place), resource))

    def create(self, at: Places, resource: Redirect) -> None:
        sock = at.socket(resource.place)
        index = links.required_index(sock, resource.name)
        _refuse_half_a_hook(sock, index, resource)
        to = links.required_index(sock, resource.to)
        self.delete(at, resource, None)
        with _needing("filters of kind u32, or redirection by them", "-a cls_u32 act_mirred"):
            sock.transact(
                *(
                    traffic_control.added(index, resource.name, resource.hook, each)
                    for each in filters_of(resource, to)
                )
            )

    def verify(self, at: Places, resource: Redirect) -> list[Drift]:
        sock = at.socket(resource.place)
        found, to = _ours(sock, resource), links.index(sock, resource.to)
        what = f"{resource.hook} filters"
        if not found:
            return [missing(resource.name, what)]
        if not to:
            return [missing(resource.to)]
        if found != [*filters_of(resource, to)]:
            return [Drift(resource.name, what, f"those to {resource.to}", "changed")]
        return []

    def delete(self, at: Places, resource: Redirect, previous: str | None) -> None:
        sock = at.socket(resource.place)
        index = links.index(sock, resource.name)
        for priority in sorted({each.priority for each in _ours(sock, resource)}):
            with tolerating(_NOT_THERE):
                operation = traffic_control.removed(index, resource.name, resource.hook, priority)
                sock.transact(operation)


def _ours(sock: Socket, resource: Redirect) -> list[Filter]:
    index = links.index(sock, resource.name)
    found = traffic_control.filters(sock, index, resource.hook) if index else []
    ours = _PRIORITIES[resource.hook].values()
    return [each for priority, each in found if each and priority in ours]


def _refuse_half_a_hook(sock: Socket, index: int, resource: Redirect) -> None:
    """Of kind `ingress`, it sees what comes in alone, and filters for the rest would be there."""
    found = traffic_control.hook(sock, index)
    if resource.hook == "egress" and found is not None and found.kind == "ingress":
        raise KernelError(
            f"interface {resource.name} in {sock.where} has a hook of kind ingress that somebody"
            f" else gave it, and one of kind clsact is needed;"
            f" `tc qdisc del dev {resource.name} ingress` there removes it, with its filters",
            errno=errno.EEXIST,
        )


def filters_of(resource: Redirect, to: int) -> Iterator[Filter]:
    """What leads to the interface of index `to`, in the order of priorities.

    Without `only`, those of the subnets end the search, and the last leads all others there.
    """
    networks = sorted(map(ip_network, resource.subnets), key=lambda each: each.version)
    priorities = _PRIORITIES[resource.hook]
    for network in networks:
        protocol = _IPV4 if network.version == 4 else _IPV6
        keys = tuple(_keys(network, _OFFSETS[network.version, resource.side]))
        yield Filter(priorities[protocol], protocol, keys, to if resource.only else 0)
    if not (networks and resource.only):
        yield Filter(priorities[_ALL], _ALL, (), to)


def _keys(network: IPv4Network | IPv6Network, offset: int) -> Iterator[Key]:
    mask, address = network.netmask.packed, network.network_address.packed
    for at in range(0, len(mask), 4):
        if any(mask[at : at + 4]):
            yield Key(mask[at : at + 4], address[at : at + 4], offset + at)


@contextmanager
def _needing(what: str, module: str) -> Iterator[None]:
    try:
        yield
    except KernelError as error:
        if error.errno not in (errno.ENOENT, errno.EOPNOTSUPP):
            raise
        raise KernelError(
            f"this kernel has no {what}, or can't load them (`modprobe {module}`)",
            errno=errno.EOPNOTSUPP,
            details=error.msg,
        ) from error


HANDLERS: dict[str, Handler[Any]] = {
    Ifb.kind: IfbHandler(),
    RateLimit.kind: RateLimitHandler(),
    Redirect.kind: RedirectHandler(),
    TrafficHook.kind: TrafficHookHandler(),
}
