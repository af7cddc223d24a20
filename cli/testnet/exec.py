"""`pynet testnet exec` and `shell`: commands in the nodes of a lab."""

from __future__ import annotations

import click

from .source import labs, nodes

name_argument = click.argument("name", metavar="NAME", shell_complete=labs)


@click.command(
    "exec",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    epilog="""\
\b
Examples:
  pynet testnet exec dual-stack a -- ping -c 1 b
  pynet testnet exec dual-stack h1 -- pynet inspect
""",
)
@name_argument
@click.argument("node", metavar="NODE", shell_complete=nodes)
@click.argument("command", metavar="-- COMMAND...", nargs=-1, required=True)
def execute(name: str, node: str, command: tuple[str, ...]) -> None:
    """Run COMMAND in a host, container, router, switch or external node of the lab NAME.

    It sees this machine's files, but for /run, /etc/cni and the like, which are the host's own;
    the names of all nodes resolve. The exit status is the command's.
    """
    from ...testnets.standing.entering import run
    from ...testnets.standing.standing import Registry

    # Options after the node are the command's, so click leaves the dashes before it to us.
    command = command[1:] if command[0] == "--" else command
    if not command:
        raise click.UsageError(f"what is to be run in {node}?")
    run(Registry().get(name).door(node), command)


@click.command(
    epilog="""\
\b
Examples:
  pynet testnet shell dual-stack
  (dual-stack) ~$ a ping b
  (dual-stack) ~$ h1 pynet inspect
  echo 'a ping -c1 b' | pynet testnet shell dual-stack
  pynet testnet shell dual-stack a        inside of a
"""
)
@name_argument
@click.argument("node", metavar="[NODE]", required=False, shell_complete=nodes)
@click.pass_context
def shell(ctx: click.Context, name: str, node: str | None) -> None:
    """Open a shell in which every node of the lab NAME is a command: `a ping b`.

    It is a shell of this machine, or one inside of NODE where that is given. A node's name alone
    opens a shell in it. Without a terminal the commands are read from standard input, and the exit
    status is the last one's.
    """
    from ...testnets.standing.shell import open_inside, open_outside
    from ...testnets.standing.standing import Registry

    registry = Registry()
    found = registry.get(name)
    if node:
        open_inside(found, node)
    ctx.exit(open_outside(found, registry.directory))
