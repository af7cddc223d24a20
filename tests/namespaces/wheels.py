"""What is built of the tree, by what `pip` calls to build it, without a network."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def run(argv: Sequence[str | Path], **options: object) -> subprocess.CompletedProcess[str]:
    """A command that must succeed."""
    done = subprocess.run(argv, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]
    assert done.returncode == 0, done.stdout + done.stderr
    return done  # type: ignore[no-any-return]


def tracked() -> list[str]:
    """What git keeps of the tree: no leftovers, and nothing that is only being written."""
    listed = run(["git", "ls-files", "-z"], cwd=ROOT)
    names = [name for name in listed.stdout.split("\0") if name]
    return [name for name in names if os.path.lexists(ROOT / name)]


def clone_to(copy: Path) -> Path:
    """A copy of the tree; `copy` itself."""
    for name in tracked():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, copy / name, follow_symlinks=False)
    return copy


_BUILD = "import sys; from setuptools import build_meta as b; print(b.build_wheel(sys.argv[1]))"


def build(clone: Path, target: Path, *, compiler: bool = True) -> Path:
    """The wheel that setuptools makes of the clone, asked as `pip` asks it (PEP 517)."""
    shutil.rmtree(clone / "build", ignore_errors=True)
    environ = dict(os.environ)
    if not compiler:
        environ["CC"] = "/nowhere/cc"
    target.mkdir(exist_ok=True)
    run([sys.executable, "-c", _BUILD, target], cwd=clone, env=environ)
    (wheel,) = target.glob("*.whl")
    return wheel
