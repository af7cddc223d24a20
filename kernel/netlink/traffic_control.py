"""Queueing disciplines and filters over rtnetlink: token buckets, hooks, and u32's redirections.

Constants are those of linux/rtnetlink.h, linux/pkt_sched.h, linux/pkt_cls.h and
linux/tc_act/tc_mirred.h.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterator, Sequence

from ...model.errors import KernelError
from ...model.value import Value
from .packed import NLM_F_CREATE, NLM_F_ECHO, NLM_F_EXCL, attribute, attributes, nested, string
from .rtnl import Operation, number, text, u32
from .rtnl_socket import Socket

_RTM_NEWQDISC, _RTM_DELQDISC, _RTM_GETQDISC = 36, 37, 38
_RTM_NEWTFILTER, _RTM_DELTFILTER, _RTM_GETTFILTER = 44, 45, 46
_TCA_KIND, _TCA_OPTIONS = 1, 2

_LOOPBACK = 1  # include/linux/netdevice.h, LOOPBACK_IFINDEX: lo's index in every namespace
_ROOT = 0xFFFFFFFF
_CLSACT = 0xFFFFFFF1
_CLSACT_HANDLE = 0xFFFF0000
_HOOKS = {"ingress": 0xFFFFFFF2, "egress": 0xFFFFFFF3}
BUCKET = 0x70790000
"""The handle 7079: by which our buckets are known."""

_TBF_PARMS, _TBF_RATE64, _TBF_BURST = 1, 4, 6
_RATE = struct.Struct(
    "=BBHhHI"
)  # tc_ratespec: cell_log, linklayer, overhead, cell_align, mpu, rate
_TBF = struct.Struct("=12s12sIII")  # tc_tbf_qopt: rate, peakrate, limit, buffer, mtu
_ETHERNET = 1  # TC_LINKLAYER_ETHERNET: no table of rates is needed
_MAX_32 = 0xFFFFFFFF

_U32_CLASSID, _U32_SEL, _U32_ACT = 1, 5, 7
_SELECTOR = struct.Struct("=BBBxHHhhI")  # tc_u32_sel, without its keys
_KEY = struct.Struct("=4s4sii")  # tc_u32_key: mask, value, offset, offset's mask
_TERMINAL = 1  # TC_U32_TERMINAL
_ACT_KIND, _ACT_OPTIONS, _MIRRED_PARMS = 1, 2, 2
_MIRRED = struct.Struct("=IIiiiiI")  # tc_gen, eaction, ifindex
_STOLEN = 4  # TC_ACT_STOLEN
_EGRESS_REDIR = 1  # TCA_EGRESS_REDIR

_TCMSG = struct.Struct("=B3xiIII")  # tcmsg: family, interface, handle, parent, info
_NONE = (errno.ENOENT, errno.EINVAL, errno.ENODEV)
"""What the kernel answers where there is no such discipline, or hook, or interface."""


class Queue(Value):
    """The discipline at one place of an interface; the last three of a bucket, in bytes."""

    kind: str
    handle: int
    rate: int = 0  # a second
    limit: int = 0
    buffer: int = 0  # in the kernel's ticks, as `ticks` has it


class Key(Value):
    """Four bytes, `offset` into the IP header, that must be `value` where `mask` is set."""

    mask: bytes
    value: bytes
    offset: int


class Filter(Value):
    """Of packets of `protocol` (an EtherType) for which all keys hold: `to` is the index of the
    interface they go to, 0 where they go on.
    """

    priority: int
    protocol: int
    keys: tuple[Key, ...]
    to: int


# --- disciplines -----------------------------------------------------------------------------


def _tcmsg(index: int, *, handle: int = 0, parent: int = 0, info: int = 0) -> bytes:
    return _TCMSG.pack(0, index, handle, parent, info)


def root(sock: Socket, index: int) -> Queue | None:
    """`tc qdisc show dev NAME root`; None where the kernel's own choice stands there."""
    found = _queue(sock, index, _ROOT)
    return found if found and found.handle else None


def hook(sock: Socket, index: int) -> Queue | None:
    """`tc qdisc show dev NAME clsact`, or that of kind `ingress`, which takes the same place."""
    return _queue(sock, index, _CLSACT)


def _queue(sock: Socket, index: int, parent: int) -> Queue | None:
    """One is asked for, not all: a dump lists those of every interface there is.

    Of what was there from the start, such as `noqueue`, the kernel tells nothing.
    """
    body = _tcmsg(index, parent=parent)
    try:
        question = Operation(_RTM_GETQDISC, NLM_F_ECHO, body, "tc qdisc show")
        reply = sock.ask_whether(question)
    except KernelError as error:
        if error.errno in _NONE:
            return None
        raise
    if reply is None:
        return None
    _, _, handle, _, _ = _TCMSG.unpack_from(reply.body)
    found = dict(attributes(reply.body[_TCMSG.size :]))
    kind = text(found.get(_TCA_KIND, b""))
    if kind != "tbf":
        return Queue(kind, handle)
    options = dict(attributes(found.get(_TCA_OPTIONS, b"")))
    spec, _, limit, buffer, _ = _TBF.unpack_from(options[_TBF_PARMS])
    rate = number(options.get(_TBF_RATE64, b"")) or _RATE.unpack(spec)[-1]
    return Queue(kind, handle, rate, limit, buffer)


def bucket(index: int, name: str, rate: int, burst: int, limit: int) -> Operation:
    """`tc qdisc add dev NAME root handle 7079: tbf rate RATE burst BURST limit LIMIT`, in bytes.

    One of ours is changed to this; where somebody else's is, it is an error (EEXIST).
    """
    spec = _RATE.pack(0, _ETHERNET, 0, 0, 0, min(rate, _MAX_32))
    parameters = _TBF.pack(spec, bytes(_RATE.size), limit, min(ticks(burst, rate), _MAX_32), 0)
    options = attribute(_TBF_PARMS, parameters) + u32(_TBF_BURST, burst)
    if rate >= _MAX_32:
        options += attribute(_TBF_RATE64, struct.pack("=Q", rate))
    body = _tcmsg(index, handle=BUCKET, parent=_ROOT)
    body += string(_TCA_KIND, "tbf") + nested(_TCA_OPTIONS, options)
    command = f"tc qdisc add dev {name} root tbf"
    return Operation(_RTM_NEWQDISC, NLM_F_CREATE, body, command)


def no_bucket(index: int, name: str) -> Operation:
    """`tc qdisc del dev NAME root handle 7079: tbf`: nobody else's."""
    body = _tcmsg(index, handle=BUCKET, parent=_ROOT) + string(_TCA_KIND, "tbf")
    return Operation(_RTM_DELQDISC, 0, body, f"tc qdisc del dev {name} root tbf")


def makes(sock: Socket, kind: str) -> bool:
    """Whether the kernel has queues of that kind, which is asked for one without its parameters.

    True where it does not say, as to who may not ask.
    """
    body = _tcmsg(_LOOPBACK, parent=_ROOT) + string(_TCA_KIND, kind)
    command = f"tc qdisc add dev lo root {kind}"
    try:
        sock.transact(Operation(_RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, body, command))
    except KernelError as error:
        return error.errno != errno.ENOENT
    return True


def ticks(size: int, rate: int) -> int:
    """How long `size` bytes take at `rate` bytes a second, in units of 64 ns, as the kernel has it.

    net/sched/sch_generic.c, psched_ratecfg_precompute: it divides by a rate by multiplying and
    shifting.
    """
    factor, shift = 1_000_000_000, 0
    while not (factor // rate >> 31 & 1 or factor >> 63):
        factor, shift = factor << 1, shift + 1
    return (size * (factor // rate) >> shift) >> 6


def clsact(index: int, name: str) -> Operation:
    """`tc qdisc add dev NAME clsact`"""
    body = _tcmsg(index, handle=_CLSACT_HANDLE, parent=_CLSACT) + string(_TCA_KIND, "clsact")
    command = f"tc qdisc add dev {name} clsact"
    return Operation(_RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, body, command)


def no_clsact(index: int, name: str) -> Operation:
    """`tc qdisc del dev NAME clsact`"""
    body = _tcmsg(index, parent=_CLSACT) + string(_TCA_KIND, "clsact")
    return Operation(_RTM_DELQDISC, 0, body, f"tc qdisc del dev {name} clsact")


# --- filters -----------------------------------------------------------------------------------


def added(index: int, name: str, place: str, wanted: Filter) -> Operation:
    """`tc filter add dev NAME PLACE prio .. protocol .. u32 match .. [action mirred ..]`

    `place` is "ingress" or "egress". After those of its priority that are there.
    """
    keys = wanted.keys or (Key(bytes(4), bytes(4), 0),)
    selector = _SELECTOR.pack(_TERMINAL, 0, len(keys), 0, 0, 0, 0, 0)
    selector += b"".join(_KEY.pack(key.mask, key.value, key.offset, 0) for key in keys)
    options = attribute(_U32_SEL, selector)
    if wanted.to:
        parameters = _MIRRED.pack(0, 0, _STOLEN, 0, 0, _EGRESS_REDIR, wanted.to)
        redirection = nested(_ACT_OPTIONS, attribute(_MIRRED_PARMS, parameters))
        action = nested(1, string(_ACT_KIND, "mirred"), redirection)
        options += nested(_U32_ACT, action)
    else:
        options += u32(_U32_CLASSID, 1)
    body = _of_hook(index, place, wanted.priority, wanted.protocol)
    body += string(_TCA_KIND, "u32") + nested(_TCA_OPTIONS, options)
    command = f"tc filter add dev {name} {place} u32"
    return Operation(_RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL, body, command)


def removed(index: int, name: str, place: str, priority: int) -> Operation:
    """`tc filter del dev NAME PLACE prio PRIORITY`: all of them."""
    command = f"tc filter del dev {name} {place} prio {priority}"
    return Operation(_RTM_DELTFILTER, 0, _of_hook(index, place, priority, 0), command)


def filters(sock: Socket, index: int, place: str) -> list[tuple[int, Filter | None]]:
    """`tc filter show dev NAME PLACE`: each by its priority; None for one of another kind."""
    body = _of_hook(index, place)
    try:
        bodies = sock.dump(Operation(_RTM_GETTFILTER, 0, body, f"tc filter show {place}"))
    except KernelError as error:
        if error.errno in _NONE:
            return []
        raise
    return list(_parsed(bodies))


def _of_hook(index: int, place: str, priority: int = 0, protocol: int = 0) -> bytes:
    info = priority << 16 | _network_order(protocol)
    return _tcmsg(index, parent=_HOOKS[place], info=info)


def _network_order(value: int) -> int:
    return int(struct.unpack("=H", struct.pack(">H", value))[0])


def _parsed(bodies: Sequence[bytes]) -> Iterator[tuple[int, Filter | None]]:
    for body in bodies:
        _, _, handle, _, info = _TCMSG.unpack_from(body)
        if not handle:
            continue  # the list itself, not one of its filters
        found = dict(attributes(body[_TCMSG.size :]))
        options = dict(attributes(found.get(_TCA_OPTIONS, b"")))
        priority, protocol = info >> 16, _network_order(info & 0xFFFF)
        if text(found.get(_TCA_KIND, b"")) != "u32":
            yield priority, None
        elif _U32_SEL in options:  # else a table of u32's
            keys = tuple(_keys(options[_U32_SEL]))
            yield priority, Filter(priority, protocol, keys, _target(options.get(_U32_ACT, b"")))


def _keys(selector: bytes) -> Iterator[Key]:
    """Without the one that holds of everything."""
    for mask, value, offset, _ in _KEY.iter_unpack(selector[_SELECTOR.size :]):
        if any(mask):
            yield Key(mask, value, offset)


def _target(actions: bytes) -> int:
    for _, action in attributes(actions):
        options = dict(attributes(dict(attributes(action)).get(_ACT_OPTIONS, b"")))
        if parameters := options.get(_MIRRED_PARMS):
            return int(_MIRRED.unpack_from(parameters)[-1])
    return 0
