"""Other people's programs, run where their tables are: never on the road of a usual ADD.

They are this process's own, whatever root directory the caller has: they act on a network
namespace, are trusted, and are run when nobody calls, too.
"""

from __future__ import annotations

import os

from ...model.errors import KernelError
from ...model.exhaustion import of_fork
from ..namespaces import entered

_DIRECTORIES = ("/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/local/sbin", "/usr/local/bin")
_PATH = ":".join(_DIRECTORIES)
_PATIENCE = 30.0


def find(*names: str) -> str:
    """The first of these programs that is installed; "" where none is."""
    for name in names:
        for directory in _DIRECTORIES:
            if os.access(f"{directory}/{name}", os.X_OK):
                return f"{directory}/{name}"
    return ""


def run(namespace: int, argv: list[str], stdin: str = "") -> tuple[int, str, str]:
    """(status, stdout, stderr) of a program that runs in `namespace`. Raises `KernelError`."""
    import subprocess

    try:
        # The child inherits the network namespace of the thread that starts it.
        with entered(namespace):
            process = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={"PATH": _PATH, "LC_ALL": "C", **_bus()},
                text=True,
            )
        try:
            stdout, stderr = process.communicate(stdin, timeout=_PATIENCE)
        except subprocess.TimeoutExpired as error:
            process.kill()
            process.communicate()
            raise KernelError(f"`{' '.join(argv)}` takes longer than {_PATIENCE:g} s") from error
    except OSError as error:
        command = f"`{' '.join(argv)}`"
        if exhausted := of_fork(error, command):
            raise exhausted from error
        raise KernelError(f"{command}: {error.strerror}", errno=error.errno or 0) from error
    return process.returncode, stdout, stderr


def _bus() -> dict[str, str]:
    """Where the system bus is, if this process was told."""
    name = "DBUS_SYSTEM_BUS_ADDRESS"
    return {name: os.environ[name]} if name in os.environ else {}
