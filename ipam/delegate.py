"""Running somebody else's plugin: IPAM, or one whose place ours took.

CNI spec 1.1.0, "Execution of a delegated plugin": same environment with another
CNI_COMMAND at most, the whole configuration on stdin, stderr passed on; an error is a
document on the plugin's stdout.

Rules that hold here:
- It runs where its caller is: in that network and mount namespace, with that root directory.
- What may be broken off is broken off by `cancelled` alone; everything else has `PATIENCE`.
- No more of what it says is kept than a result could need.
"""

from __future__ import annotations

import json
import os
import select
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import PurePath
from time import monotonic
from typing import TYPE_CHECKING, Any

from ..kernel.roots import Root
from ..model import patience
from ..model.errors import Code, DelegateFailed, DelegateRefused
from ..model.exhaustion import of_fork
from ..model.query import REPLACED
from ..model.value import Value

if TYPE_CHECKING:
    from subprocess import Popen

_PLUGINS_OWN = 100
"""CNI spec 1.1.0, "Error": "100+ is reserved for plugin-specific errors"."""
_LOOK_AGAIN = 0.1
_MOST = 8 << 20
"""Bytes of a result: 6,000 routes need half a MiB."""
_LONGEST = 4096
"""Characters of somebody else's error message."""
PATIENCE = patience.SECONDS
"""For what can't be broken off."""


class Run(Value):
    """One execution of `binary` with CNI_COMMAND `command`."""

    binary: str
    command: str
    environ: Mapping[str, str]
    config: bytes
    stderr: int

    def to_end(self, root: Root, cancelled: Callable[[], bool] | None = None) -> bytes:
        """What it prints on stdout.

        It runs in the calling thread's network namespace, which must be the caller's, and in
        `root`. `cancelled` is asked every 0.1 s; once it is true the plugin is killed. Without
        it, it is killed after `PATIENCE`, which is code 11. Raises `DelegateFailed`: with the
        plugin's own code where that is one of the spec's, else with 103, since a code from 100
        on means something else with us; `CniError` where it can't run in `root`, or at all now.
        """
        import subprocess  # here, not where `root` is: nothing of ours can be found there

        name = _called(self.binary)
        try:
            with _as_stdin(self.config) as stdin:
                child = root.within(
                    lambda: subprocess.Popen(
                        [self.binary],
                        stdin=stdin,
                        stdout=subprocess.PIPE,
                        stderr=self.stderr,
                        env={**self.environ, "CNI_COMMAND": self.command},
                    )
                )
        except OSError as error:
            if exhausted := of_fork(error, name):
                raise exhausted from error
            raise DelegateFailed(
                f"{name} can't be executed: {self.binary}: {error.strerror}; "
                "install it in CNI_PATH, or correct ipam.type",
            ) from error
        with child:
            try:
                output = self._converse(child, cancelled)
            except BaseException:
                child.kill()
                raise
        if child.returncode != 0:
            raise _failure(name, self.command, child.returncode, output)
        return output

    def _converse(self, child: Popen[bytes], cancelled: Callable[[], bool] | None) -> bytes:
        from subprocess import TimeoutExpired

        assert child.stdout is not None
        pipe = child.stdout.fileno()
        poll = select.poll()
        poll.register(pipe, select.POLLIN)
        output = bytearray()
        deadline = monotonic() + PATIENCE
        look = monotonic() + _LOOK_AGAIN
        open_yet = True
        while True:
            if open_yet and poll.poll(_LOOK_AGAIN * 1000):
                part = os.read(pipe, 1 << 16)
                output += part
                open_yet = bool(part)
            elif not open_yet:
                with suppress(TimeoutExpired):
                    child.wait(_LOOK_AGAIN)
                    return bytes(output)
            if len(output) > _MOST:
                raise DelegateFailed(
                    f"{_called(self.binary)} was killed: it prints more than {_MOST >> 20} MiB on"
                    f" {self.command}, which is no result"
                )
            if monotonic() > look:
                look = monotonic() + _LOOK_AGAIN
                self._give_up(cancelled, deadline)

    def _give_up(self, cancelled: Callable[[], bool] | None, deadline: float) -> None:
        """Raises `DelegateFailed` where nobody waits any more, or it has taken too long."""
        if cancelled is not None and cancelled():
            raise DelegateFailed(f"{_called(self.binary)} was killed: the caller has hung up")
        if cancelled is None and monotonic() > deadline:
            raise DelegateFailed(
                f"{_called(self.binary)} was killed: {self.command} takes it longer than"
                f" {PATIENCE:g} s; try again later",
                code=Code.TRY_AGAIN_LATER,
            )


def _called(binary: str) -> str:
    path = PurePath(binary)
    kind = "replaced plugin" if path.parent.name == REPLACED else "IPAM plugin"
    return f"{kind} {path.name}"


@contextmanager
def _as_stdin(config: bytes) -> Iterator[int]:
    """A file, not a pipe: `communicate` forgets its input where it has to be called again."""
    with open(os.memfd_create("stdin"), "wb") as file:  # noqa: PTH123 - a descriptor
        file.write(config)
        file.flush()
        file.seek(0)
        yield file.fileno()


def _failure(name: str, command: str, status: int, output: bytes) -> DelegateFailed:
    how = f"exit status {status}" if status > 0 else f"killed by signal {-status}"
    try:
        document = document_in(output)
    except ValueError:
        document = {}
    msg = document.get("msg")
    if not isinstance(msg, str) or not msg:
        said = output[:200].decode(errors="replace").strip()
        return DelegateFailed(f"{name} failed on {command}: {how}", details=said)
    code = document.get("code")
    return DelegateRefused(
        f"{name}: {msg[:_LONGEST]}",
        code=_spec_code(code),
        details=f"{how}, code {code}. {document.get('details') or ''}".strip()[:_LONGEST],
    )


def document_in(output: bytes) -> dict[str, Any]:
    """The JSON object that a plugin has printed. Raises `ValueError` for anything else."""
    try:
        document = json.loads(output)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(document, dict):
        raise ValueError("it is not an object")
    return document


def _spec_code(code: object) -> Code | None:
    """`code` where the spec gives it its meaning; None for a plugin's own."""
    if isinstance(code, int) and code < _PLUGINS_OWN and code in set(Code):
        return Code(code)
    return None
