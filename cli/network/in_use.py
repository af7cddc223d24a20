"""What of the address space is in use here: this host's routes and name servers, other networks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from ipaddress import ip_address, ip_network
from typing import Any

from ...cni.keys import get
from ...launcher import plain
from ..cni.conf_dir import Found
from .subnets import Used

_NAMES = "/etc/resolv.conf"
_DEFAULT_BRIDGE = "cni0"  # of the reference, and so ours


def in_use(networks: Iterable[Found]) -> list[Used]:
    """Networks first: theirs is the better name for what is a route, too. Raises OSError."""
    return [*_networks(networks), *_routes(), *_name_servers()]


def _networks(networks: Iterable[Found]) -> Iterator[Used]:
    for found in networks:
        if found.network is None:
            continue
        for plugin in found.network.plugins:
            for text in (*subnets_of(plugin), *addresses_of(plugin)):
                with suppress(ValueError):
                    subnet = ip_network(text, strict=False)
                    yield Used(subnet, f"{subnet} of network {found.network.name} ({found.file})")


def bridges_of(found: Found) -> list[str]:
    """Of its plugins of type `bridge`, which have one by default, too."""
    plugins = found.network.plugins if found.network else ()
    return [
        str(get(plugin, "bridge") or _DEFAULT_BRIDGE)
        for plugin in plugins
        if get(plugin, "type") == "bridge"
    ]


def gateways_of(found: Found) -> Iterator[tuple[str, frozenset[str]]]:
    """Where its bridges get IPv4 gateways, and which: a bridge has those of one network."""
    for plugin in found.network.plugins if found.network else ():
        with_gateway = get(plugin, "isGateway") is True or get(plugin, "isDefaultGateway") is True
        if get(plugin, "type") != "bridge" or not with_gateway or get(plugin, "forceAddress"):
            continue
        bridge, vlan = str(get(plugin, "bridge") or _DEFAULT_BRIDGE), get(plugin, "vlan")
        gateways = set()
        for item in _subnets(plugin):
            with suppress(ValueError, IndexError):
                network = ip_network(get(item, "subnet"), strict=False)
                if network.version == 4:
                    address = get(item, "gateway") or str(network[1])
                    gateways.add(f"{address}/{network.prefixlen}")
        if gateways:
            yield f"{bridge}.{vlan}" if vlan else bridge, frozenset(gateways)


def subnets_of(plugin: Mapping[str, Any]) -> Iterator[str]:
    """Of `ipam.subnet` and `ipam.ranges`, whatever IPAM it is."""
    yield from (get(item, "subnet") for item in _subnets(plugin))


def addresses_of(plugin: Mapping[str, Any]) -> Iterator[str]:
    """Of `ipam.addresses`, with their prefix lengths."""
    ipam = get(plugin, "ipam")
    for item in _listed(get(ipam, "addresses") if isinstance(ipam, dict) else None):
        if isinstance(item, dict) and isinstance(address := get(item, "address"), str):
            yield address


def _subnets(plugin: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """What of `ipam` has a `subnet`."""
    ipam = get(plugin, "ipam")
    if not isinstance(ipam, dict):
        return
    ranges = [one for one in _listed(get(ipam, "ranges")) if isinstance(one, list)]
    for item in (ipam, *(item for one in ranges for item in one)):
        if isinstance(item, dict) and isinstance(get(item, "subnet"), str):
            yield item


def _listed(value: Any) -> Iterable[Any]:
    return value if isinstance(value, list) else ()


def _routes() -> Iterator[Used]:
    """All of this host but the default ones and link-local prefixes; addresses are among them."""
    from pyroute2 import IPRoute

    with IPRoute() as kernel:
        names = {link["index"]: link.get_attr("IFLA_IFNAME") for link in kernel.get_links()}
        for family in (2, 10):
            for route in kernel.get_routes(family):
                text = route.get_attr("RTA_DST")
                if not text or not route["dst_len"]:
                    continue
                subnet = ip_network(f"{text}/{route['dst_len']}", strict=False)
                if subnet.is_loopback or subnet.is_link_local or subnet.is_multicast:
                    continue
                device = names.get(route.get_attr("RTA_OIF")) or ""
                by = f" dev {device}" if device else ""
                yield Used(subnet, f"this host's route {subnet}{by}", device)


def _name_servers() -> Iterator[Used]:
    try:
        lines = plain.read(_NAMES).decode(errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        words = line.split()
        if len(words) > 1 and words[0] == "nameserver":
            with suppress(ValueError):
                address = ip_address(words[1].partition("%")[0])
                yield Used(ip_network(address), f"the name server {address} ({_NAMES})")
