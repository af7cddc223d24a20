"""A fake host with pynet installed and its daemon running, and container runtimes on it."""

from __future__ import annotations

import os
import subprocess
import uuid
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import cgroups
import image as images
import pytest
from clients import end, need
from containerd import Containerd
from podman import Podman

from pynet.testnets.lab.internet import Internet
from pynet.testnets.lab.lab import Host, Lab
from pynet.testnets.live.installed import install, start_daemon


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    need(busybox="busybox-static")
    archive = tmp_path_factory.mktemp("image") / "busybox.tar"
    archive.write_bytes(images.archive())
    return archive


@pytest.fixture(scope="session", autouse=True)
def same_machine() -> Iterator[None]:
    """After all that, the machine's own links, rules and mounts are what they were."""
    before = _machine()
    yield
    assert _machine() == before


def _machine() -> list[str]:
    asked = (
        ["ip", "-o", "link"],
        ["ip", "-o", "addr"],
        ["ip", "route"],
        ["nft", "list", "ruleset"],
    )
    said = [subprocess.run(argv, capture_output=True, text=True, check=False) for argv in asked]
    # Not /run: scripts/test gives the tests one of their own, where other tests work too.
    state = ["/dev/shm", "/etc/cni/net.d", "/opt", "/var/lib", "/var/log", "/var/tmp"]
    listed = [str(sorted(os.listdir(path))) for path in state if Path(path).exists()]  # noqa: PTH208
    return [*(each.stdout for each in said), Path("/proc/self/mounts").read_text(), *listed]


@pytest.fixture
def groups() -> Iterator[list[Path]]:
    for hierarchy in cgroups.hierarchies():
        if not os.access(hierarchy, os.W_OK):
            pytest.skip(f"containers need control groups of ours: {hierarchy} is closed; be root")
    with cgroups.own_groups(f"pynet-{uuid.uuid4().hex[:8]}") as made:
        yield made


@pytest.fixture
def lab(groups: list[Path], request: pytest.FixtureRequest) -> Lab:
    """Asked for once its control groups are there, so that it ends before they go."""
    made: Lab = request.getfixturevalue("net_lab")
    return made


@pytest.fixture
def host(lab: Lab, groups: list[Path]) -> Host:
    host = lab.host("h1")
    cgroups.confine(host, groups)
    # Podman's locks; files that are the machine's with every other host of the lab.
    host.run(["mount", "-t", "tmpfs", "tmpfs", "/dev/shm"])
    install(host)
    daemon = start_daemon(host)
    lab.at_close(partial(end, daemon))
    return host


@pytest.fixture
def internet(lab: Lab, host: Host) -> Internet:
    return Internet(lab, host)


@pytest.fixture
def containerd(lab: Lab, host: Host, image: Path) -> Containerd:
    return _containerd(lab, host, image, "default")


@pytest.fixture
def pods(lab: Lab, host: Host, image: Path) -> Containerd:
    """The same, in the namespace in which it keeps the pods of Kubernetes."""
    return _containerd(lab, host, image, "k8s.io")


def _containerd(lab: Lab, host: Host, image: Path, namespace: str) -> Containerd:
    need(containerd="containerd", ctr="containerd", runc="runc")
    containerd = Containerd(host, namespace)
    lab.at_close(containerd.kill)
    containerd.ctr("image", "import", str(image))
    return containerd


@pytest.fixture
def podman(host: Host, image: Path) -> Podman:
    need(podman="podman", conmon="conmon", runc="runc")
    podman = Podman(host)
    podman.podman("load", "--quiet", "--input", str(image))
    return podman
