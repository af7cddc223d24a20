"""The one-shot: the same call from this process, and the daemon it leaves behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from callers import CONFIG, SOURCES, serving

from pynet.daemon import one_shot
from pynet.daemon.call import Call, Reply
from pynet.kernel.roots import OWN

# `main` with another handler, and with an executable of ours in the daemon's place.
ONE_SHOT = """
import sys
from pynet.daemon import one_shot
from pynet.daemon.call import Reply
one_shot._handler = lambda config: lambda call: Reply(3, call.plugin.encode() + call.stdin)
sys.executable = %r
one_shot.main()
"""
LEFT_BEHIND = """#!/bin/sh
{{ echo "$@"; pwd; ls -l /proc/$$/fd | grep -c inherited; readlink /proc/$$/fd/0;
  cut -d' ' -f6 /proc/$$/stat; echo $$; env | grep -c CNI_; }} > {report}.part
mv {report}.part {report}
exec sleep 60
"""


def test_a_call_tells_of_this_process(tmp_path: Path) -> None:
    seen: list[tuple[str, str]] = []

    def handler(call: Call) -> Reply:
        assert call.sandbox is not None
        seen.append((str(Path(f"/proc/self/fd/{call.host}").readlink()),
                     str(Path(f"/proc/self/fd/{call.sandbox}").readlink())))  # fmt: skip
        call.accepted()
        assert (call.root, call.cancelled(), call.stderr) == (OWN, False, 2)
        return Reply(0, call.stdin)

    netns = "/proc/self/ns/net"
    assert one_shot.run(handler, "bridge", {"CNI_NETNS": netns}, CONFIG) == Reply(0, CONFIG)
    assert seen == [(str(Path(netns).readlink()), str(Path(netns).readlink()))]


def start(tmp_path: Path, python: str, **environ: str) -> subprocess.CompletedProcess[bytes]:
    held = os.open(tmp_path / "inherited", os.O_RDWR | os.O_CREAT)
    try:
        return subprocess.run(
            [sys.executable, "-c", ONE_SHOT % python, "bridge"],
            input=CONFIG, capture_output=True, timeout=30, check=False, pass_fds=[held],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(SOURCES), "CNI_COMMAND": "ADD",
                 "PYNET_STATE_DIR": str(tmp_path / "state"), **environ},
        )  # fmt: skip
    finally:
        os.close(held)


@pytest.fixture
def fake_daemon(tmp_path: Path) -> Path:
    (tmp_path / "state").mkdir(mode=0o700)
    path = tmp_path / "daemon"
    path.write_text(LEFT_BEHIND.format(report=tmp_path / "report"))
    path.chmod(0o755)
    return path


def test_it_leaves_a_daemon_behind_that_holds_nothing_of_ours(
    tmp_path: Path, fake_daemon: Path
) -> None:
    # That this returns at all shows that the daemon, which sleeps, does not hold the pipes.
    done = start(tmp_path, str(fake_daemon))
    assert (done.returncode, done.stdout, done.stderr) == (3, b"bridge" + CONFIG, b"")
    report = tmp_path / "report"
    while not report.exists():
        time.sleep(0.01)
    arguments, folder, inherited, stdin, session, pid, variables = report.read_text().splitlines()
    os.kill(int(pid), 9)
    state = tmp_path / "state"
    assert arguments == (
        f"-P -m pynet.daemon --state {state} --socket {state}/pynetd.sock --idle-exit 300.0"
    )
    assert (folder, inherited, stdin, session) == ("/", "0", "/dev/null", pid)
    assert variables == "0"


@pytest.mark.parametrize("mode", ["never", "require"])
def test_it_leaves_none_where_none_is_wanted(tmp_path: Path, fake_daemon: Path, mode: str) -> None:
    done = start(tmp_path, "/no/such/python", PYNET_DAEMON=mode)
    assert (done.returncode, done.stderr) == (3, b"")


def test_it_leaves_none_where_one_answers(tmp_path: Path, fake_daemon: Path) -> None:
    with serving(tmp_path / "state", lambda call: Reply(0, b"")):
        done = start(tmp_path, "/no/such/python")
    assert (done.returncode, done.stderr) == (3, b"")


def test_a_daemon_that_cannot_be_left_spoils_nothing(tmp_path: Path, fake_daemon: Path) -> None:
    done = start(tmp_path, "/no/such/python")
    assert (done.returncode, done.stdout) == (3, b"bridge" + CONFIG)
    assert b"no daemon could be left behind" in done.stderr


def test_a_wrong_setting_is_one_error(tmp_path: Path) -> None:
    done = start(tmp_path, "/no/such/python", PYNET_DAEMON="perhaps")
    assert (done.returncode, done.stderr) == (1, b"")
    assert json.loads(done.stdout)["code"] == 4


def test_without_a_command_it_says_what_it_is(tmp_path: Path) -> None:
    done = start(tmp_path, "/no/such/python", CNI_COMMAND="")
    assert (done.returncode, done.stdout) == (0, b"")
    assert done.stderr.startswith(b"CNI bridge plugin of pynet")
    assert b"1.1.0" in done.stderr
