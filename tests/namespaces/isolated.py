"""An interpreter that finds pynet by itself, as an installed one does."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import click

from pynet import launcher

SOURCES = Path(__file__).resolve().parents[2] / "src"
OTHERS = Path(click.__file__).resolve().parents[1]
"""Where the packages are that pynet needs."""


def interpreter(folder: Path, kind: str) -> Path:
    """The interpreter of a virtual environment with pynet in it.

    `kind` says which launcher came with the package: "compiled", or "python" for none.
    With "" there is no pynet in it at all.
    """
    real = Path(sys.executable).resolve()
    python = folder / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(real)
    (folder / "pyvenv.cfg").write_text(f"home = {real.parent}\n")
    site = folder / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    site.mkdir(parents=True)
    (site / "others.pth").write_text(f"{OTHERS}\n")
    if kind:
        _put_package(site / "pynet", kind)
    return python


def _put_package(package: Path, kind: str) -> None:
    package.mkdir()
    for entry in (SOURCES / "pynet").iterdir():
        if entry.name != "launcher":
            (package / entry.name).symlink_to(entry.resolve())
    place = package / "launcher"
    place.mkdir()
    for file in launcher.FOLDER.glob("*.py"):
        shutil.copy(file, place)
    if kind == "compiled":
        launcher.compile(place / "pynet-launcher")


def environment() -> dict[str, str]:
    """For plugins that are to leave no daemon behind, and write nothing into the tree."""
    return {"PYNET_DAEMON": "never", "PYTHONDONTWRITEBYTECODE": "1", "PATH": os.environ["PATH"]}
