"""Somebody else's IPAM plugin, run as the spec says."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from pynet.ipam import delegate
from pynet.model.errors import Code, DelegateFailed

Plugin = Callable[[str], str]


@pytest.fixture
def plugin(tmp_path: Path) -> Plugin:
    def make(script: str) -> str:
        path = tmp_path / "their-ipam"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return str(path)

    return make


def run(binary: str, config: bytes = b"{}", command: str = "ADD") -> bytes:
    environ = {"CNI_COMMAND": "CHECK", "CNI_IFNAME": "eth0", "PATH": os.environ["PATH"]}
    with tempfile.TemporaryFile() as stderr:
        return delegate.run(binary, command, environ, config, stderr.fileno())


def test_config_and_environment_arrive_with_another_command(plugin: Plugin) -> None:
    config = json.dumps({"name": "net", "x": "y" * 300_000}).encode()
    output = run(plugin('echo "$CNI_COMMAND $CNI_IFNAME $HOME"; cat'), config, "DEL")
    assert output == b"DEL eth0 \n" + config


def test_a_slow_one_is_waited_for_and_gets_all_of_its_input(plugin: Plugin) -> None:
    config = b"x" * 300_000
    assert run(plugin("sleep 0.25; cat"), config) == config


def test_stderr_is_passed_on(plugin: Plugin) -> None:
    with tempfile.TemporaryFile() as stderr:
        delegate.run(plugin("echo noise >&2"), "ADD", {}, b"", stderr.fileno())
        stderr.seek(0)
        assert stderr.read() == b"noise\n"


def test_a_plugin_that_does_not_read_is_no_error(plugin: Plugin) -> None:
    assert run(plugin("echo '{}'"), b"x" * 300_000) == b"{}\n"


@pytest.mark.parametrize(
    ("code", "ours"),
    [(11, Code.TRY_AGAIN_LATER), (7, Code.INVALID_CONFIG), (100, 103), (999, 103), ("x", 103)],
)
def test_its_error_becomes_ours(plugin: Plugin, code: object, ours: int) -> None:
    document = json.dumps({"code": code, "msg": "no more", "details": "at all"})
    with pytest.raises(DelegateFailed, match="their-ipam: no more") as caught:
        run(plugin(f"echo '{document}'; exit 3"))
    assert caught.value.code == ours
    assert caught.value.details == f"exit status 3, code {code}. at all"


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("exit 2", "exit status 2"),
        ("kill -9 $$", "killed by signal 9"),
        ("echo plain text; exit 1", "exit status 1"),
        ("echo '[1]'; exit 1", "exit status 1"),
        ("echo '{\"code\": 11}'; exit 1", "exit status 1"),
    ],
)
def test_a_failure_without_a_document(plugin: Plugin, script: str, told: str) -> None:
    with pytest.raises(DelegateFailed, match=f"their-ipam failed on ADD: {told}") as caught:
        run(plugin(script))
    assert caught.value.code == Code.DELEGATE_FAILED


def test_missing_or_not_executable_is_said(tmp_path: Path) -> None:
    with pytest.raises(DelegateFailed, match=r"gone.*No such file.*CNI_PATH"):
        run(str(tmp_path / "gone"))
    (tmp_path / "text").write_text("hello")
    with pytest.raises(DelegateFailed, match="Permission denied"):
        run(str(tmp_path / "text"))
    (tmp_path / "text").chmod(0o755)
    with pytest.raises(DelegateFailed, match="can't be executed"):
        run(str(tmp_path / "text"))


def test_who_hangs_up_ends_the_plugin(plugin: Plugin, tmp_path: Path) -> None:
    binary = plugin(f"echo $$ > {tmp_path}/pid; exec sleep 60")
    with (
        pytest.raises(DelegateFailed, match="hung up"),
        tempfile.TemporaryFile() as stderr,
    ):
        delegate.run(
            binary, "ADD", dict(os.environ), b"{}", stderr.fileno(),
            cancelled=lambda: (tmp_path / "pid").exists(),
        )  # fmt: skip
    pid = int((tmp_path / "pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
