"""`pynet network ls|show|validate`: the configured networks, as they are on disk and in use."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from ..cni.keys import get
from ..model.errors import ConfigError
from . import conf_dir
from .conf_dir import Found
from .execution import Plugins
from .options import conf_dir_option, network_argument, plugin_dir_option
from .output import Branch, json_option, print_json, print_table, print_tree


@click.group(
    epilog="""\
\b
Example:
  pynet network ls
  pynet network validate
"""
)
def network() -> None:
    """List, show and validate the configured networks."""


@network.command(
    epilog="""\
\b
Example:
  pynet network ls --conf-dir /etc/cni/net.d
"""
)
@conf_dir_option
@json_option
def ls(conf_dir: str, as_json: bool) -> None:
    """List the networks that runtimes find in the configuration directory."""
    from .recorded import attachments

    found = _networks(conf_dir)
    counted = attachments()
    documents = [_summary(one, counted) for one in found]
    if as_json:
        print_json("network.ls/1", {"directory": conf_dir, "networks": documents})
    elif not found:
        click.echo(f"No networks in {conf_dir}.")
    else:
        rows = [_row(document) for document in documents]
        print_table(("NAME", "PLUGINS", "BRIDGE", "SUBNETS", "ATTACHED", "FILE"), rows)


@network.command(
    epilog="""\
\b
Example:
  pynet network show web
"""
)
@network_argument
@conf_dir_option
@json_option
def show(network: str, conf_dir: str, as_json: bool) -> None:
    """Show one network: its plugins as they are configured, and who is attached to it."""
    from .recorded import attachments

    found = _named(network, conf_dir)
    document = _summary(found, attachments())
    assert found.network is not None
    if as_json:
        more = {
            "disableCheck": found.network.disable_check,
            "disableGC": found.network.disable_gc,
            "configuration": list(found.network.plugins),
        }
        print_json("network.show/1", document | more)
        return
    root = Branch(f"{network} (CNI {found.network.cni_version}, {found.file})")
    for plugin in found.network.plugins:
        branch = root.add(str(get(plugin, "type")))
        for line in _lines(plugin, ""):
            branch.add(line)
    root.add(f"{document['attachments']} attached" if document["attachments"] else "none attached")
    print_tree(root)


@network.command(
    epilog="""\
\b
Examples:
  pynet network validate                  all of the configuration directory
  pynet network validate ./web.conflist   one file, wherever it is
"""
)
@click.argument("files", metavar="[FILE]...", nargs=-1)
@conf_dir_option
@plugin_dir_option
@json_option
@click.pass_context
def validate(
    ctx: click.Context,
    files: tuple[str, ...],
    conf_dir: str,
    plugin_dirs: tuple[str, ...],
    as_json: bool,
) -> None:
    """Look for mistakes in network configurations; exit 1 where there are some.

    Plugins of pynet's are checked key by key, with what an ADD would check too. A note is a
    key that its plugin does not read.
    """
    from .validation import NOTE

    checked, findings = _findings(files, conf_dir, Plugins(plugin_dirs))
    if as_json:
        print_json(
            "network.validate/1",
            {"files": checked, "findings": [vars(finding) for finding in findings]},
        )
    else:
        for finding in findings:
            click.echo(f"{'note: ' if finding.level == NOTE else ''}{finding}")
        if not findings:
            click.echo(f"{len(checked)} file{'' if len(checked) == 1 else 's'}, no mistakes")
    if findings:
        ctx.exit(1)


def _findings(files: tuple[str, ...], directory: str, plugins: Plugins) -> Any:
    from .validation import repeated
    from .validation import validate as validate_file

    if not files:
        drop_ins = conf_dir.files(directory)
        own = [file for file in drop_ins if "/" not in file[0]]
        findings = [one for file in own for one in validate_file(file, drop_ins, plugins)]
        return [file for file, _ in own], findings + repeated(conf_dir.networks(directory))
    findings = []
    for name in files:
        # What a list draws from beside it belongs to it, wherever it is.
        beside = conf_dir.files(os.path.dirname(name) or ".")  # noqa: PTH120
        for finding in validate_file((Path(name).name, Path(name).read_bytes()), beside, plugins):
            findings.append(_renamed(finding, name))
    return list(files), findings


def _renamed(finding: Any, name: str) -> Any:
    from dataclasses import replace

    return replace(finding, file=name)


# --- one network in few words ------------------------------------------------------------


def _networks(directory: str) -> list[Found]:
    return conf_dir.networks(directory)


def _named(name: str, directory: str) -> Found:
    conf_dir.network_named(name, directory)  # its error says what there is
    for found in conf_dir.networks(directory):
        if found.network and found.network.name == name:
            return found
    raise ConfigError(f'network "{name}" has just been removed from {directory}')


def _summary(found: Found, counted: Counter[str] | None) -> dict[str, Any]:
    """`attachments` is None where the store can't be read."""
    document: dict[str, Any] = {"file": found.file}
    if found.network is None:
        said = found.error.msg if found.error else ""
        return document | {"error": said.removeprefix(f"{found.file}: ")}
    plugins = found.network.plugins
    bridges = [str(get(plugin, "bridge")) for plugin in plugins if get(plugin, "bridge")]
    return document | {
        "name": found.network.name,
        "cniVersion": found.network.cni_version,
        "plugins": found.types,
        "bridge": bridges[0] if bridges else None,
        "subnets": list(dict.fromkeys(subnet for plugin in plugins for subnet in _subnets(plugin))),
        "attachments": None if counted is None else counted[found.network.name],
    }


def _row(document: Mapping[str, Any]) -> tuple[str, ...]:
    if "error" in document:
        return ("?", str(document["error"]), "", "", "", str(document["file"]))
    count = document["attachments"]
    return (
        str(document["name"]),
        " ".join(document["plugins"]),
        str(document["bridge"] or "-"),
        " ".join(document["subnets"]) or "-",
        "?" if count is None else str(count),
        str(document["file"]),
    )


def _subnets(plugin: Mapping[str, Any]) -> Iterator[str]:
    """Of `ipam.subnet`, `ipam.ranges` and `ipam.addresses`, whatever IPAM it is."""
    ipam = get(plugin, "ipam")
    if not isinstance(ipam, dict):
        return
    ranges = [one for one in _listed(get(ipam, "ranges")) if isinstance(one, list)]
    for item in (ipam, *(item for one in ranges for item in one)):
        if isinstance(item, dict) and isinstance(subnet := get(item, "subnet"), str):
            yield subnet
    for item in _listed(get(ipam, "addresses")):
        if isinstance(item, dict) and isinstance(address := get(item, "address"), str):
            yield address


def _listed(value: Any) -> Iterable[Any]:
    return value if isinstance(value, list) else ()


def _lines(value: Mapping[str, Any], at: str) -> Iterator[str]:
    """`path = value` for each key of a plugin's configuration but its type."""
    for key, inside in value.items():
        path = f"{at}{key}"
        if isinstance(inside, dict):
            yield from _lines(inside, f"{path}.")
        elif path != "type":
            yield f"{path} = {inside if isinstance(inside, str) else _json(inside)}"


def _json(value: Any) -> str:
    from json import dumps

    return dumps(value)
