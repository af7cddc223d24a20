"""A bridge's ports: membership, flags, VLANs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from ...model.plan import Drift
from ...model.resources import BridgePort
from ..netlink import links, ports
from ..netlink.refusals import GONE, tolerating, vlans_required
from ..netlink.rtnl import Operation
from ..netlink.rtnl_socket import Socket
from ..places import Places
from .batch import LinkHandler
from .handler import compare, missing

_DEFAULT_VLAN = 1
Range = tuple[int, int]


class BridgePortHandler(LinkHandler[BridgePort]):
    def exists(self, at: Places, resource: BridgePort) -> bool:
        sock = at.socket("host")
        port, bridge = ports.by_name(sock, resource.name), links.index(sock, resource.bridge)
        return port is not None and bridge != 0 and port.bridge == bridge

    def operations(self, resource: BridgePort, index: Callable[[str], int]) -> Iterator[Operation]:
        yield links.master(resource.name, index(resource.bridge), resource.bridge)
        if resource.hairpin or resource.isolated:
            yield ports.flags(resource.name, hairpin=resource.hairpin, isolated=resource.isolated)

    def settle(self, at: Places, resource: BridgePort) -> None:
        sock = at.socket("host")
        keep_mac(sock, resource.bridge, resource.bridge_mac)
        if resource.pvid or resource.tagged:
            with vlans_required(f"vlan {resource.pvid}, vlanTrunk {list(resource.tagged)}"):
                set_vlans(
                    sock,
                    resource.name,
                    pvid=resource.pvid,
                    tagged=resource.tagged,
                    keep_default=resource.keep_default_vlan,
                )

    def verify(self, at: Places, resource: BridgePort) -> list[Drift]:
        sock = at.socket("host")
        port = ports.by_name(sock, resource.name)
        if port is None:
            return [missing(resource.name)]
        drifts = compare(resource.name, master=(resource.bridge, _name(sock, port.bridge)))
        if drifts:
            return drifts
        drifts = compare(
            resource.name,
            hairpin=(resource.hairpin, port.hairpin),
            isolated=(resource.isolated, port.isolated),
            **{flag: (ports.USUAL[flag][1], found) for flag, found in port.usual.items()},
        )
        if resource.pvid or resource.tagged:
            drifts += vlan_drift(sock, port, resource.name, resource.pvid, resource.tagged)
        return drifts

    def mend(self, at: Places, resources: Sequence[BridgePort], drifts: Sequence[Drift]) -> None:
        """Their flags too, where they are to be as a new port's are."""
        super().mend(at, resources, drifts)
        sock = at.socket("host")
        for each in resources:
            sock.transact(
                ports.flags(each.name, hairpin=each.hairpin, isolated=each.isolated),
                *(
                    ports.usual(each.name, drift.property.replace(" ", "_"))
                    for drift in drifts
                    if drift.subject == each.name
                    and drift.property.replace(" ", "_") in ports.USUAL
                ),
            )

    def delete(self, at: Places, resource: BridgePort, previous: str | None) -> None:
        with tolerating(GONE):
            at.socket("host").transact(links.master(resource.name, 0, ""))


def keep_mac(sock: Socket, bridge: str, mac: str) -> None:
    """`ip link set BRIDGE address MAC`, where it has another by now; nothing with no `mac`."""
    if mac and links.required(sock, bridge).mac != mac:
        sock.transact(links.address(bridge, mac))


def set_vlans(
    sock: Socket, name: str, *, pvid: int, tagged: Sequence[Range], keep_default: bool
) -> None:
    """`bridge vlan add dev NAME ...`, and `bridge vlan del dev NAME vid 1`."""
    index = links.required_index(sock, name)
    wanted = ports.vlans_added(index, name, pvid, tagged)
    if keep_default:
        sock.transact(wanted)
    else:
        sock.transact(ports.vlan_removed(index, name, _DEFAULT_VLAN), wanted)


def vlan_drift(
    sock: Socket, port: ports.Port, name: str, pvid: int, tagged: Sequence[Range]
) -> list[Drift]:
    """Where the port's VLANs are not as `set_vlans` made them; more than those are no drift."""
    found = ports.vlans(sock, port.link, name)
    drifts = []
    if pvid:
        shown = found.pvid if found.pvid_untagged else f"{found.pvid} tagged"
        drifts += compare(name, pvid=(pvid, shown))
    wanted = {vlan for first, last in tagged for vlan in range(first, last + 1)}
    lacking = sorted(wanted - found.tagged - {found.pvid})
    return drifts + [missing(name, f"VLAN {vlan}") for vlan in lacking]


def _name(sock: Socket, index: int) -> str:
    return (index and links.name_of(sock, index)) or "none"
