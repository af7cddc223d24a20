"""`pynet testnet` as its users run it: a process of its own, with a registry of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SOURCES = Path(__file__).resolve().parents[2] / "src"
PYNET = [sys.executable, "-m", "pynet.cli", "testnet"]


@dataclass(frozen=True)
class Outcome:
    status: int
    stdout: str
    stderr: str

    @property
    def lines(self) -> list[str]:
        return self.stdout.splitlines()


@dataclass(frozen=True)
class Commands:
    """Runs commands in `directory`; the labs that stand are listed below `runtime`."""

    directory: Path
    runtime: Path

    @property
    def environ(self) -> dict[str, str]:
        return os.environ | {"XDG_RUNTIME_DIR": str(self.runtime), "PYTHONPATH": str(SOURCES)}

    def __call__(self, *arguments: str, stdin: str = "") -> Outcome:
        done = subprocess.run(
            [*PYNET, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            cwd=self.directory,
            env=self.environ,
            timeout=60,
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    @contextmanager
    def running(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """A command that goes on, until it is killed at the end."""
        pipe = subprocess.PIPE
        argv = [*PYNET, *arguments]
        with subprocess.Popen(
            argv, stdout=pipe, stderr=pipe, text=True, cwd=self.directory, env=self.environ
        ) as process:
            try:
                yield process
            finally:
                process.kill()
