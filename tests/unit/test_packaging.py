"""What is built from the tree, and that the tree, its links and the list of packages agree."""

from __future__ import annotations

import os
import shutil
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from wheels import ROOT, build, clone_to, run

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
# Top-level folders that are no part of the package.
ELSEWHERE = {"benchmarks", "docs", "scripts", "src", "tests"}


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree, in a folder of another name."""
    return clone_to(tmp_path_factory.mktemp("clone") / "some-other.name")


def modules(tree: Path) -> set[str]:
    """Every module that ought to be in the package built of this tree, as a path in it."""
    paths = (path for folder in folders(tree) for path in (tree / folder).rglob("*.py"))
    return {str(path.relative_to(tree)) for path in paths} | {"__init__.py"}


def sources(tree: Path) -> set[str]:
    """What the launcher is compiled from, as paths in a wheel."""
    found = {f"pynet/launcher/{path.name}" for path in (tree / "launcher").glob("*.[ch]")}
    assert {"pynet/launcher/main.c", "pynet/launcher/launcher.h"} <= found
    return found


def topologies(tree: Path) -> set[str]:
    """The gallery, as paths in a wheel."""
    folder = tree / "testnets" / "topologies"
    found = {f"pynet/testnets/topologies/{path.name}" for path in folder.iterdir()}
    assert "pynet/testnets/topologies/single-bridge.yaml" in found
    return found


def folders(tree: Path) -> set[str]:
    found = {path.name for path in tree.iterdir() if path.is_dir() and path.name.isidentifier()}
    return {name for name in found - ELSEWHERE if list((tree / name).glob("*.py"))}


def test_folders_links_and_list_agree(clone: Path) -> None:
    listed = {name.partition(".")[2] for name in PROJECT["tool"]["setuptools"]["packages"]}
    within = {
        f"{folder}.{path.parent.name}"
        for folder in folders(clone)
        for path in (clone / folder).glob("*/__init__.py")
    }
    assert listed - {""} == folders(clone) | within
    there = list((clone / "src" / "pynet").iterdir())
    files = {"__init__.py", "py.typed"}
    wanted = {name: f"../../{name}" for name in folders(clone) | files}
    assert {path.name: str(path.readlink()) for path in there} == wanted


def test_a_wheel_holds_every_module_and_the_launcher(clone: Path, tmp_path: Path) -> None:
    if shutil.which("cc") is None:
        pytest.skip("no C compiler (cc): the launcher can't be built")
    wheel = build(clone, tmp_path)
    assert "-py3-none-linux_" in wheel.name
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
        launcher = archive.getinfo("pynet/launcher/pynet-launcher")
        assert (launcher.external_attr >> 16) & 0o111
    extra = {"pynet/py.typed", "pynet/launcher/pynet-launcher"}
    data = sources(clone) | topologies(clone)
    assert packed == {f"pynet/{name}" for name in modules(clone)} | data | extra


def test_a_wheel_is_built_without_a_compiler(clone: Path, tmp_path: Path) -> None:
    wheel = build(clone, tmp_path, compiler=False)
    assert "-py3-none-any" in wheel.name
    target = tmp_path / "installed"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile"]
    run([*pip, "--target", target, wheel])
    there = {str(path.relative_to(target / "pynet")) for path in (target / "pynet").rglob("*.py")}
    assert there == modules(clone)
    program = "import pynet; from pynet.launcher import executable; print(executable())"
    environ = {**os.environ, "PYTHONPATH": str(target)}
    assert run([sys.executable, "-c", program], env=environ, cwd=tmp_path).stdout == "None\n"


def test_a_wheel_can_be_built_from_the_source_distribution(clone: Path, tmp_path: Path) -> None:
    program = (
        "import sys; from setuptools import build_meta as b; print(b.build_sdist(sys.argv[1]))"
    )
    run([sys.executable, "-c", program, tmp_path], cwd=clone)
    (source,) = tmp_path.glob("*.tar.gz")
    (tmp_path / "unpacked").mkdir()
    run(["tar", "-xzf", source, "-C", tmp_path / "unpacked"])
    (tree,) = (tmp_path / "unpacked").iterdir()
    with zipfile.ZipFile(build(tree, tmp_path / "wheels", compiler=False)) as archive:
        ends = (".py", ".c", ".h", ".yaml")
        packed = {name for name in archive.namelist() if name.endswith(ends)}
    data = sources(clone) | topologies(clone)
    assert packed == {f"pynet/{name}" for name in modules(clone)} | data
    assert (tree / "tests" / "unit" / Path(__file__).name).is_file()


def test_a_clone_of_another_name_collects_its_tests(clone: Path) -> None:
    argv = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"]
    environ = {key: text for key, text in os.environ.items() if key != "PYTHONPATH"}
    collected = run([*argv, "tests/unit/test_layout.py"], cwd=clone, env=environ)
    assert "test_layout.py::" in collected.stdout


def test_the_version_is_the_same_everywhere() -> None:
    import pynet

    assert PROJECT["project"]["dynamic"] == ["version"]
    assert PROJECT["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "pynet.__version__"}
    assert pynet.__version__[0].isdigit()
