"""Whoever only looks makes nothing: no store, no directory, no process, no table."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from drive import BRIDGE, PORTMAP
from evidence import rest
from scenes import container, in_host, succeed
from test_findings import network, pynet

LOOKING = (
    "status", "status --json", "inspect", "inspect c1", "network ls", "network show web",
    "network validate", "cni status web", "cni gc web", "attach c1 web --dry-run",
    "detach c1 web", "network create other --dry-run", "install --dry-run",
    "uninstall --dry-run", "uninstall --purge --dry-run", "conformance list", "testnet ls",
    "testnet validate two-networks",
)  # fmt: skip
PLACES = ("/run", "/etc/cni", "/var/lib/cni", "/opt/cni", "/opt/pynet")


def files() -> set[str]:
    return {
        str(path)
        for place in PLACES
        for path in Path(place).rglob("*")
        if not str(path).startswith("/run/machine")
    }


@pytest.mark.parametrize("user", [0, 65534])
@pytest.mark.parametrize("chosen", ["", "/run/mine/state"])
@in_host
def test_before_anything_is_attached(user: int, chosen: str) -> None:
    network("web", *({k: v for k, v in each.items() if k != "name"} for each in (BRIDGE, PORTMAP)))
    container("c1")
    for name in ("mine", "user"):
        Path("/run", name).mkdir()
        shutil.chown(Path("/run", name), user, user)
    os.environ["XDG_RUNTIME_DIR"] = os.environ["HOME"] = "/run/user"
    os.environ.pop("PYNET_STATE_DIR", None)
    if chosen:
        os.environ["PYNET_STATE_DIR"] = chosen
    kernel, before = rest(), files()
    if user:
        os.setgroups([])
        os.setuid(user)
    for words in LOOKING:
        pynet(words, status=None)
        assert files() == before, words
    if not user:
        assert rest() == kernel


@in_host
def test_a_runtime_s_status_makes_no_store() -> None:
    container("c1")
    before = files()
    succeed("STATUS", BRIDGE)
    assert files() == before
