"""One execution of a plugin: what was sent, and what was received."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_LAST_WORDS = 1.0
PATIENCE = 60.0
"""Seconds after which a plugin is killed, and counts as hanging, as long as it has not ended or
anybody holds its stdout: a runtime waits for both.
"""


@dataclass(frozen=True)
class Call:
    """`status` is negative for a signal, and None for one that had to be ended after `PATIENCE`."""

    argv: tuple[str, ...]
    environ: Mapping[str, str]
    stdin: str
    stdout: str
    stderr: str
    status: int | None
    seconds: float = 0.0

    @property
    def command(self) -> str:
        """CNI_COMMAND; "" where none was given."""
        return self.environ.get("CNI_COMMAND", "")

    def to_json(self) -> dict[str, Any]:
        """For reports: all but the time, which differs from run to run."""
        sent = {"argv": list(self.argv), "environ": dict(self.environ), "stdin": self.stdin}
        received = {"status": self.status, "stdout": self.stdout, "stderr": self.stderr}
        return {"sent": sent, "received": received}

    def lines(self) -> list[str]:
        """For people: what to type to send it again, and what came back."""
        variables = [f"{name}={value}" for name, value in self.environ.items() if name != "PATH"]
        ended = "it did not end" if self.status is None else f"status {self.status}"
        lines = [f"sent: {' '.join([*variables, *self.argv])}", f"stdin: {self.stdin or 'empty'}"]
        lines.append(f"received: {ended}, stdout: {_compact(self.stdout) or 'empty'}")
        if self.stderr.strip():
            lines.append(f"stderr: {self.stderr.strip()}")
        return lines


def execute(
    executable: Path, environ: Mapping[str, str], stdin: bytes, *, kill_after: float | None = None
) -> Call:
    """Run a plugin to its end, or kill it and what it has started after `kill_after` seconds.

    Raises OSError where it can't be executed at all.
    """
    begun = time.monotonic()
    with subprocess.Popen(
        [executable],
        env=dict(environ),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,  # its own process group, so that its children die with it
    ) as process:
        hanging = False
        try:
            output = process.communicate(stdin, PATIENCE if kill_after is None else kill_after)
        except subprocess.TimeoutExpired:
            hanging = kill_after is None
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            output = _rest(process)
    status = None if hanging else process.returncode
    stdout, stderr = map(_text, output)
    seconds = time.monotonic() - begun
    argv = (str(executable),)
    return Call(argv, dict(environ), _text(stdin), stdout, stderr, status, seconds)


def _rest(process: subprocess.Popen[bytes]) -> tuple[bytes, bytes]:
    """What a killed plugin has said; somebody that it left behind may hold its stdout for ever."""
    try:
        return process.communicate(timeout=_LAST_WORDS)
    except subprocess.TimeoutExpired as error:
        return error.output or b"", error.stderr or b""


def _compact(text: str) -> str:
    """JSON in one line; anything else as it is."""
    try:
        return json.dumps(json.loads(text))
    except ValueError:
        return text.strip()


def _text(raw: bytes) -> str:
    return raw.decode(errors="backslashreplace")
