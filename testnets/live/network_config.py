"""The CNI configuration of a network, and what a runtime adds for one container. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..spec.topology import Container, Network, Publication

CNI_VERSION = "1.1.0"
_LONGEST = 15
"""Bytes in the name of an interface (IFNAMSIZ of linux/if.h, less the zero)."""


def conflist(name: str, network: Network) -> dict[str, Any]:
    """What stands in /etc/cni/net.d: the list of plugins that are run for each container."""
    plugins = network.plugins or tuple(_plugins(name, network))
    return {"cniVersion": CNI_VERSION, "name": name, "plugins": list(plugins)}


def bridge_name(name: str, network: Network) -> str:
    """The bridge of a network: the given one, or one named after the network."""
    usual = f"br-{name}"
    if network.bridge or len(usual.encode()) <= _LONGEST:
        return network.bridge or usual
    return f"br-{hashlib.sha256(name.encode()).hexdigest()[:12]}"


def _plugins(name: str, network: Network) -> Iterator[dict[str, Any]]:
    bridge: dict[str, Any] = {
        "type": "bridge",
        "bridge": bridge_name(name, network),
        "capabilities": {"mac": True, "ips": True},
    }
    if network.subnets:
        ranges = [[{"subnet": subnet}] for subnet in network.subnets]
        bridge["ipam"] = {"type": "host-local", "ranges": ranges}
    if network.mtu:
        bridge["mtu"] = network.mtu
    if network.subnets and not network.internal:
        # A container reaches what it has published itself.
        bridge |= {"isDefaultGateway": True, "ipMasq": network.masquerade, "hairpinMode": True}
    yield bridge
    if network.subnets and not network.internal:
        yield {"type": "portmap", "capabilities": {"portMappings": True}}
    if network.ingress:
        yield {"type": "firewall", "ingressPolicy": network.ingress}


def calls(
    networks: Mapping[str, Network], container: Container, position: int
) -> list[dict[str, Any]]:
    """The plugins as a runtime calls them for the container's membership at `position`.

    What a plugin is capable of, it is told (CNI conventions). Ports are published by the first
    network that can; one that publishes is left out where there is nothing to publish, for it
    would do nothing. The first network that has a way out is the container's default route.
    """
    membership = container.networks[position]
    lists = [conflist(each.network, networks[each.network]) for each in container.networks]
    told: dict[str, Any] = {"ips": list(membership.ips), "mac": membership.mac}
    if not any(map(_publishes, lists[:position])):
        told["portMappings"] = _mappings(container.publish)
    is_way_out = not any(map(_leads_out, lists[:position]))
    return [
        _called(plugin, told, is_way_out)
        for plugin in lists[position]["plugins"]
        if plugin["type"] != "portmap" or told.get("portMappings")
    ]


def _called(plugin: Mapping[str, Any], told: Mapping[str, Any], is_way_out: bool) -> dict[str, Any]:
    capable = [key for key, able in plugin.get("capabilities", {}).items() if able]
    called = {**plugin, "runtimeConfig": {key: told[key] for key in capable if told.get(key)}}
    if not is_way_out and called.pop("isDefaultGateway", False):
        called["isGateway"] = True
    return called


def _publishes(network: Mapping[str, Any]) -> bool:
    return any(plugin.get("capabilities", {}).get("portMappings") for plugin in network["plugins"])


def _leads_out(network: Mapping[str, Any]) -> bool:
    return any(plugin.get("isDefaultGateway") for plugin in network["plugins"])


def interface(position: int) -> str:
    """The container's interface of the membership at `position`."""
    return f"eth{position}"


def _mappings(publications: Sequence[Publication]) -> list[dict[str, Any]]:
    return [
        {
            "hostPort": publication.host_port,
            "containerPort": publication.container_port,
            "protocol": publication.protocol,
            **({"hostIP": publication.host_ip} if publication.host_ip else {}),
        }
        for publication in publications
    ]
