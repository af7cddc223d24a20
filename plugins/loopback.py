"""`loopback`: a container's own 127.0.0.1, set up.

CNI_IFNAME is ignored, as the reference does: the interface is `lo`.
"""

from __future__ import annotations

from ..cni.net_conf import NetConf
from ..model.errors import CniError
from ..model.plan import Plan
from ..model.plugin import Plugin
from ..model.query import AddressesOn, HasIpv6, Seen
from ..model.request import Request
from ..model.resources import LinkUp
from ..model.result import Address, Interface, Result

NAME = "lo"
_ADDRESSES = AddressesOn(NAME, "sandbox")
_HAS_IPV6 = HasIpv6(NAME, "sandbox")


class Loopback(Plugin):
    name = "loopback"
    about = "sets the container's loopback interface up"
    config = NetConf
    checks_result = False

    def plan(self, request: Request, seen: Seen) -> Plan:
        seen.together(_ADDRESSES, _HAS_IPV6)
        addresses = seen[_ADDRESSES]
        for address in addresses:
            if not address.startswith("127.") and address != "::1/128":
                raise CniError(f"{NAME} in {request.netns} has the non-loopback address {address}")
        up = LinkUp(name=NAME, place="sandbox")
        if request.prev_result is not None:
            return Plan((up,), request.prev_result)
        # Setting lo up gives it these by itself, so they may not be there yet.
        ips = tuple(dict.fromkeys(("127.0.0.1/8", "::1/128", *addresses)))
        if not seen[_HAS_IPV6]:
            ips = tuple(ip for ip in ips if ":" not in ip)
        return Plan(
            (up,),
            Result(
                interfaces=(Interface(NAME, mac="00:00:00:00:00:00", sandbox=request.netns),),
                ips=tuple(Address(ip, interface=0) for ip in ips),
            ),
        )
