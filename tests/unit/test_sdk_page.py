"""The packaging that docs/sdk.md shows; its plugins and their tests are run by tests/pages."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import pynet

ROOT = Path(pynet.__file__).resolve().parent
PAGE = ROOT / "docs" / "sdk.md"
BLOCK = re.compile(r"<!-- test: (\S+) -->\n```\w+\n(.*?)```", re.DOTALL)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name, text in BLOCK.findall(PAGE.read_text()):
        (tmp_path / name).write_text(text)
    return tmp_path


def run(project: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{project}"}
    return subprocess.run(
        [sys.executable, *argv], cwd=project, env=environ, capture_output=True, text=True
    )


def test_its_service_is_found(project: Path) -> None:
    points = tomllib.loads((project / "services.toml").read_text())["project"]["entry-points"]
    ((name, home),) = points["pynet.services"].items()
    info = project / "tickets-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: tickets\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[pynet.services]\n{name} = {home}\n")
    find = "from pynet.agent.registry import service_named; print(service_named('tickets').name)"
    assert run(project, "-c", find).stdout == "tickets\n"


def test_an_installed_one_is_found(project: Path) -> None:
    """What pip writes for the page's entry point is what the registry reads."""
    (project / "quiet-1.0.dist-info").mkdir()
    toml = (project / "pyproject.toml").read_text()
    assert 'quiet = "quiet:Quiet"' in toml
    (project / "quiet-1.0.dist-info" / "METADATA").write_text("Name: pynet-quiet\nVersion: 1.0\n")
    (project / "quiet-1.0.dist-info" / "entry_points.txt").write_text(
        "[pynet.plugins]\nquiet = quiet:Quiet\n"
    )
    result = run(
        project,
        "-c",
        "from pynet.plugins.registry import names, plugin_named;"
        "assert 'quiet' in names(); print(plugin_named('quiet').about)",
    )
    assert result.returncode == 0, result.stderr
    assert "ARP" in result.stdout
