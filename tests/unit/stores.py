"""A store that tests write to and read, also by programs of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from pynet.store.store import Store, Writer

PROGRAM = """
import sys
from pathlib import Path
from pynet.store.store import Store
directory = Path(sys.argv[1])
"""
ENVIRON = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2] / "src")}


def add(writer: Writer, container: str = "c1") -> None:
    writer.begin(
        host="h", network="n", container=container, interface="eth0",
        plugin="p", digest="d", request="{}",
    )  # fmt: skip


def containers(store: Store) -> list[str]:
    with store.read() as reader:
        return [record.container for record in reader.records()]


def python(code: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", PROGRAM + code, *arguments]


def run(command: list[str]) -> str:
    done = subprocess.run(command, env=ENVIRON, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout
