"""Compiles the launcher while the package is built; pyproject.toml holds everything else.

Without a C compiler the package is built all the same, without the launcher, and says so.
"""

from __future__ import annotations

import os
import runpy
import sys
import sysconfig
from pathlib import Path

from setuptools import setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

PACKAGE = Path(__file__).parent.resolve() / "src" / "pynet"  # also in a source distribution
WITHOUT = """pynet: no launcher was compiled: {}
pynet works without it, but each call of a plugin then starts a Python interpreter first,
which costs about 30 ms. Install a C compiler (gcc) and install pynet again to get it."""


def compile_launcher(target: Path) -> bool:
    """Compile the launcher to `target`; where that fails, say what is lost and return False."""
    launcher = runpy.run_path(str(PACKAGE / "launcher" / "__init__.py"))
    target.parent.mkdir(parents=True, exist_ok=True)
    # Under another name first: the old one may be running, and a failure must leave nothing.
    fresh = target.with_suffix(".new")
    try:
        launcher["compile"](fresh, os.environ.get("CC") or None)
    except (OSError, RuntimeError) as error:
        fresh.unlink(missing_ok=True)
        print(WITHOUT.format(error), file=sys.stderr)
        return False
    fresh.replace(target)
    return True


class BuildWithLauncher(build_py):
    """build_py, and the launcher beside the modules (an editable install: in the tree)."""

    compiled = False

    def run(self) -> None:
        super().run()
        base = PACKAGE if self.editable_mode else Path(self.build_lib) / "pynet"
        BuildWithLauncher.compiled = compile_launcher(base / "launcher" / "pynet-launcher")


class WheelWithLauncher(bdist_wheel):
    """A wheel with the launcher in it is for this platform, with whatever Python."""

    def run(self) -> None:
        self.run_command("build")  # before the tag is chosen
        super().run()

    def get_tag(self) -> tuple[str, str, str]:
        if not BuildWithLauncher.compiled:
            return super().get_tag()
        return "py3", "none", sysconfig.get_platform().replace("-", "_").replace(".", "_")


setup(cmdclass={"build_py": BuildWithLauncher, "bdist_wheel": WheelWithLauncher})
