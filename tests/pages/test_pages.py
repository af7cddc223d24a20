"""What README.md and docs/ show is done: commands, configurations, programs, topologies.

A page is played from its first block to its last on one fresh host, as its reader would; what
commands print has to be of the shape that the page shows (`shapes`). `blocks` has the comments by
which a page says what can't be run.
"""

from __future__ import annotations

import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import networks
import pytest
import yaml
from blocks import Block, Command, blocks, mentions
from commands import is_there
from shapes import alike
from stage import Stage

import pynet
from pynet.testnets.lab.lab import Lab

ROOT = Path(pynet.__file__).resolve().parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]
LANGUAGES = {"console", "json", "python", "yaml"}
"""What can be run. Another language is that of a file, or the block says why it is not run."""
NOT_RUN = 20
"""Blocks that are not run, with a reason each: one more is one promise more that nobody holds."""

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


@pytest.fixture
def stage(lab: Lab, tmp_path: Path) -> Iterator[Stage]:
    built = Stage.build(lab.host("h1"), tmp_path)
    yield built
    status, said = built.run(Command("$", "pynet testnet down --all"))
    assert status == 0, said


@pytest.mark.timeout(300)  # it is many tests in one
@each_page
def test_a_page_does_what_it_says(page: Path, lab: Lab, stage: Stage) -> None:
    topology: dict[str, Any] = {}
    for block in blocks(page):
        where = f"{page.relative_to(ROOT)}:{block.line}"
        if "not run" in block.orders:
            continue
        before = block.orders.get("before", "")
        if before and block.language != "json":
            status, said = stage.run(Command("#", f"set -e\n{before}"))
            assert status == 0, (where, said)
        name = block.orders.get("file") or block.orders.get("test")
        if name:
            stage.write(name, block.text)
        if block.language == "json":
            host = lab.host(f"json{block.line}")
            host.run(["sh", "-ec", before])
            wrong = networks.use(host, block.text, stage.pynet)
            assert wrong == [], where
        elif name:
            continue
        elif block.language == "console":
            _play(stage, block, where)
        elif block.language == "python":
            _run_python(stage, ["-c", block.text])
        elif block.language == "yaml":
            _put_into(topology, yaml.safe_load(block.text))
    if topology:
        stage.write("page.yaml", yaml.safe_dump(topology))
        status, said = stage.run(Command("$", "pynet testnet check page.yaml"))
        assert status == 0, "\n".join(said)
    if list(stage.folder.glob("test_*.py")):
        _run_python(stage, ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-n0"])


def _play(stage: Stage, block: Block, where: str) -> None:
    wanted = int(block.orders.get("exits", 0))
    statuses = set()
    for command in block.commands():
        status, printed = stage.run(command)
        told = _lines([f"{where}: {command.prompt} {command.text}", *printed])
        assert status in (0, wanted), f"exit status {status} of {told}"
        statuses.add(status)
        shown = [line for line in command.output if line.strip()]
        printed = [line for line in printed if line.strip()]
        if shown:
            assert alike(shown, printed), _lines(["the page shows", *shown, "and it is", told])
    assert wanted in statuses, f"no command of {where} has exit status {wanted}"


def _lines(texts: Sequence[str]) -> str:
    return "\n".join(texts)


def _run_python(stage: Stage, arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, *arguments], cwd=stage.folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _put_into(topology: dict[str, Any], part: dict[str, Any]) -> None:
    """Parts of a topology that a page shows one after the other are one topology."""
    for key, value in part.items():
        if isinstance(value, list):
            topology.setdefault(key, []).extend(value)
        elif isinstance(value, dict):
            topology.setdefault(key, {}).update(value)
        else:
            topology[key] = value


# --- what is not run, and what only is named ------------------------------------------------------


@each_page
def test_every_block_says_what_it_is(page: Path) -> None:
    """An indented one, or one of another language, would not be run, and nobody would know."""
    unknown = [block for block in blocks(page) if block.language not in LANGUAGES]
    said = {"file", "test", "not run"}
    assert [block.line for block in unknown if not said & block.orders.keys()] == []


def test_what_is_not_run_has_a_reason() -> None:
    reasons = {
        f"{page}:{block.line}": block.orders["not run"]
        for page in PAGES
        for block in blocks(page)
        if "not run" in block.orders
    }
    assert [where for where, why in reasons.items() if not why] == []
    assert len(reasons) == NOT_RUN, reasons


@each_page
def test_toml_can_be_read(page: Path) -> None:
    for block in blocks(page):
        if block.language == "toml":
            tomllib.loads(block.text)


@each_page
def test_the_commands_and_options_a_page_names_are_there(page: Path) -> None:
    named = [text for text in mentions(page) if text.startswith("pynet ")]
    assert [text for text in named if not is_there(text)] == []
