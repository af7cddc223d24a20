"""What `--help` shows: the first try works, and examples name what is there."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest
from blocks import Command
from commands import every_command, is_there
from stage import Stage

from pynet.cli.main import EPILOG
from pynet.testnets.lab.lab import Lab

EXAMPLE = re.compile(r"^ *(?:.* && |\S+=\S+ )*(pynet .*?)(?: {2,}.*| [|>&].*)?$", re.MULTILINE)
HELP = dict(every_command())


def test_the_first_try_works(lab: Lab, tmp_path: Path) -> None:
    stage = Stage.build(lab.host("h1"), tmp_path)
    tried = EPILOG.partition("Exit status")[0]
    commands = [line.strip() for line in tried.splitlines() if line.startswith("  ")]
    assert len(commands) > 2
    for command in commands:
        status, printed = stage.run(Command("#", command))
        assert status == 0, (command, printed)
    assert any("1 attachment" in line for line in printed)


@pytest.mark.parametrize("typed", HELP)
def test_a_command_has_examples_and_they_are_there(typed: str) -> None:
    command = HELP[typed]
    examples = EXAMPLE.findall(f"{command.help}\n{command.epilog}")
    assert examples or isinstance(command, click.Group)
    assert [line for line in examples if not is_there(line)] == []
