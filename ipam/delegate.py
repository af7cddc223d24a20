"""Running somebody else's plugin: IPAM, or one whose place ours took.

CNI spec 1.1.0, "Execution of a delegated plugin": same environment with another
CNI_COMMAND at most, the whole configuration on stdin, stderr passed on; an error is a
document on the plugin's stdout.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from ..model.errors import Code, DelegateFailed
from ..model.query import REPLACED

if TYPE_CHECKING:
    from subprocess import Popen

_PLUGINS_OWN = 100
"""CNI spec 1.1.0, "Error": "100+ is reserved for plugin-specific errors"."""
_LOOK_AGAIN = 0.1


def run(
    binary: str,
    command: str,
    environ: Mapping[str, str],
    config: bytes,
    stderr_fd: int,
    *,
    cancelled: Callable[[], bool] = lambda: False,
) -> bytes:
    """What `binary` prints on stdout for CNI_COMMAND `command`.

    It runs in the calling thread's namespaces: these must be the caller's. `cancelled` is
    asked every 0.1 s; once it is true the plugin is killed. Raises `DelegateFailed`: with
    the plugin's own code where that is one of the spec's, else with 103, since a code from
    100 on means something else with us.
    """
    import subprocess

    name = _called(binary)
    try:
        with _as_stdin(config) as stdin:
            child = subprocess.Popen(
                [binary],
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=stderr_fd,
                env={**environ, "CNI_COMMAND": command},
            )
    except OSError as error:
        raise DelegateFailed(
            f"{name} can't be executed: {binary}: {error.strerror}; "
            "install it in CNI_PATH, or correct ipam.type",
        ) from error
    with child:
        output = _converse(child, name, cancelled)
    if child.returncode != 0:
        raise _failure(name, command, child.returncode, output)
    return output


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


def _converse(child: Popen[bytes], name: str, cancelled: Callable[[], bool]) -> bytes:
    from subprocess import TimeoutExpired

    try:
        while True:
            try:
                return child.communicate(timeout=_LOOK_AGAIN)[0]
            except TimeoutExpired:
                if cancelled():
                    raise DelegateFailed(f"{name} was killed: the caller has hung up") from None
    except BaseException:
        child.kill()
        raise


def _failure(name: str, command: str, status: int, output: bytes) -> DelegateFailed:
    how = f"exit status {status}" if status > 0 else f"killed by signal {-status}"
    document = _document(output)
    msg = document.get("msg")
    if not isinstance(msg, str) or not msg:
        said = output[:200].decode(errors="replace").strip()
        return DelegateFailed(f"{name} failed on {command}: {how}", details=said)
    code = document.get("code")
    return DelegateFailed(
        f"{name}: {msg}",
        code=_spec_code(code),
        details=f"{how}, code {code}. {document.get('details') or ''}".strip(),
    )


def _document(output: bytes) -> dict[str, Any]:
    try:
        document = json.loads(output)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _spec_code(code: object) -> Code | None:
    """`code` where the spec gives it its meaning; None for a plugin's own."""
    if isinstance(code, int) and code < _PLUGINS_OWN and code in set(Code):
        return Code(code)
    return None
