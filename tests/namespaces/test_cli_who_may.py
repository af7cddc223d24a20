"""Commands run by a user who is not root beside what root has attached: told so, and what helps."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from test_mtu_mended import pynet

from pynet.testnets.lab.lab import Host

NOBODY = 65534
HOME = Path("/run/nobodys")
ENVIRONMENTS: list[dict[str, str]] = [
    {},
    {"PYNET_STATE_DIR": "/run/nobodys/own"},
    {"XDG_RUNTIME_DIR": "/run/nobodys"},
]


@pytest.fixture
def shared(host: Host) -> Host:
    """A host where root has attached c1 to web."""
    host.run(["install", "-d", "-m", "700", "-o", str(NOBODY), str(HOME)])
    host.container("c1")
    assert pynet(host, "network", "create", "web")[0] == 0
    assert pynet(host, "attach", "c1", "web")[0] == 0
    return host


def as_nobody(host: Host, environ: dict[str, str], *words: str) -> tuple[int, str]:
    drop = (
        f"import os, sys; os.setgid({NOBODY}); os.setuid({NOBODY});"
        " os.execv(sys.argv[1], sys.argv[1:])"
    )
    command = [sys.executable, "-c", drop, sys.executable, "-m", "pynet.cli", *words]
    done = host.run(command, env={"PATH": os.environ["PATH"], **environ}, check=False)
    return done.returncode, done.stdout.decode() + done.stderr.decode()


@pytest.mark.parametrize("environ", ENVIRONMENTS, ids=["nothing", "state", "runtime"])
def test_every_refusal_says_who_may(shared: Host, environ: dict[str, str]) -> None:
    for words in (
        ("inspect",),
        ("reload",),
        ("status",),
        ("attach", "c1", "web"),
        ("network", "create", "db"),
    ):
        status, said = as_nobody(shared, environ, *words)
        assert status == 1, words
        assert "run this as root" in said, words
        assert "lost" not in said, words


def test_another_directory_of_roots_is_not_a_lost_store(shared: Host) -> None:
    status, said = pynet(shared, "--state-dir", str(HOME), "inspect")
    assert status == 1
    assert "lost" not in said
    assert "`pynet --state-dir /run/pynet inspect`" in said


def test_a_directory_that_is_not_there_is_wrong_usage(shared: Host) -> None:
    for command in ("inspect", "status", "reload"):
        status, said = pynet(shared, "--state-dir", "/nope", command)
        assert (status, "there is no directory /nope" in said) == (2, True), command
