"""`pynet cni status|gc|version`: the verbs that are about a network, not one attachment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ...model.errors import CniError, IncompatibleVersion
from ...model.shown import command
from ..failure import failure
from ..output import json_option, print_json, print_table, say
from .execution import PluginError
from .options import Places, network_argument, place_options

if TYPE_CHECKING:
    from .garbage import Survey


@click.command(
    epilog="""\
\b
Example:
  pynet cni status web || echo no container can be attached now
"""
)
@network_argument
@place_options
@json_option
@click.pass_context
def status(ctx: click.Context, network: str, places: Places, as_json: bool) -> None:
    """Ask whether an ADD to NETWORK would work now; exit 1 where it would not."""
    runtime = places.runtime()
    found = places.network(network)
    try:
        asked = runtime.status(found)
    except PluginError as error:
        if not as_json:
            raise
        said = failure(error).to_json()
        print_json("cni.status/2", {"network": network, "ready": False, "error": said})
        ctx.exit(1)
    if as_json:
        # Not asked is not known: neither true nor false.
        print_json("cni.status/2", {"network": network, "ready": asked or None, "error": None})
    elif asked:
        say(f"{network}: ready")
    else:
        say(f"{network}: speaks CNI {found.cni_version}, which has no STATUS")


@click.command(
    epilog="""\
\b
Example:
  pynet cni gc web          what would be removed
  pynet cni gc web --yes    remove it
"""
)
@network_argument
@place_options
@click.option("--yes", is_flag=True, help="Remove it; without, it is only shown.")
@click.option(
    "--force",
    is_flag=True,
    help="Past plugins that fail: what can be undone is, the rest is named.",
)
@json_option
@click.pass_context
def gc(
    ctx: click.Context, network: str, places: Places, yes: bool, force: bool, as_json: bool
) -> None:
    """Remove what is left of containers whose network namespace is gone, and of calls that died.

    Kept is every attachment of NETWORK whose namespace lives, whoever made it, as far as the
    cache of results or pynet's own records know of it. NETWORK need no longer be configured.
    """
    from .. import recorded
    from . import forcing, garbage

    recorded.refuse_blind()
    runtime = places.runtime()
    cached = list(runtime.cache.attachments(network))
    records = recorded.records(network)
    found = None
    try:
        found = places.network(network)
    except CniError:
        if not (cached or records):
            raise
    if found and found.disable_gc:
        if as_json:
            print_json("cni.gc/2", _GC | {"network": network, "disabled": True})
        else:
            say(f"{network}: its disableGC is set, nothing is removed")
        return
    leases = recorded.unclaimed(network) if found and runtime.collects(found) else ()
    with recorded.judging() as judges:
        survey = garbage.survey(cached, records, judges.fate, judges.is_half_done, leases)
    left: list[str] = []
    if yes and force:
        left = garbage.force(runtime, found, network, survey)
    elif yes:
        with forcing.offered("pynet", "cni", "gc", network, "--yes", "--force"):
            garbage.collect(runtime, found, survey)
    if as_json:
        document = {"network": network, "removed": yes, **survey.to_json(), "left": left}
        print_json("cni.gc/2", _GC | document)
    else:
        _show_gc(network, survey, yes, left)
    if left:
        ctx.exit(1)


_GC: dict[str, Any] = {
    "network": "", "removed": False, "disabled": False, "stale": [], "half_done": [],
    "kept": [], "leases": [], "left": [],
}  # fmt: skip


def _show_gc(network: str, survey: Survey, yes: bool, left: list[str]) -> None:
    for line in survey.lines():
        say(f"{'removed' if yes else 'would remove'} {line}")
    say(
        f"{network}: attachments: {survey.count} {'removed' if yes else 'to remove'}, "
        f"{len(survey.kept)} kept"
    )
    for line in [*survey.doubts(network), *(f"left: {one}" for one in left)]:
        say(line)
    if not yes and survey.lines():
        say(f"Nothing was changed; {command('pynet', 'cni', 'gc', network, '--yes')} removes it.")


@click.command(
    epilog="""\
\b
Example:
  pynet cni version web
"""
)
@network_argument
@place_options
@json_option
@click.pass_context
def version(ctx: click.Context, network: str, places: Places, as_json: bool) -> None:
    """Ask each plugin of NETWORK which versions of CNI it speaks.

    Exit 1 where one of them does not speak the network's own.
    """
    runtime = places.runtime()
    found = places.network(network)
    plugins: list[dict[str, Any]] = []
    for kind, answer in runtime.versions(found):
        versions = [] if isinstance(answer, CniError) else list(answer)
        plugin = {
            "type": kind,
            "binary": runtime.plugins.binary(kind) or None,
            "versions": versions,
            "compatible": found.cni_version in versions,
            "error": failure(answer).to_json() if isinstance(answer, CniError) else None,
        }
        plugins.append(plugin)
    strangers = [plugin["type"] for plugin in plugins if not plugin["compatible"]]
    if as_json:
        document = {"network": network, "cniVersion": found.cni_version, "plugins": plugins}
        print_json("cni.version/2", document)
        ctx.exit(1 if strangers else 0)
    print_table(
        ("PLUGIN", "VERSIONS", "WHERE"),
        [
            (
                plugin["type"],
                plugin["error"]["message"] if plugin["error"] else " ".join(plugin["versions"]),
                plugin["binary"] or "in process",
            )
            for plugin in plugins
        ],
    )
    if strangers:
        raise IncompatibleVersion(
            f"{', '.join(strangers)}: no CNI {found.cni_version}, which network {network} speaks: "
            "correct its cniVersion, or install a newer plugin"
        )
