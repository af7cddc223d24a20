"""`pynet attach`, `pynet detach`: the friendly face of `pynet cni add` and `del`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import click

from ..cni.conflist import NetworkList
from ..cni.result import from_json
from ..engine.witness import Fate
from ..model.errors import AlreadyAttached, CniError, Code, ConfigError
from ..model.result import Result
from ..model.shown import command, short_id
from . import values
from .cni import completing, forcing, known, nouns
from .cni.execution import Target
from .cni.options import Places, network_argument, place_options
from .cni.result_cache import Cached
from .cni.runtime import Runtime
from .interfaces import (
    identified,
    interface_names,
    interface_stands,
    is_another,
    is_own_address,
    set_loopback_up,
)
from .output import json_option, print_json, say
from .recorded import judging, records
from .wishes import as_typed, port_mapping, wishes


@click.command(
    epilog="""\
\b
Examples:
  pynet attach c1 web                     a namespace made by `ip netns add c1`
  pynet attach 4711 web --ip 10.1.0.9     the namespace of a process
  pynet attach c1 backend --ifname eth1   a second network
  pynet attach c1 web --publish 8080:80   this host's port 8080 leads to its port 80
"""
)
@click.argument(
    "container",
    metavar="CONTAINER",
    shell_complete=completing.namespaces,
    callback=values.noun,
)
@network_argument
@click.option(
    "--ifname",
    callback=values.interface,
    help="The interface's name in it. [default: the first free of eth0, ..]",
)
@click.option(
    "--ip",
    "ips",
    multiple=True,
    metavar="ADDRESS",
    callback=values.address,
    help="The address it is to have.",
)
@click.option("--mac", metavar="MAC", callback=values.mac, help="The MAC address it is to have.")
@click.option(
    "--publish",
    "ports",
    multiple=True,
    metavar="[IP:]PORT:PORT[/PROTO]",
    callback=values.published,
    help="A port of this host that is to lead to a port of it.",
)
@click.option(
    "--container-id",
    callback=values.name,
    help="Its id. [default: the namespace's name]",
)
@place_options
@json_option
def attach(
    container: str,
    network: str,
    ifname: str | None,
    ips: tuple[str, ...],
    mac: str | None,
    ports: tuple[str, ...],
    container_id: str | None,
    places: Places,
    as_json: bool,
) -> None:
    """Connect CONTAINER to NETWORK.

    CONTAINER is a name under /run/netns, a path, a pid, or the id (or its beginning) of a
    container that is attached already, or that Podman or Docker runs; or its name there.

    Its loopback interface, lo, is set up, too, as a container runtime does: without, it reaches
    neither 127.0.0.1 nor its own address. `pynet detach` leaves lo as it is.
    """
    mappings = [port_mapping(text) for text in ports]
    for text, mapping in zip(ports, mappings, strict=True):
        if (address := mapping.get("hostIP")) and not is_own_address(address):
            said = f"note: --publish {text}: {address} is no address of this host (yet)"
            say(f"{said}, so nobody reaches the port by it", err=True)
    runtime = places.runtime()
    found = places.network(network, wanted=True)
    attached = known.attachments(runtime.cache)
    sandbox = nouns.living(nouns.sandbox(container, attached))
    nouns.refuse_own(container, sandbox.netns)
    if ifname is None:
        _refuse_second(container, network, sandbox.netns, attached)
    target = Target(
        container=container_id or sandbox.container or nouns.friendly_container(sandbox.netns),
        netns=sandbox.netns,
        interface=ifname or _free_interface(sandbox.netns),
        **wishes(found, ips, mac, mappings),
    )
    with _said_of(container, target, ports):
        document = runtime.add(found, target)
    # A runtime calls the plugin `loopback`, or does it itself. It is the container's, so no record
    # is kept of it, and no DEL takes it away from another network.
    set_loopback_up(target.netns)
    if as_json:
        print_json("attach/1", _about(container, network, target) | {"result": document})
    else:
        say(_sentence(container, network, target, _result(document, found.cni_version)))


@click.command(
    epilog="""\
\b
Examples:
  pynet detach c1                     where it is on one network
  pynet detach c1 web
  pynet detach c1 web --ifname eth1   where it is on the network twice
  pynet detach c1 web --force         where a plugin of the network is gone for good
"""
)
@click.argument(
    "container",
    metavar="CONTAINER",
    shell_complete=completing.attached,
    callback=values.noun,
)
@click.argument(
    "network", metavar="[NETWORK]", required=False, shell_complete=completing.networks_of
)
@click.option(
    "--ifname",
    shell_complete=completing.interfaces_of,
    callback=values.interface,
    help="Which interface. [default: the only one on this network]",
)
@click.option(
    "--force",
    is_flag=True,
    help="Past plugins that fail: what can be undone is, the rest is named.",
)
@place_options
@json_option
@click.pass_context
def detach(
    ctx: click.Context,
    container: str,
    network: str | None,
    ifname: str | None,
    force: bool,
    places: Places,
    as_json: bool,
) -> None:
    """Disconnect CONTAINER from NETWORK; its namespace may be gone already.

    Exit status: 0 nothing is left of it; 1 it failed, or has left something.
    """
    runtime = places.runtime()
    chosen = _chosen(container, network, ifname, known.attachments(runtime.cache))
    network, target = chosen.network, chosen.target
    inside = _name_inside(_kept(runtime, network, target), target)
    left: list[str] = []
    if force:
        left = forcing.detach(runtime, _network_of(places, network, target), network, target)
    else:
        with forcing.offered("pynet", "detach", container, network, "--force"):
            runtime.delete(places.network_of(network, target), target)
        left = forcing.standing(target)
    if as_json:
        print_json("detach/2", _about(container, network, target) | {"left": left})
    else:
        if left:
            said = "detached, and not all of it is gone"
        else:
            gone = "" if inside == "lo" else f" ({inside} is gone)"
            said = f"no longer on {network}{gone}"
        say(f"{container} is {said}")
        for line in left:
            say(f"left: {line}")
    if left:
        ctx.exit(1)


# --- which attachment ------------------------------------------------------------------


def _chosen(
    container: str, network: str | None, ifname: str | None, attachments: Iterable[Cached]
) -> Cached:
    """The one attachment that is meant. Raises `CniError`."""
    attached = nouns.attached(container, attachments)
    chosen = [
        one
        for one in attached
        if network in (None, one.network) and ifname in (None, one.target.interface)
    ]
    if len(chosen) == 1:
        return chosen[0]
    as_named = f" as {ifname}" if ifname else ""
    if not chosen:
        on = _listed(attached)
        where = f"on {network}" if network else "attached"
        raise ConfigError(f"{container} is not {where}{as_named}: it is on {on}")
    if network is None:
        raise ConfigError(f"{container} is on {_listed(chosen)}: say which NETWORK")
    several = ", ".join(one.target.interface for one in chosen)
    raise ConfigError(f"{container} is on {network} as {several}: say which by --ifname")


def _listed(attached: Iterable[Cached]) -> str:
    return ", ".join(f"{one.network} as {one.target.interface}" for one in attached)


def _network_of(places: Places, name: str, target: Target) -> NetworkList | None:
    """None where nothing tells any more."""
    try:
        return places.network_of(name, target)
    except (CniError, OSError):
        return None


def _refuse_second(container: str, network: str, netns: str, attached: Iterable[Cached]) -> None:
    """Twice on one network is possible, and hardly ever what is meant."""
    here = identified(netns)
    for cached in attached:
        if cached.network != network or not nouns.same_namespace(cached.target.netns, netns):
            continue
        interface = cached.target.interface
        if is_another(cached.sandbox, here):
            _refuse_former(container, network, cached)
            continue
        if _is_half_done(cached):
            detach = command("pynet", "detach", container, network, "--ifname", interface)
            raise AlreadyAttached(
                f"an earlier attach or detach of {container} and {network} ended halfway; take back"
                f" what is left of it, then attach again: {detach}"
            )
        raise AlreadyAttached(
            f"{container} is on {network} already, as {interface}; "
            "name another interface by --ifname to attach it twice"
        )


def _refuse_former(container: str, network: str, cached: Cached) -> None:
    """The path is a new namespace's, and the one before it lives: a process is in there."""
    remembered = cached.remembered()
    with judging() as judges:
        if judges.fate(remembered) is Fate.DEAD:
            return  # the ADD removes what is left of it
    former, interface = cached.target.container, cached.target.interface
    detach = command("pynet", "detach", former, network, "--ifname", interface)
    raise AlreadyAttached(
        f"{container} is another namespace than it was: the one before is in use, and on {network}"
        f" still, as {short_id(former)} ({interface}); detach that first: {detach}"
    )


def _is_half_done(cached: Cached) -> bool:
    mine = cached.target.container, cached.target.interface
    with judging() as judges:
        return any(
            judges.is_half_done(record)
            for record in records(cached.network)
            if (record.container, record.interface) == mine
        )


@contextmanager
def _said_of(container: str, target: Target, ports: Sequence[str]) -> Iterator[None]:
    """What stands in the way in there, in the words that were typed."""
    try:
        yield
    except CniError as error:
        error.msg = as_typed(error.msg, ports)
        standing = interface_stands(target.netns, target.interface)
        if error.code is not Code.ALREADY_ATTACHED or not standing:
            raise
        raise AlreadyAttached(
            f"{container} has an interface {target.interface} already; choose another name by"
            " --ifname, or detach that one: `pynet inspect` shows what it is"
        ) from None


def _free_interface(netns: str) -> str:
    taken = interface_names(netns)
    return next(name for number in range(len(taken) + 1) if (name := f"eth{number}") not in taken)


# --- what is said ----------------------------------------------------------------------


def _about(container: str, network: str, target: Target) -> dict[str, Any]:
    return {
        "container": container,
        "network": network,
        "containerID": target.container,
        "ifname": target.interface,
        "netns": target.netns or None,
    }


def _result(document: Mapping[str, Any], version: str) -> Result:
    """What cannot be read is as good as nothing: the container is attached all the same."""
    try:
        return from_json(document, version)
    except CniError:
        return Result()


def _sentence(container: str, network: str, target: Target, result: Result) -> str:
    addresses = " and ".join(ip.address for ip in result.ips)
    leading_out = {":" in route.dst for route in result.routes if route.dst.endswith("/0")}
    # IPAM plugins name a gateway in any case; it is one for whom a route leads there.
    gateways = " and ".join(
        ip.gateway for ip in result.ips if ip.gateway and (":" in ip.gateway) in leading_out
    )
    said = f"{container} is on {network} as {_name_inside(result, target)}"
    said += f" with {addresses}" if addresses else ", without an address"
    return said + (f", gateway {gateways}" if gateways else "")


def _name_inside(result: Result, target: Target) -> str:
    """The interface that the container has: `loopback` sets up another than it is asked for."""
    names = [interface.name for interface in result.interfaces if interface.sandbox]
    return target.interface if target.interface in names or not names else names[-1]


def _kept(runtime: Runtime, network: str, target: Target) -> Result:
    """What its ADD has answered, as far as that is known."""
    cached = runtime.cache.read(network, target)
    document = cached.result if cached else {}
    return _result(document, str(document.get("cniVersion") or ""))
