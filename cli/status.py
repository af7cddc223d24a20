"""`pynet status`: is this host ready to connect containers?"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .output import json_option, print_json, print_table

if TYPE_CHECKING:
    from .readiness import Plugins, Readiness, StoreState


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

    Daemon, store, installed plugins, container runtimes, and what of the kernel is
    needed (tried out in a namespace of its own). No daemon is no fault: the first
    plugin that runs leaves one behind.

    Exit status: 0 ready, 1 something is in the way.

    \b
    Examples:
      pynet status
      pynet status --json | jq .findings
    """
    from ..daemon.settings import settings
    from .readiness import DIRECTORIES, survey, to_json

    directories = list(dict.fromkeys([*(path.absolute() for path in bin_dirs), *DIRECTORIES]))
    ready = survey(settings(os.environ), directories)
    if as_json:
        print_json("status/1", to_json(ready))
    else:
        _show(ready)
    if ready.findings:
        ctx.exit(1)


def _show(ready: Readiness) -> None:
    rows = [["daemon", _daemon(ready)], ["store", _store(ready.store)]]
    rows += [["plugins", _plugins(each)] for each in ready.plugins]
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
        click.echo()
        for finding in ready.findings:
            click.echo(f"! {finding}")
    else:
        click.echo("\nready")


def _daemon(ready: Readiness) -> str:
    from .inspect import age
    from .readiness import uptime

    daemon = ready.daemon
    if not daemon.running:
        return f"none at {ready.settings.socket}"
    if daemon.trouble:
        return f"at {ready.settings.socket}: {daemon.trouble}"
    pid = f"pid {daemon.pid}" if daemon.pid else "in another pid namespace"
    return f"{daemon.version}, {pid}, up {age(uptime(daemon))}, {ready.settings.socket}"


def _store(store: StoreState) -> str:
    if not store.exists:
        return f"none yet at {store.path}"
    if store.trouble:
        return store.trouble
    leases = sum(store.leases.values())
    return (
        f"{store.attachments} attachments, {leases} leases, {store.size // 1024} KiB, "
        f"schema {store.schema}, {store.path}"
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
