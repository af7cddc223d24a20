"""`pynet attach`, `pynet detach`: the friendly face of `pynet cni add` and `del`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from ..cni.conflist import NetworkList
from ..cni.keys import get_object
from ..cni.result import from_json
from ..model.errors import AlreadyAttached, CniError, ConfigError
from ..model.result import Result
from . import nouns
from .execution import Target
from .interfaces import interface_names
from .options import Places, network_argument, place_options
from .output import json_option, print_json
from .result_cache import Cached, ResultCache


@click.command(
    epilog="""\
\b
Examples:
  pynet attach c1 web                     a namespace made by `ip netns add c1`
  pynet attach 4711 web --ip 10.1.0.9     the namespace of a process
  pynet attach c1 backend --ifname eth1   a second network
"""
)
@click.argument("container", metavar="CONTAINER")
@network_argument
@click.option("--ifname", help="The interface's name in it. [default: the first free of eth0, ..]")
@click.option("--ip", "ips", multiple=True, metavar="ADDRESS", help="The address it is to have.")
@click.option("--mac", metavar="MAC", help="The MAC address it is to have.")
@click.option("--container-id", help="Its id. [default: the namespace's name]")
@place_options
@json_option
def attach(
    container: str,
    network: str,
    ifname: str | None,
    ips: tuple[str, ...],
    mac: str | None,
    container_id: str | None,
    places: Places,
    as_json: bool,
) -> None:
    """Connect CONTAINER to NETWORK.

    CONTAINER is a name under /run/netns, a path, a pid, or the id (or its beginning) of a
    container that is on another network already.
    """
    runtime = places.runtime()
    found = places.network(network)
    sandbox = nouns.sandbox(container, runtime.cache.attachments())
    nouns.require_alive(sandbox.netns)
    if ifname is None:
        _refuse_second(container, network, sandbox.netns, runtime.cache)
    target = Target(
        container=container_id or sandbox.container or nouns.friendly_container(sandbox.netns),
        netns=sandbox.netns,
        interface=ifname or _free_interface(sandbox.netns),
        **_wishes(found, ips, mac),
    )
    document = runtime.add(found, target)
    if as_json:
        print_json("attach/1", _about(container, network, target) | {"result": document})
    else:
        click.echo(_sentence(container, network, target, _result(document, found.cni_version)))


@click.command(
    epilog="""\
\b
Examples:
  pynet detach c1 web
  pynet detach c1 web --ifname eth1   where it is on the network twice
"""
)
@click.argument("container", metavar="CONTAINER")
@network_argument
@click.option("--ifname", help="Which interface. [default: the only one on this network]")
@place_options
@json_option
def detach(container: str, network: str, ifname: str | None, places: Places, as_json: bool) -> None:
    """Disconnect CONTAINER from NETWORK; its namespace may be gone already."""
    runtime = places.runtime()
    attached = _attachments_of(container, runtime.cache)
    chosen = [
        one for one in attached if one.network == network and ifname in (None, one.target.interface)
    ]
    if not chosen:
        on = ", ".join(f"{one.network} as {one.target.interface}" for one in attached)
        raise ConfigError(
            f"{container} is not on {network}{f' as {ifname}' if ifname else ''}: it is on "
            f"{on or 'no network'}, as far as {runtime.cache.results} knows"
        )
    if len(chosen) > 1:
        several = ", ".join(one.target.interface for one in chosen)
        raise ConfigError(f"{container} is on {network} as {several}: say which by --ifname")
    target = chosen[0].target
    runtime.delete(places.network_of(network, target), target)
    if as_json:
        print_json("detach/1", _about(container, network, target))
    else:
        click.echo(f"{container} is no longer on {network} ({target.interface} is gone)")


# --- which attachment ------------------------------------------------------------------


def _attachments_of(container: str, cache: ResultCache) -> list[Cached]:
    known = list(cache.attachments())
    sandbox = nouns.sandbox(container, known)
    return [
        cached
        for cached in known
        if cached.target.container == sandbox.container
        or nouns.same_namespace(cached.target.netns, sandbox.netns)
    ]


def _refuse_second(container: str, network: str, netns: str, cache: ResultCache) -> None:
    """Twice on one network is possible, and hardly ever what is meant."""
    for cached in cache.attachments(network):
        if nouns.same_namespace(cached.target.netns, netns):
            raise AlreadyAttached(
                f"{container} is on {network} already, as {cached.target.interface}; "
                "name another interface by --ifname to attach it twice"
            )


def _free_interface(netns: str) -> str:
    taken = interface_names(netns)
    return next(name for number in range(len(taken) + 1) if (name := f"eth{number}") not in taken)


def _wishes(network: NetworkList, ips: Sequence[str], mac: str | None) -> dict[str, Any]:
    """`ips` and `mac` as arguments of capabilities where a plugin has them, else as CNI_ARGS.

    Never as both: CNI conventions, "args".
    """
    declared = {
        name
        for plugin in network.plugins
        for name, on in (get_object(plugin, "capabilities") or {}).items()
        if on
    }
    capabilities: dict[str, Any] = {}
    pairs: list[str] = []
    if ips and "ips" in declared:
        capabilities["ips"] = list(ips)
    elif ips:
        pairs.append(f"IP={','.join(ips)}")
    if mac and "mac" in declared:
        capabilities["mac"] = mac
    elif mac:
        pairs.append(f"MAC={mac}")
    args = ";".join([*pairs, "IgnoreUnknown=1"] if pairs else [])
    return {"capabilities": capabilities, "args": args}


# --- what is said ----------------------------------------------------------------------


def _about(container: str, network: str, target: Target) -> dict[str, Any]:
    return {
        "container": container,
        "network": network,
        "containerID": target.container,
        "ifname": target.interface,
        "netns": target.netns,
    }


def _result(document: Mapping[str, Any], version: str) -> Result:
    """What cannot be read is as good as nothing: the container is attached all the same."""
    try:
        return from_json(document, version)
    except CniError:
        return Result()


def _sentence(container: str, network: str, target: Target, result: Result) -> str:
    addresses = " and ".join(ip.address for ip in result.ips)
    gateways = " and ".join(ip.gateway for ip in result.ips if ip.gateway)
    said = f"{container} is on {network} as {target.interface}"
    said += f" with {addresses}" if addresses else ", without an address"
    return said + (f", gateway {gateways}" if gateways else "")
