"""`pynet network` and its `ls`, `show`, `validate`: networks as they are on disk and in use."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ...cni.keys import get
from ...model.errors import CniError, ConfigError
from ...model.shown import short_id
from ..cni import conf_dir
from ..cni.conf_dir import Found
from ..cni.execution import Plugins
from ..cni.options import conf_dir_option, network_argument, plugin_dir_option
from ..failure import Failure, failure
from ..output import Branch, json_option, print_json, print_table, print_tree, print_wrapped, say
from .changes import create, rm
from .in_use import bridges_of, subnets_of

if TYPE_CHECKING:
    from ..findings.strangers import Unplaced
    from ..inspect.attached import Attached
    from .validation import Finding


@click.group(
    epilog="""\
\b
Example:
  pynet network create web
  pynet network ls
"""
)
def network() -> None:
    """Make, list, show, check and remove networks."""


network.add_command(create)
network.add_command(rm)


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
    from ..recorded import attachments

    found = _networks(conf_dir)
    counted, unplaced = attachments(), _unplaced()
    documents = [_summary(one, counted, unplaced) for one in found]
    if as_json:
        print_json("network.ls/2", {"directory": conf_dir, "networks": documents})
    elif not found:
        say(f"no networks in {conf_dir}; `pynet network create web` makes one")
    else:
        rows = [_row(document) for document in documents]
        print_table(("NAME", "PLUGINS", "BRIDGE", "SUBNETS", "ATTACHED", "FILE"), rows)
        for document in documents:
            if document["error"]:
                print_wrapped(f"broken: {_said(document)}")


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
    """Show one network: its plugins as they are configured, and who is attached to it.

    That is what is on record: `pynet inspect NETWORK` compares it with the kernel.
    """
    from ..recorded import attachments

    found = _named(network, conf_dir)
    unplaced = _unplaced()
    document = _summary(found, attachments(), unplaced)
    members = _members(network)
    assert found.network is not None
    if as_json:
        more = {
            "disableCheck": found.network.disable_check,
            "disableGC": found.network.disable_gc,
            "configuration": list(found.network.plugins),
            "attached": None if members is None else [_member(one) for one in members],
        }
        print_json("network.show/2", document | more)
        return
    root = Branch(f"{network} (CNI {found.network.cni_version}, {found.file})")
    for plugin in found.network.plugins:
        branch = root.add(str(get(plugin, "type")))
        for line in _lines(plugin, ""):
            branch.add(line)
    ends = unplaced.on(bridges_of(found)) if unplaced else []
    if members or not ends:
        _add_members(root, members)
    if unplaced and ends:
        lost = root.add(f"may be attached, and is on no record of it: {', '.join(ends)}")
        lost.add(str(unplaced.strangers or "whoever attached them can detach them"))
    print_tree(root)


def _unplaced() -> Unplaced | None:
    """Who is connected to nobody knows which network; None where nobody can tell."""
    from ...daemon.settings import settings
    from ..findings.strangers import unplaced

    try:
        return unplaced(settings(os.environ).state)
    except (CniError, OSError):
        return None


def _members(network: str) -> list[Attached] | None:
    """Who is on record; None where the store can't be read."""
    from ..inspect.on_record import on_record

    try:
        return on_record(network)
    except CniError:
        return None


_SHOWN = ("container", "interface", "netns", "created", "addresses", "ports")


def _member(attached: Attached) -> dict[str, Any]:
    document = attached.to_json()
    return {key: document[key] for key in _SHOWN}


def _add_members(root: Branch, members: Sequence[Attached] | None) -> None:
    from ..inspect.published import published

    if members is None:
        root.add("who is attached can't be told: the store can't be read")
        return
    branch = root.add(f"{len(members)} attached" if members else "none attached")
    for one in members:
        cells = [short_id(one.container), one.interface, *one.addresses]
        leaf = branch.add("  ".join(cells))
        if one.ports:
            leaf.add(f"published: {published(one.ports)}")


@network.command(
    epilog="""\
\b
Examples:
  pynet network validate                  all of the configuration directory
  pynet network validate ./web.conflist   one file, wherever it is
"""
)
@click.argument(
    "files", metavar="[FILE]...", nargs=-1, type=click.Path(exists=True, dir_okay=False)
)
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
    key that its plugin does not read. Of a plugin that is somebody else's it is only checked
    that it is there.
    """
    from .validation import NOTE

    looked = _looked_at(files, conf_dir, Plugins(plugin_dirs))
    if as_json:
        print_json(
            "network.validate/1",
            {
                "directory": None if files else conf_dir,
                "files": list(looked.files),
                "findings": [vars(finding) for finding in looked.findings],
                "foreign": looked.foreign,
            },
        )
    else:
        for finding in looked.findings:
            say(f"{'note: ' if finding.level == NOTE else ''}{finding}")
        if not looked.findings:
            say(_nothing_wrong(looked, "" if files else conf_dir))
        if looked.foreign and looked.files:
            say(f"not looked into, as somebody else's: {', '.join(looked.foreign)}")
    if looked.findings:
        ctx.exit(1)


def _nothing_wrong(looked: Looked, directory: str) -> str:
    if not looked.files:
        return f"no networks in {directory}; create one: `pynet network create web`"
    number = len(looked.files)
    where = f" in {directory}" if directory else ""
    counted = f"{number} file{'' if number == 1 else 's'}{where}"
    named = ", ".join(
        f"{file} ({' '.join(types)})" if types else file for file, types in looked.files.items()
    )
    return f"{counted}, no mistakes: {named}"


@dataclass(frozen=True)
class Looked:
    """`files` have the types of their plugins; `foreign` are those that are somebody else's."""

    files: Mapping[str, Sequence[str]]
    findings: Sequence[Finding]
    foreign: Sequence[str]


def _looked_at(files: tuple[str, ...], directory: str, plugins: Plugins) -> Looked:
    from .validation import overlapping, quarrelling, repeated, strangers
    from .validation import validate as validate_file

    findings: list[Finding] = []
    if files:
        networks = []
        for name in files:
            # What a list draws from beside it belongs to it, wherever it is.
            beside = conf_dir.files(os.path.dirname(name) or ".")  # noqa: PTH120
            file = (Path(name).name, conf_dir.document(Path(name)))
            found = validate_file(file, beside, plugins)
            findings += [replace(finding, file=name) for finding in found]
            networks.append(replace(conf_dir.read(file, beside), file=name))
    else:
        drop_ins = conf_dir.files(directory)
        own = [file for file in drop_ins if "/" not in file[0]]
        networks = conf_dir.networks(directory)
        findings = [one for file in own for one in validate_file(file, drop_ins, plugins)]
        findings += [*repeated(networks), *overlapping(networks), *quarrelling(networks)]
    checked = {found.file: found.types for found in networks}
    return Looked(checked, findings, strangers(networks, plugins))


# --- one network in few words ------------------------------------------------------------


def _networks(directory: str) -> list[Found]:
    return conf_dir.networks(directory)


def _named(name: str, directory: str) -> Found:
    conf_dir.network_named(name, directory)  # its error says what there is
    for found in conf_dir.networks(directory):
        if found.network and found.network.name == name:
            return found
    raise ConfigError(f'network "{name}" has just been removed from {directory}')


def _summary(
    found: Found, counted: Counter[str] | None, unplaced: Unplaced | None
) -> dict[str, Any]:
    """`attachments` is None where the store can't be read, or does not tell of all."""
    document: dict[str, Any] = {"file": found.file, "error": None}
    if found.network is None:
        error = failure(found.error) if found.error else Failure("")
        nothing = dict.fromkeys(("name", "cniVersion", "bridge", "attachments"))
        more = {"plugins": [], "subnets": [], "error": error.to_json()}
        return document | nothing | more
    plugins = found.network.plugins
    bridges = [str(get(plugin, "bridge")) for plugin in plugins if get(plugin, "bridge")]
    return document | {
        "name": found.network.name,
        "cniVersion": found.network.cni_version,
        "plugins": found.types,
        "bridge": bridges[0] if bridges else None,
        "subnets": list(
            dict.fromkeys(subnet for plugin in plugins for subnet in subnets_of(plugin))
        ),
        "attachments": None
        if counted is None or (unplaced and unplaced.on(bridges_of(found)))
        else counted[found.network.name],
    }


def _row(document: Mapping[str, Any]) -> tuple[str, ...]:
    if document["error"]:
        return ("?", "(broken)", "", "", "", str(document["file"]))
    count = document["attachments"]
    return (
        str(document["name"]),
        " ".join(document["plugins"]),
        str(document["bridge"] or "-"),
        " ".join(document["subnets"]) or "-",
        "?" if count is None else str(count),
        str(document["file"]),
    )


def _said(document: Mapping[str, Any]) -> str:
    """What is wrong with a file, which a table has no room for."""
    message = str(document["error"]["message"]).removeprefix(f"{document['file']}: ")
    return f"{document['file']}: {message}"


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
