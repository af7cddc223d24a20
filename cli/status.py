"""`pynet status`: is this host ready to connect containers?"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..cni.keys import get, get_object
from .output import age, counted, json_option, print_json, print_table, say

if TYPE_CHECKING:
    from ..cni.conflist import NetworkList
    from .agent_probe import Agent
    from .cni.conf_dir import Found
    from .install.plugin_dirs import Searched
    from .install.readiness import Plugins, Readiness, StoreState


_SHOWN = 5
"""How many findings about attachments are listed: `pynet inspect` has all."""


@click.command()
@click.option(
    "--bin-dir",
    "bin_dirs",
    type=click.Path(path_type=Path),
    multiple=True,
    help="A directory of plugins to look at, beside the usual ones.",
)
@json_option
@click.pass_context
def status(ctx: click.Context, bin_dirs: tuple[Path, ...], as_json: bool) -> None:
    """Say whether this host is ready to connect containers, and what is in the way.

    Daemon, agent, store, installed plugins, networks, container runtimes and where they look
    for plugins, this user's privilege, and what of the kernel is needed (tried out in a
    namespace of its own). No daemon is no fault: the first plugin that runs leaves one
    behind; nor is no agent, while nothing needs one. Every attachment is looked at, as
    `pynet inspect` does.

    Exit status: 0 ready, 1 something is in the way, or not as it should be.

    \b
    Examples:
      pynet status
      pynet status --json | jq .findings
    """
    from ..daemon.settings import settings
    from . import recorded
    from .install.in_force import DIRECTORIES
    from .install.plugin_dirs import searched
    from .install.readiness import RUNTIMES, survey, to_json

    recorded.refuse_blind()
    places = {name: found for name in RUNTIMES if (found := searched(name))}
    directories = [
        *(path.absolute() for path in bin_dirs),
        *DIRECTORIES,
        *(path for each in places.values() for path in each.directories if each.file),
    ]
    ready = survey(settings(os.environ), list(dict.fromkeys(directories)))
    networks = _configured()
    wrong = _about_networks(networks, ready)
    ready.findings += [*wrong, *_about_runtimes(ready, places)]
    if any(each.name == "privilege" and not each.missing for each in ready.features):
        ready.findings += _about_tables(ready)
        sound = [each for each in networks if not any(f"/{each.file}" in line for line in wrong)]
        ready.findings += _about_addresses(sound, ready)
    ready.findings += _about_attachments(ready)
    if as_json:
        names = [each.network.name for each in networks if each.network]
        print_json("status/2", {**to_json(ready), "networks": names})
    else:
        _show(ready, networks)
    if ready.findings:
        ctx.exit(1)


# --- what is in the way beside this package's own parts -------------------------------------------


def _configured() -> list[Found]:
    from .cni.conf_dir import directory, networks

    return networks(directory())


def _about_networks(networks: Sequence[Found], ready: Readiness) -> list[str]:
    """A file that can't be read stands in the way of all networks in later files."""
    from .cni.conf_dir import directory, files
    from .cni.execution import Plugins
    from .network.validation import ERROR, overlapping, quarrelling, repeated, validate

    if not networks:
        return [f"networks: none in {directory()}; create one: `pynet network create web`"]
    read = files(directory())
    own = {each.file for each in networks}
    plugins = Plugins(tuple(str(each.path) for each in ready.plugins))
    wrong = [
        finding for file in read if file[0] in own for finding in validate(file, read, plugins)
    ]
    wrong += [*overlapping(networks), *quarrelling(networks), *repeated(networks)]
    return [
        f"networks: {finding}; correct it or move it away: {directory()}/{finding.file}"
        for finding in wrong
        if finding.level == ERROR
    ]


def _about_runtimes(ready: Readiness, places: Mapping[str, Searched]) -> list[str]:
    from ..model.shown import command
    from ..plugins import registry

    ours = {each.path.resolve() for each in ready.plugins if each.ours}
    if not ours:
        return []  # said already
    findings = []
    for runtime in ready.runtimes:
        found = places.get(runtime.name)
        if found is None or runtime.note or any(p.resolve() in ours for p in found.directories):
            continue
        where = " and ".join(map(str, found.directories))
        first = found.directories[0]
        others = any((first / name).exists() for name in registry.names())
        install = ["pynet", "install", "--bin-dir", str(first), *["--replace"][:others]]
        says = f" (see {found.file})" if found.file else ""
        findings.append(
            f"{runtime.name}: it looks for plugins in {where}{says}, where none of pynet's are;"
            f" put them there: {command(*install)}"
        )
    return findings


def _about_tables(ready: Readiness) -> list[str]:
    """An ADD is refused where our tables are another store's, or a newer version's."""
    from ..engine.claiming import refuse_owners
    from ..model.errors import CniError, KernelError, NewerLayout
    from .findings.strangers import own
    from .site import own_host

    store = ready.store
    try:
        mine = own(ready.settings.state)
        with own_host() as (_, world):
            refuse_owners(world.tables(), mine)
    except NewerLayout as error:
        return [f"tables: {error.msg}"]
    except KernelError:
        return []  # what the kernel lacks is said already
    except CniError as error:
        return [] if store.trouble else [f"tables: {error.msg}"]
    return []


def _about_addresses(networks: Sequence[Found], ready: Readiness) -> list[str]:
    """What pynet's plugins answer when asked for STATUS: a range that is full, another gateway.

    Not before there is a store: then nothing is leased, and asking would make one.
    """
    from dataclasses import replace

    from ..cni.version import CURRENT
    from ..model.errors import CniError
    from .cni.execution import Plugins
    from .cni.result_cache import ResultCache
    from .cni.runtime import Runtime

    if not ready.store.exists or ready.store.trouble:
        return []
    # Of several directories those with pynet's: another may have somebody else's of the same names.
    ours = tuple(str(each.path) for each in ready.plugins if each.ours)
    plugins = Plugins(ours, in_process=True)
    runtime = Runtime(plugins, ResultCache(ready.settings.state))
    findings: dict[str, None] = {}
    for each in networks:
        if each.network and all(map(plugins.is_ours, _asked(each.network))):
            try:
                # A file of an older version has no STATUS, and the plugins have one all the same.
                runtime.status(replace(each.network, cni_version=CURRENT))
            except CniError as error:
                findings[f"networks: {error.msg}"] = None
    return list(findings)


def _asked(network: NetworkList) -> Iterator[str]:
    """The plugins that answer its STATUS, those that give addresses among them."""
    for plugin in network.plugins:
        yield str(get(plugin, "type"))
        if kind := get(get_object(plugin, "ipam") or {}, "type"):
            yield str(kind)


def _about_attachments(ready: Readiness) -> list[str]:
    from ..model.errors import CniError
    from . import recorded
    from .findings.words import name, summary
    from .inspect.inspection import gather

    if hidden := recorded.out_of_sight():
        return [f"attachments: {hidden}"]
    try:
        found = gather(ready.settings.state)
    except CniError as error:
        return [] if ready.store.trouble else [f"attachments: {error.msg}"]
    said = [
        f"attachments: {name(attached.records[0])}: {line}"
        for attached in found.attachments
        for line in summary(attached.findings)
    ]
    if len(said) > _SHOWN:
        more = (
            f"attachments: {len(said) - _SHOWN} more like these; see all of them: `pynet inspect`"
        )
        said = [*said[:_SHOWN], more]
    if found.strangers and not found.strangers.hidden:
        said.append(f"attachments: {found.strangers}")
    return said + [f"attachments: {line}" for line in found.hidden]


# --- for people ---------------------------------------------------------------------------------


def _show(ready: Readiness, networks: Sequence[Found]) -> None:
    rows = [
        ["daemon", _daemon(ready)],
        ["agent", _agent(ready)],
        ["store", _store(ready.store)],
    ]
    rows += [["plugins", _plugins(each)] for each in ready.plugins]
    if names := [each.network.name for each in networks if each.network]:
        rows.append(["networks", ", ".join(names)])
    rows += [
        [each.name, " ".join(filter(None, [each.executable, each.socket, each.note]))]
        for each in ready.runtimes
    ]
    rows += [
        [each.name, f"missing, needed for {each.purpose}: {each.missing}"]
        for each in ready.features
        if each.missing
    ]
    print_table(["WHAT", "HOW"], rows)
    if ready.findings:
        say()
        for finding in ready.findings:
            say(f"! {finding}")
    else:
        say()
        say("ready")


def _daemon(ready: Readiness) -> str:
    from .install.readiness import uptime

    daemon = ready.daemon
    if not daemon.running:
        return f"none at {ready.settings.socket}"
    if daemon.trouble:
        return f"at {ready.settings.socket}: {daemon.trouble}"
    pid = f"pid {daemon.pid}" if daemon.pid else "in another pid namespace"
    return f"{daemon.version}, {pid}, up {age(uptime(daemon))}, {ready.settings.socket}"


def _agent(ready: Readiness) -> str:
    from ..daemon.asking import socket_of
    from .install.readiness import uptime

    agent, socket = ready.agent, socket_of(ready.settings.state)
    if not agent.running:
        return f"none at {socket}"
    if agent.trouble:
        return f"at {socket}: {agent.trouble}"
    pid = f"pid {agent.pid}" if agent.pid else "in another pid namespace"
    return f"{agent.version}, {pid}, up {age(uptime(agent))}, {_services(agent)}"


def _services(agent: Agent) -> str:
    """What it keeps, by service, and since when that runs."""
    said = []
    for each in agent.services:
        since = f" for {age(max(0.0, time.time() - each.since))}" if each.since else ""
        said.append(f"{each.name} {each.state}{since}, keeps {each.keeps}")
    return "; ".join(said) or "keeps nothing"


def _store(store: StoreState) -> str:
    if not store.exists:
        return f"none yet at {store.path}"
    if store.trouble:
        return store.trouble
    leases = sum(store.leases.values())
    was = "; an earlier one was damaged, and is kept as " + ", ".join(store.damaged)
    return (
        f"{counted(store.attachments, 'attachment')}, {counted(leases, 'lease')}, "
        f"{store.size // 1024} KiB, "
        f"schema {store.schema}, {store.path}{was if store.damaged else ''}"
    )


def _plugins(plugins: Plugins) -> str:
    parts = []
    if plugins.ours:
        parts.append(f"pynet's: {' '.join(plugins.ours)} (launcher {plugins.launcher})")
    if plugins.foreign:
        parts.append(f"somebody else's: {' '.join(plugins.foreign)}")
    if plugins.replaced:
        parts.append(f"replaced: {' '.join(plugins.replaced)}")
    return f"{plugins.path}  {'; '.join(parts) or 'nothing of a name of pynet'}"
