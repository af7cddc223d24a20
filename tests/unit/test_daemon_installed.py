"""The package a daemon was loaded from: as it was, replaced, or removed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pynet.daemon.installed import Installed


def write(path: Path) -> None:
    """As installers do: another file in its place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name("fresh")
    fresh.write_text("the same text")
    fresh.replace(path)


@pytest.fixture(params=["RECORD", "METADATA"])
def marker(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    write(tmp_path / "pynet" / "__init__.py")
    marker: Path = tmp_path / "pynet_cni-0.1.0.dist-info" / request.param
    write(marker)
    return marker


def test_an_installed_package_is_told_by_the_list_of_its_files(
    marker: Path, tmp_path: Path
) -> None:
    package = Installed(tmp_path / "pynet")
    write(tmp_path / "pynet" / "__init__.py")  # an installer at work: it is not whole yet
    assert not package.is_replaced() and package.is_as_it_was()
    write(marker)
    assert package.is_replaced() and not package.is_as_it_was()


def test_one_of_another_version_stands_in_another_folder(marker: Path, tmp_path: Path) -> None:
    package = Installed(tmp_path / "pynet")
    marker.unlink()
    assert not package.is_replaced() and not package.is_as_it_was()
    write(tmp_path / "pynet_cni-0.2.0.dist-info" / marker.name)
    assert package.is_replaced()


def test_one_that_is_removed_is_not_waited_for(marker: Path, tmp_path: Path) -> None:
    package = Installed(tmp_path / "pynet")
    marker.unlink()
    assert not package.is_as_it_was()


def test_a_tree_is_another_with_its_first_file(tmp_path: Path) -> None:
    tree, package = tmp_path / "tree", tmp_path / "src" / "pynet"
    write(tree / "__init__.py")
    package.mkdir(parents=True)
    (package / "__init__.py").symlink_to(tree / "__init__.py")
    found = Installed(package)
    write(tree / "engine.py")
    assert not found.is_replaced() and found.is_as_it_was()
    with (tree / "__init__.py").open("a") as file:
        file.write("__version__ = '0.2.0'\n")
    assert found.is_replaced() and not found.is_as_it_was()


def test_what_is_installed_beside_it_is_nothing_to_it(marker: Path, tmp_path: Path) -> None:
    package = Installed(tmp_path / "pynet")
    write(tmp_path / "pynet_other-1.0.dist-info" / marker.name)
    os.utime(marker.parent.parent)
    assert not package.is_replaced() and package.is_as_it_was()
