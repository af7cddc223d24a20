"""Whether a new network can have the bridge that it is to be given, on this host."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import blake2b
from ipaddress import IPv4Interface, IPv6Interface, ip_interface, ip_network
from typing import Any

from ...model.errors import ConfigError
from ...model.shown import command


def bridge_name(network: str) -> str:
    """`pn-NETWORK`, shortened to what an interface may be called: 15 bytes."""
    whole = f"pn-{network}"
    if len(whole) <= 15:
        return whole
    return f"pn-{network[:6]}{blake2b(network.encode(), digest_size=3).hexdigest()}"


def refuse_taken(bridge: str, subnets: Iterable[str]) -> None:
    """Raises `ConfigError` where an ADD would refuse the interface of that name which is there.

    The network's own bridge is no obstacle: it stands where the file was lost.
    """
    from pyroute2 import IPRoute

    with IPRoute() as kernel:
        (link,) = kernel.link("dump", ifname=bridge) or (None,)
        if link is None:
            return
        kind = _kind(link)
        present = [_address(each) for each in kernel.get_addr(index=link["index"])]
    if kind != "bridge":
        raise ConfigError(
            f"this host has an interface {bridge} already, and it is no bridge: choose another"
            f" name for the network, or remove that: {command('ip', 'link', 'del', bridge)}"
        )
    for other in _in_the_way([ip_interface(_gateway(subnet)) for subnet in subnets], present):
        raise ConfigError(
            f"this host has a bridge {bridge} already, with the address {other}, which is not this"
            " network's: choose another name for the network"
        )


def _kind(link: Any) -> str:
    info = link.get_attr("IFLA_LINKINFO")
    return str(info.get_attr("IFLA_INFO_KIND")) if info else ""


def _address(message: Any) -> IPv4Interface | IPv6Interface:
    text = message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS")
    return ip_interface(f"{text}/{message['prefixlen']}")


def _gateway(subnet: str) -> str:
    """The first address, which host-local leaves to the gateway."""
    network = ip_network(subnet)
    return f"{network[1]}/{network.prefixlen}"


def _in_the_way(
    wanted: list[IPv4Interface | IPv6Interface], present: list[IPv4Interface | IPv6Interface]
) -> Iterator[IPv4Interface | IPv6Interface]:
    """As the bridge plugin sees it: of IPv4 any other, of IPv6 what overlaps."""
    for other in present:
        if other in wanted:
            continue
        if any(
            one.version == other.version
            and (one.version == 4 or other.network.overlaps(one.network))
            for one in wanted
        ):
            yield other
