"""Running one plugin: an executable out of CNI_PATH, or, where none is there, ours in process.

CNI spec 1.1.0, "Section 2: Execution Protocol": parameters in the environment, the
configuration on stdin, one document on stdout, an error's document there too.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

from ...model.errors import CniError, Code
from ...model.request import Command
from ..output import say

DEFAULT_DIRECTORY = "/opt/cni/bin"

Timings = Callable[[str, float], None]
"""Told of each step, in words, and how many seconds it took."""


@dataclass(frozen=True)
class Target:
    """Which container is attached where: what a runtime says beside the configuration.

    `args` is CNI_ARGS, `capabilities` the arguments of capabilities by name.
    """

    container: str = ""
    netns: str = ""
    interface: str = ""
    args: str = ""
    capabilities: Mapping[str, Any] = field(default_factory=dict)


class PluginError(CniError):
    """What a plugin answered, with its own code (which may be one we do not know).

    `reason` is the answer alone, where `msg` says too which plugin gave it.
    """

    def __init__(self, msg: str, code: int, details: str = "", *, reason: str = "") -> None:
        super().__init__(msg, details=details)
        self.plugin_code = code
        self.reason = reason or msg
        if code in set(Code):
            self.code = Code(code)


@dataclass
class Plugins:
    """The plugins in `directories`. `in_process` runs ours here even where they are installed.

    `timings` is told of every step of those that run here, and of each execution as a whole.
    """

    directories: tuple[str, ...] = (DEFAULT_DIRECTORY,)
    in_process: bool = False
    timings: Timings | None = None

    def binary(self, kind: str) -> str:
        """The first regular file of that name in CNI_PATH, "" where there is none."""
        for directory in self.directories:
            path = Path(directory, kind)
            try:
                if stat.S_ISREG(path.stat().st_mode):
                    return str(path)
            except OSError:
                continue
        return ""

    def required(self, kind: str) -> str:
        """The same; "" for one of ours that would run in process. Raises `CniError` for none."""
        binary = self.binary(kind)
        if not binary and not self.is_ours(kind):
            raise CniError(
                f'there is no plugin "{kind}" in {":".join(self.directories)}: install it there, '
                "or name its directory by --plugin-dir",
                code=Code.INVALID_CONFIG,
            )
        return binary

    def is_ours(self, kind: str) -> bool:
        """Whether pynet serves `kind` here: no executable of that name is somebody else's."""
        from ...plugins import registry
        from ..install.installation import is_ours

        if kind not in registry.names():
            return False
        binary = self.binary(kind)
        return not binary or is_ours(Path(binary))

    def environ(self, command: Command, target: Target) -> dict[str, str]:
        """The parameters of one execution, in this process's environment."""
        return os.environ | {
            "CNI_COMMAND": str(command),
            "CNI_CONTAINERID": target.container,
            "CNI_NETNS": target.netns,
            "CNI_IFNAME": target.interface,
            "CNI_ARGS": target.args,
            "CNI_PATH": ":".join(self.directories),
        }

    def run(
        self, kind: str, command: Command, target: Target, config: Mapping[str, Any]
    ) -> dict[str, Any]:
        """The document it answers, {} for none. Raises `PluginError`, `CniError`."""
        environ = self.environ(command, target)
        stdin = json.dumps(config).encode()
        began = monotonic()
        binary = self.required(kind)
        if self.is_ours(kind) and (self.in_process or not binary):
            status, stdout, stderr = self._serve(kind, environ, stdin)
        else:
            status, stdout, stderr = _execute(binary, environ, stdin)
        if self.timings:
            self.timings(f"{kind} {command}", monotonic() - began)
        return _answer(kind, command, status, stdout, stderr)

    def _serve(self, kind: str, environ: Mapping[str, str], stdin: bytes) -> tuple[int, bytes, str]:
        from functools import partial

        from ...daemon import one_shot
        from ...daemon.serve import Services, serve
        from ...daemon.settings import settings

        services = Services(settings(os.environ).state, timings=self.timings)
        reply = one_shot.run(partial(serve, services=services), kind, environ, stdin)
        return reply.status, reply.stdout, ""


def _execute(binary: str, environ: Mapping[str, str], stdin: bytes) -> tuple[int, bytes, str]:
    import subprocess

    try:
        done = subprocess.run([binary], input=stdin, env=environ, capture_output=True, check=False)
    except OSError as error:
        raise CniError(f"{binary} can't be executed: {error.strerror}") from error
    return done.returncode, done.stdout, done.stderr.decode(errors="replace")


def _answer(kind: str, command: Command, status: int, stdout: bytes, stderr: str) -> dict[str, Any]:
    document = _document(stdout)
    error = document or {}
    said = error.get("msg")
    if status == 0 or said:
        _hand_on(stderr)  # else it is the reason, and becomes the message
    if status == 0 and document is not None:
        return document
    if status == 0:
        raise PluginError("it answered with something that is not JSON", int(Code.DECODING_FAILURE))
    if said:
        code, details = error.get("code"), error.get("details")
        number = code if isinstance(code, int) else int(Code.INTERNAL)
        raise PluginError(str(said), number, str(details or ""))
    how = f"exit status {status}" if status > 0 else f"killed by signal {-status}"
    reason = stderr.strip() or stdout[:200].decode(errors="replace").strip() or "it said nothing"
    raise PluginError(f"{how}: {reason}", int(Code.INTERNAL))


def _hand_on(stderr: str) -> None:
    for line in stderr.splitlines():
        say(line, err=True)


def _document(stdout: bytes) -> dict[str, Any] | None:
    """The object on stdout, {} for an empty one, None for anything else."""
    if not stdout.strip():
        return {}
    try:
        document = json.loads(stdout)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None
