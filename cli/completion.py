"""`pynet completion`: the shell's side of completion; the rest is in the commands themselves."""

from __future__ import annotations

import os

import click
from click.shell_completion import CompletionItem, get_completion_class

from . import conf_dir


@click.command(
    epilog="""\
\b
For this shell, and for every later one:
  eval "$(pynet completion bash)"
  pynet completion bash > /etc/bash_completion.d/pynet
"""
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the script that completes commands, options and network names in SHELL."""
    from .main import pynet

    script = get_completion_class(shell)
    assert script is not None
    # Not `.source()`: that runs the shell, to warn of a version that has no completion.
    generator = script(pynet, {}, "pynet", "_PYNET_COMPLETE")
    print(generator.source_template % generator.source_vars())


def networks(
    ctx: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """The names of the configured networks, each with its plugins."""
    directory = ctx.params.get("conf_dir") or os.environ.get("NETCONFPATH") or conf_dir.DEFAULT
    return [
        CompletionItem(found.network.name, help=", ".join(found.types))
        for found in conf_dir.networks(directory)
        if found.network and found.network.name.startswith(incomplete)
    ]
