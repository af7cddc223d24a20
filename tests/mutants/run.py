"""Makes each mistake in a copy of the tree, and runs the tests that must fail for it.

First they are run without any, and must all pass. A run that hangs counts as failed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mutants import TREE, Mutant, known

PATIENCE = 300.0
"""Seconds for the tests of one mutant."""
_APART = ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
_IN_THERE = 'mount -t tmpfs -o mode=755 tmpfs /run && exec "$@" </dev/null'
_FAILED = 1  # pytest: tests were run, and some failed


@dataclass
class Copy:
    """The tree in `folder`, with an interpreter of its own for which it is the package."""

    folder: Path
    _edits: int = 0
    _pytest: list[str] = field(default_factory=list)

    @classmethod
    def make(cls, folder: Path) -> Copy:
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=TREE, check=True, capture_output=True,
        )  # fmt: skip
        for name in filter(None, listed.stdout.decode().split("\0")):
            if (TREE / name).exists() or (TREE / name).is_symlink():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(TREE / name, folder / name, follow_symlinks=False)
        copy = cls(folder)
        copy._make_interpreter()
        return copy

    def _make_interpreter(self) -> None:
        """`python -I` sees nothing but what is installed: here that is the copy."""
        where = self.folder / ".venv"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", where], check=True)
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        packages = Path("lib", version, "site-packages")
        # Of the second line only what lies there is found: not the tree it leads to.
        lines = f"{self.folder / 'src'}\n{Path(sys.prefix) / packages}\n"
        (where / packages / "mutant.pth").write_text(lines)
        self._pytest = [str(where / "bin/python"), "-m", "pytest", "-q", "-p", "no:cacheprovider"]

    def write(self, file: str, text: str) -> None:
        path = self.folder / file
        path.write_text(text)
        # What Python has compiled is told from this by a second's difference.
        self._edits += 1
        then = time.time() + 10 * self._edits
        os.utime(path, (then, then))

    def run(self, tests: Iterable[str], at_once: int = 0) -> tuple[int | None, str]:
        """pytest's status and what it said; no status where it took too long."""
        apart = _APART if os.geteuid() == 0 else ["--user", "--map-root-user", *_APART]
        argv = ["unshare", *apart, "sh", "-c", _IN_THERE, "sh", *self._pytest]
        argv += ["-n", str(at_once), "-rfE", "--tb=short", *tests]
        environ = {**os.environ, "PYTEST_DEBUG_TEMPROOT": str(self.folder.parent)}
        with subprocess.Popen(
            argv, cwd=self.folder, env=environ,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        ) as process:  # fmt: skip
            try:
                said = process.communicate(timeout=PATIENCE)[0]
            except subprocess.TimeoutExpired:
                process.kill()
                return None, ""
        return process.returncode, said.decode(errors="replace")


def tried(copy: Copy, mutant: Mutant) -> str:
    """What is wrong: it survived a test, or can't be tried; "" where every test failed."""
    problem = mutant.problem(copy.folder)
    if problem:
        return problem
    original = (copy.folder / mutant.file).read_text()
    copy.write(mutant.file, mutant.mutated(copy.folder))
    try:
        status, said = copy.run(mutant.tests)
    finally:
        copy.write(mutant.file, original)
    if status is None:
        return ""
    if status not in (0, _FAILED):
        return f"{mutant.name}: its tests could not be run\n{said}"
    survived = [test for test in mutant.tests if not _failed(test, said)]
    return f"{mutant.name} survives {' and '.join(survived)}" if survived else ""


def _failed(test: str, said: str) -> bool:
    """Whether a test, or one of its variants, is among those that pytest says failed."""
    return any(
        line.startswith((f"FAILED {test}", f"ERROR {test}"))
        and line.split(" ", 1)[1][len(test) :][:1] in ("", " ", "[")
        for line in said.splitlines()
    )


def problems_of(mutants: Sequence[Mutant]) -> list[str]:
    """Try them all: which were not seen by all the tests that are named for them."""
    problems: list[str] = []
    # A short name: tests have sockets in there, and some of them become other users.
    with tempfile.TemporaryDirectory(prefix="pm-") as folder:
        Path(folder).chmod(0o755)
        copy = Copy.make(Path(folder, "tree"))
        tests = list(dict.fromkeys(test for mutant in mutants for test in mutant.tests))
        say(f"{len(tests)} tests without a mistake")
        status, said = copy.run(tests, at_once=min(2, os.cpu_count() or 1))
        if status:
            return [f"the tests fail without a mistake\n{said}"]
        for number, mutant in enumerate(mutants, 1):
            began = time.monotonic()
            problem = tried(copy, mutant)
            outcome = "SURVIVES" if problem else "seen"
            took = time.monotonic() - began
            say(f"[{number:3}/{len(mutants)}] {mutant.name}: {outcome}, {took:.0f} s")
            problems += [problem] if problem else []
    say(f"{len(mutants) - len(problems)} of {len(mutants)} mistakes were seen")
    return problems


def say(text: str) -> None:
    print(text, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """0 where every mistake was seen, else 1; 2 for a name that is not known."""
    parser = argparse.ArgumentParser(
        prog="scripts/mutants", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--list", action="store_true", help="name them, and do nothing")
    parser.add_argument(
        "--only", action="append", default=[], metavar="NAME", help="none but this; may be repeated"
    )
    parser.add_argument("--every", type=int, default=1, metavar="N", help="each N-th of them")
    asked = parser.parse_args(arguments)
    mutants = known()[:: max(1, asked.every)]
    if strangers := set(asked.only) - {mutant.name for mutant in known()}:
        parser.error(f"there is no mutant {', '.join(sorted(strangers))}; --list names all")
    if asked.only:
        mutants = [mutant for mutant in known() if mutant.name in asked.only]
    if asked.list:
        for mutant in mutants:
            say(f"{mutant.name}: {mutant.file}: {mutant.why}")
        return 0
    problems = problems_of(mutants)
    for problem in problems:
        say(f"failed: {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
