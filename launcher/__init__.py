"""The launcher: where its binary is, and how it is compiled."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
CONFIGURATION = "pynet-launcher.conf"
"""The file that the launcher reads beside itself: python=, socket=, state=, daemon=,
accept_ms=, reply_ms=, one a line."""

_FLAGS = ("-std=gnu11", "-O2", "-Wall", "-Wextra", "-s")
_BINARY = "pynet-launcher"


def executable() -> Path | None:
    """The compiled launcher that came with this package; None in an install without one."""
    binary = FOLDER / _BINARY
    return binary if binary.is_file() else None


def compile(target: Path, cc: str | None = None) -> None:
    """Make the launcher at `target`, by the first way there is that makes one that runs.

    `cc` is a compiler's command line; without it, what makes the launcher start soonest is
    tried first. Raises OSError where there is no compiler, `RuntimeError` with its words where
    it fails.
    """
    failure: Exception = RuntimeError("the launcher can't be compiled")
    for compiler in _ways(cc):
        try:
            _compile(target, compiler)
            return
        except (OSError, RuntimeError) as error:
            failure = error
    raise failure


def _ways(cc: str | None) -> Iterator[list[str]]:
    if cc is None:
        # glibc asks for the processor's features first, dozens of times, and in a virtual machine
        # each time costs a trap to the hypervisor: 0.25 ms in all, which musl does without.
        yield ["musl-gcc", "-static"]
    for linkage in (["-static"], []):  # else the dynamic linker is run first: 0.1 ms
        yield [*(cc or "cc").split(), *linkage]


def _compile(target: Path, compiler: list[str]) -> None:
    """Raises OSError, `RuntimeError`."""
    from subprocess import PIPE, STDOUT, run

    sources = sorted(str(path) for path in FOLDER.glob("*.c"))
    command = [*compiler, *_FLAGS, "-o", str(target), *sources]
    done = run(command, stdout=PIPE, stderr=STDOUT, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the launcher can't be compiled: {' '.join(command)}\n{done.stdout}")
    if not _runs(target):
        raise RuntimeError(f"the launcher that this makes does not run: {' '.join(command)}")


def _runs(binary: Path) -> bool:
    """Whether it says what it has to where it is told to run no interpreter at all."""
    from subprocess import DEVNULL, PIPE, TimeoutExpired, run

    environ = {"CNI_COMMAND": "VERSION", "PYNET_DAEMON": "never", "PYNET_PYTHON": "none"}
    try:
        done = run([binary], env=environ, stdin=DEVNULL, stdout=PIPE, timeout=10, check=False)
    except PermissionError:
        return True  # nothing may be run in this directory: that says nothing of the launcher
    except (OSError, TimeoutExpired):
        return False
    return done.stdout.startswith(b'{"cniVersion"')
