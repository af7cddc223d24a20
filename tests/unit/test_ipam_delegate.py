"""Somebody else's IPAM plugin, run as the spec says."""

from __future__ import annotations

import json
import os
import tempfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from pynet.ipam import delegate
from pynet.kernel.roots import OWN
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
        return delegate.Run(binary, command, environ, config, stderr.fileno()).to_end(OWN)


def test_config_and_environment_arrive_with_another_command(plugin: Plugin) -> None:
    config = json.dumps({"name": "net", "x": "y" * 300_000}).encode()
    output = run(plugin('echo "$CNI_COMMAND $CNI_IFNAME $HOME"; cat'), config, "DEL")
    assert output == b"DEL eth0 \n" + config


def test_a_slow_one_is_waited_for_and_gets_all_of_its_input(plugin: Plugin) -> None:
    config = b"x" * 300_000
    assert run(plugin("sleep 0.25; cat"), config) == config


def test_stderr_is_passed_on(plugin: Plugin) -> None:
    with tempfile.TemporaryFile() as stderr:
        delegate.Run(plugin("echo noise >&2"), "ADD", {}, b"", stderr.fileno()).to_end(OWN)
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
        delegate.Run(binary, "ADD", dict(os.environ), b"{}", stderr.fileno()).to_end(
            OWN, lambda: (tmp_path / "pid").exists()
        )
    assert is_gone(tmp_path / "pid")


def test_what_nobody_may_break_off_has_a_time_of_its_own(
    plugin: Plugin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delegate, "PATIENCE", 0.3)
    binary = plugin(f"echo $$ > {tmp_path}/pid; exec sleep 60")
    with pytest.raises(DelegateFailed, match="DEL takes it longer than") as failure:
        run(binary, command="DEL")
    assert failure.value.code is Code.TRY_AGAIN_LATER
    assert is_gone(tmp_path / "pid")


@pytest.mark.parametrize("ending", ["", "; exit 1"])
def test_one_that_prints_without_end_is_killed(plugin: Plugin, tmp_path: Path, ending: str) -> None:
    binary = plugin(f"echo $$ > {tmp_path}/pid; head -c 300M /dev/zero{ending}")
    tracemalloc.start()
    try:
        with pytest.raises(DelegateFailed, match="more than 8 MiB") as failure:
            run(binary)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert failure.value.code is Code.DELEGATE_FAILED
    assert most < 32 << 20
    assert is_gone(tmp_path / "pid")


@pytest.mark.parametrize("said", ["[" * 100_000, "[]", "7", "no JSON", '{"a": NaN'])
def test_what_is_no_object_is_no_result(plugin: Plugin, said: str) -> None:
    with pytest.raises(ValueError):
        delegate.document_in(said.encode())
    with pytest.raises(DelegateFailed, match="exit status 1"):
        run(plugin(f"head -c {len(said)} {_written(plugin, said)}; exit 1"))


def _written(plugin: Plugin, text: str) -> Path:
    file = Path(plugin("")).with_name("said")
    file.write_text(text)
    return file


def test_a_message_without_end_is_cut(plugin: Plugin) -> None:
    said = json.dumps({"code": 11, "msg": "m" * 100_000, "details": "d" * 100_000})
    with pytest.raises(DelegateFailed) as failure:
        run(plugin(f"cat {_written(plugin, said)}; exit 1"))
    assert len(failure.value.msg) < 5000
    assert len(failure.value.details) < 5000


def is_gone(pid: Path) -> bool:
    try:
        os.kill(int(pid.read_text()), 0)
    except ProcessLookupError:
        return True
    return False
