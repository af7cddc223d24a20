"""`pynet cni status|gc|version`: the verbs that are about a network, not one attachment."""

from __future__ import annotations

from typing import Any

import click

from ..model.errors import CniError, IncompatibleVersion
from .execution import PluginError
from .options import Places, network_argument, place_options
from .output import json_option, print_json, print_table


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
        said = {"code": error.plugin_code, "msg": error.msg, "details": error.details}
        print_json("cni.status/1", {"network": network, "ready": False, "error": said})
        ctx.exit(1)
    if as_json:
        # Not asked is not known: neither true nor false.
        print_json("cni.status/1", {"network": network, "ready": asked or None})
    elif asked:
        click.echo(f"{network}: ready")
    else:
        click.echo(f"{network}: speaks CNI {found.cni_version}, which has no STATUS")


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
@json_option
def gc(network: str, places: Places, yes: bool, as_json: bool) -> None:
    """Remove what is left of containers whose network namespace is gone.

    Kept is every attachment of NETWORK whose namespace lives, whoever made it, as far as the
    cache of results or pynet's own records know of it.
    """
    from . import garbage, recorded

    runtime = places.runtime()
    found = places.network(network)
    if found.disable_gc:
        if as_json:
            print_json("cni.gc/1", {"network": network, "removed": False, "disabled": True})
        else:
            click.echo(f"{network}: its disableGC is set, nothing is removed")
        return
    survey = garbage.survey(runtime.cache.attachments(network), recorded.records(network))
    if yes:
        garbage.collect(runtime, found, survey)
    if as_json:
        print_json("cni.gc/1", {"network": network, "removed": yes, **survey.to_json()})
        return
    for line in survey.lines():
        click.echo(f"{'removed' if yes else 'would remove'} {line}")
    click.echo(
        f"{network}: attachments: {len(survey.lines())} {'removed' if yes else 'to remove'}, "
        f"{len(survey.living)} kept"
    )
    if not yes and survey.lines():
        click.echo(f"Nothing was changed; `pynet cni gc {network} --yes` removes it.")


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
        }
        plugins.append(plugin | ({"error": answer.msg} if isinstance(answer, CniError) else {}))
    strangers = [plugin["type"] for plugin in plugins if not plugin["compatible"]]
    if as_json:
        document = {"network": network, "cniVersion": found.cni_version, "plugins": plugins}
        print_json("cni.version/1", document)
        ctx.exit(1 if strangers else 0)
    print_table(
        ("PLUGIN", "VERSIONS", "WHERE"),
        [
            (
                plugin["type"],
                plugin.get("error") or " ".join(plugin["versions"]),
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
