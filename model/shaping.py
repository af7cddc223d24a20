"""What limits the rate of an interface: a token bucket, and what leads packets to it.

A bucket (`tc-tbf(8)`) delays what an interface sends. What is to be delayed elsewhere, or only in
part, is led to an interface of kind `ifb` first, has its bucket there, and goes on from there as if
nothing had happened.
"""

from __future__ import annotations

from typing import Literal

from .resource import Resource, Undo

Hook = Literal["ingress", "egress"]
"""What an interface receives, before anybody else sees it, or what it is about to send."""
Side = Literal["src", "dst"]


class Ifb(Resource, kw_only=True):
    """`ip link add NAME address MAC mtu MTU type ifb; ip link set NAME up`

    Its name and MAC tell it from others'; with `mac` "" the name alone does. `mtu` 0 is the
    kernel's default.
    """

    kind = "ifb"
    identity = ("place", "name")
    name: str
    mac: str = ""
    mtu: int = 0

    def describe(self) -> str:
        return f"ifb {self.name}, up" + self.whereabouts


class RateLimit(Resource, kw_only=True):
    """`tc qdisc add dev NAME root handle 7079: tbf rate RATE burst BURST limit QUEUE`

    `rate` is in bits per second, `burst` in bytes: what goes out at once after a pause. Of what
    has to wait, `queue` bytes are kept and the rest is dropped.
    """

    kind = "rate-limit"
    identity = ("place", "name")
    name: str
    rate: int
    burst: int
    queue: int

    def describe(self) -> str:
        return f"{self.name} limited to {self.rate} bit/s, {self.burst} bytes at once" + (
            self.whereabouts
        )


class TrafficHook(Resource, kw_only=True):
    """`tc qdisc add dev NAME clsact`: the place where filters see what comes and goes.

    Others' filters may stand there, too: it stays as long as any does.
    """

    kind = "traffic-hook"
    undo = Undo.LAST_USER
    may_be_found = True
    identity = ("place", "name")
    name: str

    def describe(self) -> str:
        return f"hook for filters on {self.name}" + self.whereabouts


class Redirect(Resource, kw_only=True):
    """`tc filter add dev NAME HOOK prio 20000.. u32 match .. action mirred egress redirect dev TO`

    Without `subnets` it is about all packets. With `only`, those whose `side` (source or
    destination) is in one of the subnets go to `to`; without, all others do.
    """

    kind = "redirect"
    identity = ("place", "name", "hook")
    name: str
    hook: Hook
    to: str
    side: Side = "src"
    subnets: tuple[str, ...] = ()
    only: bool = False

    def describe(self) -> str:
        what = "everything"
        if self.subnets:
            what = f"{'' if self.only else 'all but '}{self.side} {', '.join(self.subnets)}"
        return f"{self.hook} of {self.name} led to {self.to}: {what}" + self.whereabouts
