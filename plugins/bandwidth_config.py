"""The keys of `bandwidth`, and which of the rates that are given twice holds.

Names, units and bounds are the reference plugin's: bits a second, and bits at once.
"""

from __future__ import annotations

from ipaddress import ip_network
from typing import Annotated

from ..cni.addresses import is_cidr
from ..cni.net_conf import NetConf
from ..cni.section import Clash, Section, Unfit, within
from ..model.value import Value

MAX_RATE = (1 << 63) - 1
_SLOWEST = 8
"""The kernel counts whole bytes a second."""
MAX_BURST = 8 * ((1 << 32) - 1) - 1
"""4 GiB: the kernel counts a burst's bytes in 32 bits."""


def _possible_rate(rate: int) -> int:
    if 0 < rate < _SLOWEST:
        raise Unfit(f"is below {_SLOWEST} bit/s")
    return rate


def _subnet(text: str) -> str:
    if not is_cidr(text):
        raise Unfit("is not a subnet, such as 10.0.0.0/8 or fd00::/8")
    return str(ip_network(text, strict=False))


Rate = Annotated[int, within(0, MAX_RATE), _possible_rate]
Burst = Annotated[int, within(0, MAX_BURST)]
Subnets = tuple[Annotated[str, _subnet], ...]


class Limit(Value):
    """`rate` in bits a second, `burst` in bits."""

    rate: int
    burst: int


class Rates(Section):
    """What limits either direction, and the remote addresses it is about."""

    ingressRate: Rate | None = None
    ingressBurst: Burst | None = None
    egressRate: Rate | None = None
    egressBurst: Burst | None = None
    shapedSubnets: Subnets = ()
    unshapedSubnets: Subnets = ()

    def check(self) -> None:
        _limit("ingress", self.ingressRate, self.ingressBurst)
        _limit("egress", self.egressRate, self.egressBurst)
        if self.shapedSubnets and self.unshapedSubnets:
            both = "shapedSubnets", "unshapedSubnets"
            raise Clash(f"{' and '.join(both)} exclude each other: give one", *both)

    @property
    def ingress(self) -> Limit | None:
        """Of what the container receives; None for no limit."""
        return _limit("ingress", self.ingressRate, self.ingressBurst)

    @property
    def egress(self) -> Limit | None:
        """Of what the container sends."""
        return _limit("egress", self.egressRate, self.egressBurst)


def _limit(direction: str, rate: int | None, burst: int | None) -> Limit | None:
    """A runtime may give both as 0, for no limit. Raises ValueError for one without the other."""
    if rate and burst:
        return Limit(rate, burst)
    if rate:
        raise ValueError(
            f"{direction}Rate: {rate} needs {direction}Burst, the bits that may pass at once"
        )
    if rate == 0 and burst != 0:
        raise ValueError(
            f"{direction}Rate: 0 would let nothing through; for no limit leave out"
            f" {direction}Rate and {direction}Burst"
        )
    if burst:
        raise ValueError(f"{direction}Burst: {burst} needs {direction}Rate, in bits a second")
    return None


class RuntimeBandwidth(Section):
    """The capability `bandwidth` (CNI conventions, "Dynamic plugin specific fields")."""

    bandwidth: Rates = Rates()


class BandwidthConf(Rates, NetConf):
    runtimeConfig: RuntimeBandwidth = RuntimeBandwidth()

    @property
    def rates(self) -> Rates:
        """The configuration's where it gives any, both directions; else the runtime's."""
        return self if self.ingress or self.egress else self.runtimeConfig.bandwidth

    @property
    def among(self) -> Rates:
        """Who gives the subnets, likewise: an administrator's hold for rates of a runtime's."""
        own = self.shapedSubnets or self.unshapedSubnets
        return self if own else self.runtimeConfig.bandwidth
