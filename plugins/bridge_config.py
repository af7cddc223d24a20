"""The keys of `bridge`, and what they exclude.

Names and defaults are the reference plugin's, so that an existing network list works.
"""

from __future__ import annotations

from ..cni.keys import get
from ..cni.names import interface_problem
from ..cni.net_conf import NetConf
from ..cni.section import Clash, Section

DEFAULT_VLAN = 1
"""The one that Linux puts a bridge's ports in."""
MAX_VLAN = 4094
MIN_MTU, MAX_MTU = 68, 65535
"""The kernel's bounds for bridges and veth pairs (include/uapi/linux/if_ether.h)."""


class VlanTrunk(Section):
    minID: int | None = None
    maxID: int | None = None
    id: int | None = None

    def check(self) -> None:
        self.ranges()

    def ranges(self) -> list[tuple[int, int]]:
        found = []
        if (self.minID is None) != (self.maxID is None):
            raise Clash("minID and maxID go together", "minID", "maxID")
        if self.minID is not None and self.maxID is not None:
            if not 1 <= self.minID <= self.maxID <= MAX_VLAN:
                raise Clash(
                    f"minID {self.minID} to maxID {self.maxID} is not a range within 1..{MAX_VLAN}",
                    "minID",
                    "maxID",
                )
            found.append((self.minID, self.maxID))
        if self.id is not None:
            if not 1 <= self.id <= MAX_VLAN:
                raise ValueError(f"id: {self.id} is not within 1..{MAX_VLAN}")
            found.append((self.id, self.id))
        return found


class BridgeConf(NetConf):
    bridge: str = "cni0"
    isGateway: bool = False
    isDefaultGateway: bool = False
    forceAddress: bool = False
    ipMasq: bool = False
    ipMasqBackend: str = ""
    """Accepted and without effect: there is one table, for every backend."""
    mtu: int = 0
    hairpinMode: bool = False
    promiscMode: bool = False
    vlan: int = 0
    vlanTrunk: tuple[VlanTrunk, ...] = ()
    preserveDefaultVlan: bool = False
    macspoofchk: bool = False
    ipspoofchk: bool = False
    """pynet's own: the reference has nothing like it."""
    enabledad: bool = False
    disableContainerInterface: bool = False
    portIsolation: bool = False

    def check(self) -> None:
        if problem := interface_problem(self.bridge):
            raise ValueError(f'bridge: "{self.bridge}" {problem}')
        if self.hairpinMode and self.promiscMode:
            both = "hairpinMode", "promiscMode"
            raise Clash(f"cannot set {' and '.join(both)} at the same time", *both)
        if not 0 <= self.vlan <= MAX_VLAN:
            raise ValueError(f"vlan: {self.vlan} is not within 0..{MAX_VLAN}")
        if self.mtu and not MIN_MTU <= self.mtu <= MAX_MTU:
            raise ValueError(f"mtu: {self.mtu} is not within {MIN_MTU}..{MAX_MTU}, nor 0")
        if self.disableContainerInterface and get(self.ipam, "type"):
            raise Clash(
                "cannot use IPAM when disableContainerInterface is set",
                "ipam",
                "disableContainerInterface",
            )
        if self.ipspoofchk and not get(self.ipam, "type"):
            raise ValueError("ipspoofchk: without ipam no address of the container is known")
        if self.ipMasqBackend not in ("", "iptables", "nftables"):
            raise ValueError(f'ipMasqBackend: "{self.ipMasqBackend}" is not iptables or nftables')

    @property
    def gateway(self) -> bool:
        return self.isGateway or self.isDefaultGateway

    @property
    def filters_vlans(self) -> bool:
        return bool(self.vlan or self.vlanTrunk)

    @property
    def untagged_vlan(self) -> int:
        """The VLAN of the port's untagged frames; 0 where it stays what the bridge has for it.

        A trunk has one, `preserveDefaultVlan` or not: so it is with the reference plugin.
        """
        bare_trunk = self.tagged_vlans() and not self.vlan
        return DEFAULT_VLAN if bare_trunk and not self.preserveDefaultVlan else self.vlan

    def vlans_asked(self) -> str:
        """Keys and values: CNI spec 1.1.0, "Error", wants them named where they can't be had."""
        spans = [f"{low}-{high}" if low < high else f"{low}" for low, high in self.tagged_vlans()]
        asked = [f"vlan {self.vlan}"] if self.vlan else []
        return ", ".join(asked + ([f"vlanTrunk {', '.join(spans)}"] if spans else []))

    def tagged_vlans(self) -> tuple[tuple[int, int], ...]:
        return tuple(pair for trunk in self.vlanTrunk for pair in trunk.ranges())
