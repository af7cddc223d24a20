"""`pynet network create` and `rm`: a network is a file that every runtime reads."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from ...model.errors import ConfigError
from ...model.shown import command, command_line
from .. import values
from ..cni import conf_dir as directory
from ..cni.options import conf_dir_option, network_argument
from ..output import json_option, print_json, print_text, say
from .bridge_name import bridge_name, refuse_taken
from .in_use import bridges_of
from .subnets import Subnet, chosen, parsed, refuse_used

CNI_VERSION = "1.0.0"
"""Of what is written: containerd 1.6 and Podman 4 read no newer one."""


def _subnets_given(
    ctx: click.Context, parameter: click.Parameter, texts: Sequence[str]
) -> list[Subnet]:
    try:
        return parsed(texts)
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, parameter) from None


@click.command(
    epilog="""\
\b
Examples:
  pynet network create web                                 subnets are chosen
  pynet network create web --subnet 10.1.0.0/24            IPv4 alone
  pynet network create web --subnet 10.1.0.0/24 --subnet fd00:1::/64
  pynet network create web --dry-run                       what would be written
"""
)
@click.argument("name", callback=values.new_network)
@click.option(
    "--subnet",
    "subnets",
    multiple=True,
    metavar="CIDR",
    callback=_subnets_given,
    help="Where its addresses come from, one of each IP family. [default: two that are free]",
)
@click.option("--mtu", type=click.IntRange(68, 65535), help="[default: what the way out takes]")
@conf_dir_option
@click.option("--dry-run", is_flag=True, help="Print the file, write nothing.")
@json_option
def create(
    name: str,
    subnets: Sequence[Subnet],
    mtu: int | None,
    conf_dir: str,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Make a network: a bridge of this host with a way out, published ports and a firewall.

    It is a file in the configuration directory, which every runtime reads. The bridge is made with
    its first container. A network that is there already, with these very subnets, is left as it is.
    """
    there = next((each for each in directory.networks(conf_dir) if _is(each, name)), None)
    if there is not None:
        document, path, made = _same(there, name, subnets, mtu, conf_dir), there.file, False
    else:
        path, made = f"{name}.conflist", not dry_run
        document = _document(name, _subnets(name, subnets, conf_dir), mtu)
        content = json.dumps(document, indent=2).encode() + b"\n"
        directory.refuse_hidden(name, (path, content), conf_dir)
        _refuse_another_in(Path(conf_dir, path))
        refuse_taken(bridge_name(name), subnets=_subnet_texts(document))
        if made:
            _write(Path(conf_dir, path), content)
    file = str(Path(conf_dir, path))
    if as_json:
        print_json("network.create/1", {"file": file, "made": made, "configuration": document})
    elif dry_run:
        print_text(json.dumps(document, indent=2))
    else:
        told = " and ".join(_subnet_texts(document))
        say(f"network {name} {'made' if made else 'is there'}: {told} ({file})")
        say(f"next: {command_line('pynet', 'attach', 'CONTAINER', name)}")


@click.command(
    epilog="""\
\b
Example:
  pynet network rm web
"""
)
@network_argument
@conf_dir_option
@json_option
def rm(network: str, conf_dir: str, as_json: bool) -> None:
    """Remove a network that nobody is attached to, and its bridge where pynet made it."""
    from ..recorded import records

    found = next((each for each in directory.networks(conf_dir) if _is(each, network)), None)
    if found is None:
        directory.network_named(network, conf_dir)  # its error says what there is
        raise ConfigError(f'network "{network}" has just been removed from {conf_dir}')
    attached = sorted({f"{each.container} ({each.interface})" for each in records(network)})
    if attached:
        shown = ", ".join(attached[:5]) + (f" and {len(attached) - 5} more" if attached[5:] else "")
        raise ConfigError(
            f"network {network} is in use by {shown}:"
            f" {command('pynet', 'detach', 'CONTAINER', network)} first;"
            f" where the container is gone, {command('pynet', 'cni', 'gc', network, '--yes')}"
        )
    _refuse_while_unplaced(network, found)
    path = Path(conf_dir, found.file)
    path.unlink()
    bridges = _remove_unused(_bridges_of_none_other(found, conf_dir))
    if as_json:
        print_json("network.rm/1", {"file": str(path), "bridges": bridges})
        return
    say(f"network {network} removed ({path})")
    for bridge in bridges:
        say(f"bridge {bridge} removed")


def _refuse_while_unplaced(network: str, found: directory.Found) -> None:
    """Raises `ConfigError` where somebody may be attached who is not on record as of a network."""
    from ...daemon.settings import settings
    from ..findings.strangers import unplaced
    from .in_use import bridges_of

    if not (who := unplaced(settings(os.environ).state)):
        return
    if on := who.on(bridges_of(found)):
        mend = who.strangers or "their records were lost: whoever attached them can detach them"
        raise ConfigError(
            f"network {network} may be in use by whoever is behind {', '.join(on)}; {mend}"
        )


# --- what is written --------------------------------------------------------------------


def _subnets(name: str, given: Sequence[Subnet], conf_dir: str) -> list[Subnet]:
    from .in_use import in_use

    used = in_use(directory.networks(conf_dir))
    if not given:
        return chosen(name, _machine(), used)
    for subnet in given:
        refuse_used(subnet, used, bridge_name(name))
    return list(given)


def _document(name: str, subnets: Sequence[Subnet], mtu: int | None) -> dict[str, Any]:
    bridge: dict[str, Any] = {
        "type": "bridge",
        "bridge": bridge_name(name),
        "isDefaultGateway": True,
        "ipMasq": True,
        "hairpinMode": True,
        "ipam": {"type": "host-local", "ranges": [[{"subnet": str(one)}] for one in subnets]},
    }
    if mtu:
        bridge["mtu"] = mtu
    portmap = {"type": "portmap", "capabilities": {"portMappings": True}}
    plugins = [bridge, portmap, {"type": "firewall"}]
    return {"cniVersion": CNI_VERSION, "name": name, "plugins": plugins}


def _refuse_another_in(path: Path) -> None:
    """Raises `ConfigError` where there is a file already: it is none of ours to replace."""
    if not (path.is_symlink() or path.is_file()):
        return
    networks = directory.networks(str(path.parent))
    there = next((each.network for each in networks if each.file == path.name), None)
    what = f"is network {there.name}" if there else "can't be read as a network"
    raise ConfigError(f"{path} is there already, and {what}: choose another name, or move it away")


def _write(path: Path, content: bytes) -> None:
    from ..install.file_changes import WriteFile

    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    WriteFile(path, content, 0o644).apply()


def _same(
    found: directory.Found, name: str, subnets: Sequence[Subnet], mtu: int | None, conf_dir: str
) -> dict[str, Any]:
    """The network that is there. Raises `ConfigError` where another one is asked for."""
    assert found.network is not None
    plugins = [dict(plugin) for plugin in found.network.plugins]
    document = {"cniVersion": found.network.cni_version, "name": name, "plugins": plugins}
    has = _subnet_texts(document)
    # Of what others wrote there may be subnets that are none of ours.
    with suppress(ValueError):
        wanted = list(subnets) or parsed(has)
        if _document(name, wanted, mtu)["plugins"] == plugins:
            return document
    raise ConfigError(
        f"network {name} is there already, and is another one"
        f" ({' and '.join(has) or 'without subnets'}, {Path(conf_dir, found.file)}):"
        f" choose another name, or {command('pynet', 'network', 'rm', name)} first"
    )


def _subnet_texts(document: dict[str, Any]) -> list[str]:
    from .in_use import subnets_of

    return [text for plugin in document["plugins"] for text in subnets_of(plugin)]


def _is(found: directory.Found, name: str) -> bool:
    return found.network is not None and found.network.name == name


def _machine() -> str:
    from ...kernel.machine import machine

    return machine()


def _bridges_of_none_other(removed: directory.Found, conf_dir: str) -> set[str]:
    """The bridges that no other network is configured to use."""
    others = [bridge for each in directory.networks(conf_dir) for bridge in bridges_of(each)]
    return set(bridges_of(removed)).difference(others)


def _remove_unused(bridges: Collection[str]) -> list[str]:
    """Those of them that pynet made and that nobody uses; none without a store."""
    from ...daemon.settings import settings
    from ...engine.collecting import remove_unused_bridges
    from ...model.resources import Bridge
    from ..site import site

    with site(settings(os.environ).state) as here:
        removed = remove_unused_bridges(here, bridges) if here is not None else []
        return [bridge.name for bridge in removed if isinstance(bridge, Bridge)]
