"""`pynet cni`: CNI's own verbs over a directory of networks, as cnitool has them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from ...cni.conflist import NetworkList
from ...cni.environment import parse_args
from ...model.errors import InvalidEnvironment
from .. import values
from ..failure import failure
from ..output import Branch, json_option, print_json, print_text, print_tree, say
from . import forcing, known, nouns
from .completing import namespaces
from .execution import PluginError, Target
from .network import gc, status, version
from .options import Places, network_argument, place_options
from .result_cache import ResultCache
from .runtime import Runtime

Command = TypeVar("Command", bound=Callable[..., Any])


@click.group(
    epilog="""\
\b
Example, with networks and plugins where runtimes look for them:
  ip netns add c1
  pynet cni add web c1
  pynet cni check web c1
  pynet cni del web c1
"""
)
def cni() -> None:
    """Run a network's plugins, as a container runtime does.

    What cnitool does, with its environment variables and its container ids, and: a failed ADD
    is taken back, plans are shown (--dry-run), steps are timed (--time), GC spares who lives.
    """


cni.add_command(status)
cni.add_command(gc)
cni.add_command(version)


# --- which attachment -----------------------------------------------------------------


@dataclass(frozen=True)
class Who:
    """What the command line said of an attachment: a part of it, or all."""

    netns: str
    container: str
    interface: str
    args: str
    capabilities: dict[str, Any]

    def new(self) -> Target:
        """For an ADD: the container id is cnitool's where none was given."""
        path = nouns.netns_path(self.netns)
        container = self.container or nouns.default_container(path)
        return Target(container, path, self.interface, self.args, self.capabilities)

    def existing(self, network: str, cache: ResultCache) -> Target:
        """For what follows: what the ADD was given counts where nothing else is said."""
        target = self.new()
        for cached in known.attachments(cache):
            found = cached.target
            mine = (
                found.container == self.container
                if self.container
                else nouns.same_namespace(found.netns, target.netns)
            )
            if mine and (cached.network, found.interface) == (network, self.interface):
                return Target(
                    found.container,
                    target.netns,
                    found.interface,
                    self.args or found.args,
                    self.capabilities or found.capabilities,
                )
        return target


def attachment_options(command: Command) -> Command:
    """NETNS and the options that name one attachment, as the parameter `who`."""

    @wraps(command)
    def called(
        *args: Any,
        netns: str,
        container_id: str | None,
        ifname: str,
        cni_args: str,
        capabilities: str | None,
        **kwargs: Any,
    ) -> Any:
        who = Who(netns, container_id or "", ifname, cni_args, _capabilities(capabilities))
        return command(*args, who=who, **kwargs)

    wrapped: Command = called  # type: ignore[assignment]
    for option in (
        click.option(
            "-i",
            "--ifname",
            envvar="CNI_IFNAME",
            default="eth0",
            show_default=True,
            callback=values.interface,
            help="The interface's name in the container (CNI_IFNAME).",
        ),
        click.option(
            "--container-id",
            callback=values.name,
            help="The container's id. [default: cnitool's, from NETNS]",
        ),
        click.option(
            "--args",
            "cni_args",
            envvar="CNI_ARGS",
            default="",
            metavar="K=V;K=V",
            callback=_args,
            help="Arguments for the plugins (CNI_ARGS).",
        ),
        click.option(
            "--capabilities",
            envvar="CAP_ARGS",
            metavar="JSON",
            help="Arguments of capabilities, by name (CAP_ARGS).",
        ),
        place_options,
        click.argument("netns", metavar="NETNS", shell_complete=namespaces, callback=values.noun),
        network_argument,
    ):
        wrapped = option(wrapped)
    return wrapped


def _args(ctx: click.Context, parameter: click.Parameter, text: str) -> str:
    """What the environment has is the plugins' to judge: some never look at it."""
    if ctx.get_parameter_source("cni_args") is ParameterSource.COMMANDLINE:
        try:
            parse_args(text)
        except InvalidEnvironment as error:
            said = str(error).removeprefix("CNI_ARGS: ")
            raise click.BadParameter(said, ctx, parameter) from None
    return text


def _capabilities(text: str | None) -> dict[str, Any]:
    try:
        given = json.loads(text) if text else {}
    except (ValueError, RecursionError) as error:
        raise click.BadParameter(f"not JSON: {error}", param_hint="--capabilities") from None
    if not isinstance(given, dict):
        raise click.BadParameter(
            'not an object such as {"mac": "02:00:00:00:00:01"}', param_hint="--capabilities"
        )
    return given


# --- the commands ----------------------------------------------------------------------


@cni.command(
    epilog="""\
\b
Examples:
  pynet cni add web c1                        a name under /run/netns
  pynet cni add web 4711 -i eth1              the network namespace of a process
  pynet cni add web /run/netns/c1 --dry-run   what it would do
  CNI_ARGS=IP=10.224.0.9 pynet cni add web c1   the address it is to have
  CAP_ARGS='{"mac": "02:00:00:00:00:09"}' pynet cni add web c1
                                              where a plugin declares the capability mac
"""
)
@attachment_options
@click.option("--dry-run", is_flag=True, help="Print the plan, and do nothing.")
@click.option("--time", "timed", is_flag=True, help="Print each step's time on stderr.")
@json_option
def add(network: str, who: Who, places: Places, dry_run: bool, timed: bool, as_json: bool) -> None:
    """Attach the container of NETNS to NETWORK and print the result.

    NETNS is a path, a name under /run/netns, or a pid. An ADD that fails is taken back.
    With --time, plugins of pynet's run in this process, without a daemon.
    """
    steps: list[tuple[str, float]] = []
    timings = (lambda step, seconds: steps.append((step, seconds))) if timed else None
    runtime = places.runtime(in_process=timed, timings=timings)
    found = places.network(network, wanted=True)
    target = who.new()
    nouns.require_alive(target.netns)
    for capability in sorted(target.capabilities.keys() - found.capabilities()):
        say(
            f"note: no plugin of network {network} declares the capability {capability}: nothing is"
            " done with it",
            err=True,
        )
    if dry_run:
        _print_plan(runtime, found, target, as_json)
        return
    result = runtime.add(found, target)
    if as_json:
        timing = {"steps": [{"step": step, "seconds": seconds} for step, seconds in steps]}
        print_json("cni.add/1", about(network, target) | {"result": result} | timing)
        return
    print_text(json.dumps(result, indent=4))
    for step, seconds in steps:
        say(f"{seconds * 1000:9.2f} ms  {step}", err=True)


@cni.command(
    name="del",
    epilog="""\
\b
Example, for a container whose namespace may be gone already:
  pynet cni del web c1
""",
)
@attachment_options
@json_option
def delete(network: str, who: Who, places: Places, as_json: bool) -> None:
    """Detach the container of NETNS from NETWORK.

    What the ADD was given is remembered: neither id nor arguments need to be said again.
    """
    runtime = places.runtime()
    target = who.existing(network, runtime.cache)
    runtime.delete(places.network_of(network, target), target)
    for line in forcing.standing(target):
        say(f"left: {line}", err=True)
    if as_json:
        print_json("cni.del/1", about(network, target))


@cni.command(
    epilog="""\
\b
Example:
  pynet cni check web c1 && echo still as it was made
"""
)
@attachment_options
@json_option
@click.pass_context
def check(ctx: click.Context, network: str, who: Who, places: Places, as_json: bool) -> None:
    """Ask whether an attachment is still as ADD made it; exit 1 where it is not."""
    runtime = places.runtime()
    target = who.existing(network, runtime.cache)
    found = places.network_of(network, target)
    try:
        asked = runtime.check(found, target)
    except PluginError as error:
        if not as_json:
            raise
        said = {"ok": False, "asked": True, "error": failure(error).to_json()}
        print_json("cni.check/2", about(network, target) | said)
        ctx.exit(1)
    if as_json:
        # Not asked is not known.
        said = {"ok": asked or None, "asked": asked, "error": None}
        print_json("cni.check/2", about(network, target) | said)
    elif not asked:
        say(f"{network}: its disableCheck is set, nothing was asked")


# --- what is printed ----------------------------------------------------------------------


def about(network: str, target: Target) -> dict[str, Any]:
    """Which attachment, in CNI's own words."""
    return {
        "network": network,
        "containerID": target.container,
        "ifname": target.interface,
        "netns": target.netns,
    }


def _print_plan(runtime: Runtime, network: NetworkList, target: Target, as_json: bool) -> None:
    from .planning import rehearse

    rehearsal = rehearse(runtime.plugins, network, target)
    if as_json:
        document = about(network.name, target) | {
            "plugins": [planned.to_json() for planned in rehearsal.plugins],
            "result": rehearsal.result,
        }
        print_json("cni.plan/1", document)
        return
    root = Branch(f"{target.container} would be attached to {network.name} as {target.interface}")
    for planned in rehearsal.plugins:
        why = f": not plannable, {planned.why}" if planned.why else ""
        branch = root.add(f"{planned.plugin}{why}")
        for line in planned.lines():
            branch.add(line)
    print_tree(root)
