"""`pynet completion`: the shell's side of completion; the rest is in the commands themselves."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from .output import print_text


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
    from .main import COMPLETING, pynet

    script = get_completion_class(shell)
    assert script is not None
    # Not `.source()`: that runs the shell, to warn of a version that has no completion.
    generator = script(pynet, {}, "pynet", COMPLETING)
    print_text(generator.source_template % generator.source_vars())
