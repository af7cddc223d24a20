"""The launcher's settings: the file and the environment mean the same, to all who come after."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from callers import CONFIG, Caller, error_of, make_launcher, serving, went_one_shot

from pynet.daemon.call import Reply

SETTINGS = {
    "state": ("PYNET_STATE_DIR", "/somewhere"),
    "socket": ("PYNET_SOCKET", "/somewhere/else"),
    "daemon": ("PYNET_DAEMON", "never"),
    "accept_ms": ("PYNET_ACCEPT_MS", "7"),
    "reply_ms": ("PYNET_REPLY_MS", "8"),
}


def test_the_file_beside_it_is_read_and_the_environment_wins(tmp_path: Path) -> None:
    for kind in ("c", "python"):
        caller = Caller(make_launcher(kind, tmp_path / f"{kind}-bin"), tmp_path / kind)
        other = tmp_path / f"{kind}-other"
        other.mkdir()
        text = f"# a comment\nstate={other}\npython={caller.python}\nfuture=key\n\n"
        (caller.executable.parent / "pynet-launcher.conf").write_text(text)
        told = {"PYNET_STATE_DIR": "", "PYNET_PYTHON": ""}
        with serving(other, lambda call: Reply(0, call.environ["PYNET_STATE_DIR"].encode())):
            assert caller.run(**told).stdout == os.fsencode(other)
            assert went_one_shot(caller.run(PYNET_PYTHON=""))
        assert went_one_shot(caller.run(**told))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PYNET_DAEMON", "sometimes"),
        ("PYNET_ACCEPT_MS", "soon"),
        ("PYNET_REPLY_MS", "0"),
        ("PYNET_PYTHON", "python3"),
        ("PYNET_PYTHON", '/no/such/"python"\\\n'),
    ],
)
def test_a_wrong_setting_is_one_error_that_names_it(caller: Caller, name: str, value: str) -> None:
    error = error_of(caller.run(**{name: value}))
    assert error["code"] == 999
    assert value in error["msg"] or "absolute path" in error["msg"]


def test_the_file_means_the_same_as_the_environment_to_all_who_come_after(caller: Caller) -> None:
    """They are told by the environment alone."""
    caller.python.write_text("#!/bin/sh\nenv | grep ^PYNET_ | sort\n")
    silent = {variable: "" for variable, _ in SETTINGS.values()} | {"PYNET_PYTHON": ""}
    written = {key: value for key, (_, value) in SETTINGS.items()}
    with configured(caller, {**written, "python": str(caller.python)}):
        by_file = {*caller.run(**silent).stdout.decode().splitlines()}
        assert by_file >= {f"{variable}={value}" for variable, value in SETTINGS.values()}
        mixed = caller.run(**{**silent, "PYNET_DAEMON": "auto"}).stdout.decode().splitlines()
    assert by_file - {*mixed} == {"PYNET_DAEMON=never"}


@pytest.mark.parametrize("what", ["pipe", "device"])
def test_what_is_no_file_is_one_error_and_not_waited_for(caller: Caller, what: str) -> None:
    file = caller.executable.parent / "pynet-launcher.conf"
    if what == "pipe":
        os.mkfifo(file)
    else:
        file.symlink_to("/dev/zero")
    try:
        error = error_of(caller.run())
    finally:
        file.unlink()
    assert error["code"] == 999
    assert str(file) in error["msg"] and "file" in error["msg"].replace(str(file), "")


def test_an_empty_file_may_be_the_null_device(caller: Caller) -> None:
    file = caller.executable.parent / "pynet-launcher.conf"
    file.symlink_to("/dev/null")
    try:
        assert went_one_shot(caller.run())
    finally:
        file.unlink()


@contextmanager
def configured(caller: Caller, settings: dict[str, str]) -> Iterator[None]:
    file = caller.executable.parent / "pynet-launcher.conf"
    file.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
    try:
        yield
    finally:
        file.unlink()


@pytest.mark.parametrize("value", ["+5", " 5", "5 ", "0", "5s", "9999999999"])
def test_both_launchers_and_both_sources_take_the_same_for_a_number(
    caller: Caller, value: str
) -> None:
    assert error_of(caller.run(PYNET_REPLY_MS=value))["code"] == 999
    with configured(caller, {"reply_ms": value}):
        assert error_of(caller.run(PYNET_REPLY_MS="5"))["code"] == 999


@pytest.mark.second_user
def test_a_launcher_with_more_rights_than_its_caller_refuses() -> None:
    """CNI_PATH alone would let the caller choose what is run with them."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        binary = make_launcher("c", folder / "bin")
        python = folder / "python"
        python.write_text("#!/bin/sh\necho mine\n")
        python.chmod(0o755)
        (binary.parent / "pynet-launcher.conf").write_text(f"python={python}\ndaemon=never\n")
        for bits in (0o4755, 0o2755):
            binary.chmod(bits)
            assert called_by(binary, 0, "ADD").stdout == b"mine\n"
            for command in ("ADD", "VERSION", ""):
                error = error_of(called_by(binary, 65534, command))
                assert (error["code"], "more rights than its caller" in error["msg"]) == (999, True)


def called_by(binary: Path, user: int, command: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [binary],
        env={"CNI_COMMAND": command},
        user=user, group=user, extra_groups=[],
        input=CONFIG, capture_output=True, check=False,
    )  # fmt: skip
