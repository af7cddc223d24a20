"""Which compiler makes the launcher: the best that is there and makes one that runs."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from pynet import launcher

COMPILER = shutil.which("cc")
PATH = os.environ["PATH"]

pytestmark = pytest.mark.skipif(COMPILER is None, reason="no C compiler (cc)")


class Compilers:
    """The only programs in PATH; each writes its name and arguments down."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._used = folder / "used"
        self._used.touch()

    def add(self, name: str, script: str) -> None:
        program = self._folder / name
        program.write_text(f'#!/bin/sh\necho {name} "$@" >>{self._used}\nPATH={PATH}\n{script}\n')
        program.chmod(0o755)

    @property
    def used(self) -> list[str]:
        """Each one's name, and how it was told to link."""
        words = [line.split() for line in self._used.read_text().splitlines()]
        return [f"{line[0]} {'static' if '-static' in line else 'shared'}" for line in words]


WORKS = f'exec {COMPILER} "$@"'
FAILS = "echo 'no such header' >&2; exit 1"
NOT_STATIC = f'case " $* " in *" -static "*) exit 1 ;; esac; {WORKS}'
# Makes of whatever it is told to compile a program that is killed, or says nothing.
CRASHES = """
while [ "$1" != -o ]; do shift; done
printf '#!/bin/sh\\nkill -9 $$\\n' >"$2"
chmod 755 "$2"
"""
SAYS_NOTHING = CRASHES.replace("kill -9 $$", "exit 0")


@pytest.fixture
def compilers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Compilers:
    folder = tmp_path / "compilers"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return Compilers(folder)


@pytest.mark.parametrize(
    ("musl", "cc", "used"),
    [
        (WORKS, WORKS, ["musl-gcc static"]),
        (None, WORKS, ["cc static"]),
        (None, NOT_STATIC, ["cc static", "cc shared"]),
        (FAILS, WORKS, ["musl-gcc static", "cc static"]),
        (CRASHES, WORKS, ["musl-gcc static", "cc static"]),
        (SAYS_NOTHING, NOT_STATIC, ["musl-gcc static", "cc static", "cc shared"]),
    ],
)
def test_the_first_that_makes_one_that_runs(
    compilers: Compilers, tmp_path: Path, musl: str | None, cc: str, used: list[str]
) -> None:
    if musl:
        compilers.add("musl-gcc", musl)
    compilers.add("cc", cc)
    target = tmp_path / "launcher"
    launcher.compile(target)
    assert compilers.used == used
    answer = subprocess.run([target], env={"CNI_COMMAND": "ADD"}, capture_output=True, check=False)
    assert b"interpreter" in answer.stdout


def test_whoever_names_a_compiler_gets_that_one(compilers: Compilers, tmp_path: Path) -> None:
    for name in ("musl-gcc", "cc", "mine"):
        compilers.add(name, WORKS)
    launcher.compile(tmp_path / "launcher", "mine -g")
    assert compilers.used == ["mine static"]


def test_without_any_that_works_the_last_ones_words_are_told(
    compilers: Compilers, tmp_path: Path
) -> None:
    with pytest.raises(FileNotFoundError, match="cc"):
        launcher.compile(tmp_path / "launcher")
    compilers.add("cc", FAILS)
    with pytest.raises(RuntimeError, match="no such header"):
        launcher.compile(tmp_path / "launcher")
    compilers.add("cc", CRASHES)
    with pytest.raises(RuntimeError, match="does not run"):
        launcher.compile(tmp_path / "launcher")
