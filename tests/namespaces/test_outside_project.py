"""Another project's suite: it installs the wheel, has three lines of configuration, and labs.

As root, and as a user who is nobody in particular.
"""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from wheels import build, clone_to, run

NOBODY = 65534
CONFIGURATION = """\
[pytest]
addopts = --strict-markers --strict-config
filterwarnings = error
"""
TOPOLOGY = """\
nodes: {h1: host, outside: external}
links: ["h1:eth0 -- outside:eth0"]
networks: {web: {subnets: [10.1.0.0/24]}}
containers: {a: {networks: [web]}, b: {networks: [web], publish: ["8080:80"]}}
"""
TESTS = """\
from pynet.testnets import Topo, topology

pytestmark = topology("site.yaml", scope="module")
PAIR = Topo("pair").host("h1").host("h2").link("h1:eth0", "h2:eth0")


def test_containers_meet(net):
    net.a.ping(net.b)
    net.a.tcp("b:80")


def test_a_published_port(net):
    net.outside.http("h1:8080", seen_as="outside")


@topology(PAIR)
def test_a_lab_of_its_own(net):
    net.h1.ping("h2")


@topology("single-bridge")
def test_the_gallery(net):
    net.check()
"""
UNUSED = """\
import sys


def test_nothing_was_loaded_for_this():
    loaded = {name for name in sys.modules if name.startswith("pynet.")}
    assert loaded == {
        "pynet.testnets",
        "pynet.testnets.fixtures",
        "pynet.testnets.fixtures.marks",
        "pynet.testnets.fixtures.pytest_plugin",
    }
    assert not {"pydantic", "yaml", "pyroute2", "click"} & sys.modules.keys()
"""


@dataclass(frozen=True)
class Project:
    """A directory with an interpreter of its own that has pytest and pynet, and nothing else."""

    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / "venv" / "bin" / "python"

    def pytest(self, *arguments: str, **options: object) -> str:
        """What a run of the suite, which must succeed, prints."""
        environ = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "LANG": "C.UTF-8"}
        argv = [self.python, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
        return run(argv, cwd=self.folder, env=environ, **options).stdout


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    # Not in pytest's own directory, which is closed to other users.
    with tempfile.TemporaryDirectory(prefix="pynet-outside-") as name:
        made = Project(Path(name))
        made.folder.chmod(0o755)
        clone = clone_to(tmp_path_factory.mktemp("clone") / "pynet")
        _install(made, build(clone, tmp_path_factory.mktemp("wheel")))
        (made.folder / "pytest.ini").write_text(CONFIGURATION)
        (made.folder / "site.yaml").write_text(TOPOLOGY)
        (made.folder / "test_site.py").write_text(TESTS)
        (made.folder / "test_plain.py").write_text(UNUSED)
        yield made


def _install(project: Project, wheel: Path) -> None:
    run([sys.executable, "-m", "venv", "--without-pip", project.folder / "venv"])
    pip = [sys.executable, "-m", "pip", "--python", project.python, "--quiet"]
    run([*pip, "install", "--no-index", "--no-deps", "--no-compile", wheel])
    packages = sysconfig.get_path("purelib", vars={"base": str(project.folder / "venv")})
    for name in _needed("pynet-cni") | _needed("pytest"):
        _copy(name, Path(packages))


def _needed(name: str, known: frozenset[str] = frozenset()) -> set[str]:
    """The distributions that `name` requires, itself left out where it is pynet."""
    found = set() if name == "pynet-cni" else {name}
    for text in distribution(name).requires or ():
        requirement = Requirement(text)
        wanted = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if wanted and requirement.name not in known:
            found |= _needed(requirement.name, known | found)
    return found


def _copy(name: str, packages: Path) -> None:
    """Copied: where this interpreter's packages are, another user may not be let in."""
    for file in distribution(name).files or ():
        if ".." not in file.parts and "__pycache__" not in file.parts:
            (packages / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(str(file.locate()), packages / file)


def test_its_suite_has_labs(project: Project) -> None:
    assert "4 passed" in project.pytest("test_site.py")


@pytest.mark.second_user
def test_its_suite_has_labs_as_nobody(project: Project) -> None:
    someone = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
    assert "4 passed" in project.pytest("test_site.py", **someone)


def test_a_suite_without_labs_pays_nothing(project: Project) -> None:
    assert "1 passed" in project.pytest("test_plain.py")
