"""`pynet testnet`: the table of its commands, and where the errors of labs end."""

from __future__ import annotations

from subprocess import SubprocessError
from typing import Any

import click

from ..failure import Findings
from ..lazy import LazyGroup

COMMANDS = {
    "up": (".testnet.up:up", "Bring a topology up, or change a standing lab to it."),
    "down": (".testnet.down:down", "End labs: nothing of them is left."),
    "ls": (".testnet.ls:ls", "List the labs that stand."),
    "exec": (".testnet.exec:execute", "Run a command in a node of a lab."),
    "shell": (".testnet.exec:shell", "Open a shell in which every node is a command."),
    "check": (".testnet.check:check", "Check what a topology says must work, and what must not."),
    "graph": (".testnet.graph:graph", "Draw a topology, or a lab that stands."),
    "impair": (".testnet.impair:impair", "Make a link slow or lossy, and whole again."),
    "validate": (".testnet.validate:validate", "Look for mistakes in topology files."),
}


class Testnets(LazyGroup):
    """The group, in which what is wrong with a file or a lab ends as lines and a status."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            _end_with(error)
            raise


def _end_with(error: Exception) -> None:
    """Does not return where the error is one of labs."""
    from ...testnets.lab.forked import LabError
    from ...testnets.spec.problems import TopologyError

    if isinstance(error, TopologyError):
        raise Findings([str(problem) for problem in error.problems]) from None
    if isinstance(error, LabError | SubprocessError):
        raise click.ClickException(str(error)) from None


@click.group(
    cls=Testnets,
    table=COMMANDS,
    epilog="""\
\b
A first try, with a topology of the gallery:
  pynet testnet up dual-stack --detach
  echo 'a ping -c1 b' | pynet testnet shell dual-stack
  pynet testnet check dual-stack
  pynet testnet graph dual-stack -o dual-stack.svg
  pynet testnet down dual-stack
\b
A topology file of your own, completed and checked by editors:
  # yaml-language-server: $schema=testnet.schema.json
with
  pynet testnet validate --schema > testnet.schema.json
""",
)
def testnet() -> None:
    """Hosts, links and containers of a topology file, in namespaces of their own.

    A lab needs no root, touches nothing of this machine's network, and leaves nothing when it
    ends. Its containers are connected by the real plugins.
    """
