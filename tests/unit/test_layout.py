"""The floors of the house, and what the quick roads may import."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Each costs more than a whole ADD in the warm daemon may.
COSTLY = {
    "asyncio",
    "click",
    "importlib.metadata",
    "netaddr",
    "nftables",
    "pydantic",
    "pyroute2",
    "rich",
    "subprocess",
}


def imported(statement: str) -> set[str]:
    """The modules in a fresh interpreter after `statement`."""
    program = f"{statement}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        cwd=ROOT / "src",
        check=True,
    )
    return set(done.stdout.split())


def test_nothing_imports_upwards() -> None:
    from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

    assert lint_imports(config_filename=str(ROOT / "pyproject.toml")) == EXIT_STATUS_SUCCESS


def test_the_package_alone_imports_nothing_of_its_own() -> None:
    assert {name for name in imported("import pynet") if name.startswith("pynet.")} == set()


@pytest.mark.parametrize(
    "module",
    ["pynet.daemon.serve", "pynet.daemon.one_shot", "pynet.plugins.bridge", "pynet.kernel.world"],
)
def test_the_road_of_an_add_imports_nothing_costly(module: str) -> None:
    assert imported(f"import {module}") & COSTLY == set()


@pytest.mark.parametrize("face", ["pynet", "pynet.testing", "pynet.testnets"])
def test_every_name_of_a_public_face_is_there(face: str) -> None:
    imported(f"from {face} import *")


def test_the_agent_is_frugal() -> None:
    assert imported("import pynet.agent.__main__") & COSTLY == set()


def test_the_values_need_no_library() -> None:
    assert imported("import pynet.model.resources, pynet.model.plan") & COSTLY == set()
