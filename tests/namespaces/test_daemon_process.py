"""`pynetd` as a process: one per state directory, and it goes as it should."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from callers import SOURCES, Caller, error_of, make_launcher, went_one_shot

# The real process but for its handler: one word to say, or as many seconds to wait first.
DAEMON = """
import os, signal, sys, threading, time
from pynet.daemon.__main__ import Equipment, run
from pynet.daemon.call import Reply
from pynet.daemon.settings import settings

def handler(call):
    killed = call.environ.get("KILLED")
    if killed == "before":
        os.kill(os.getpid(), 9)
    call.accepted()
    if killed == "after":
        os.kill(os.getpid(), 9)
    if "TOLD" in call.environ:
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
    if "RAN" in call.environ:
        open(call.environ["RAN"], "w").close()
    os.write(call.stderr, b"working")
    time.sleep(float(call.environ.get("SECONDS", "0")))
    return Reply(0, b"served by %d" % os.getpid())

def equip(state):
    print("up", flush=True)
    return Equipment(handler, lambda: None)

idle = float(sys.argv[1]) if sys.argv[1:] else None
sys.exit(run(settings(os.environ), idle, equip))
"""


@pytest.fixture(scope="module")
def executable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    yield make_launcher("c", tmp_path_factory.mktemp("launcher") / "bin")


@pytest.fixture
def caller(executable: Path, tmp_path: Path) -> Caller:
    return Caller(executable, tmp_path)


@contextmanager
def daemon(
    caller: Caller, *arguments: str, code: str = DAEMON
) -> Iterator[subprocess.Popen[bytes]]:
    environ = caller.environment(PYTHONPATH=str(SOURCES))
    with subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            process.kill()


def wait_for(caller: Caller) -> bytes:
    """The daemon's answer, once it is up."""
    for _ in range(1000):
        done = caller.run(PYNET_DAEMON="require")
        if done.returncode == 0:
            return done.stdout
    pytest.fail("no daemon came up")


def served_by(process: subprocess.Popen[bytes]) -> bytes:
    return b"served by %d" % process.pid


def test_a_stale_socket_is_replaced_and_sigterm_removes_ours(caller: Caller) -> None:
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(caller.socket))
    with daemon(caller) as process:
        assert wait_for(caller) == served_by(process)
        assert caller.socket.stat().st_mode & 0o777 == 0o600
        process.terminate()
        assert process.wait(20) == 0
    assert [path.name for path in caller.state.iterdir()] == []


def test_a_sigterm_that_another_thread_is_given_ends_the_daemon(caller: Caller) -> None:
    """As one may be that comes while the main thread is at another signal."""
    with daemon(caller) as process:
        wait_for(caller)
        assert caller.run(TOLD="yes").stdout == served_by(process)
        assert process.wait(20) == 0


def test_sigterm_lets_a_request_in_flight_end_and_takes_no_other(caller: Caller) -> None:
    with daemon(caller) as process:
        wait_for(caller)
        with caller.start(SECONDS="1") as slow:
            assert slow.stdin and slow.stdout and slow.stderr
            slow.stdin.close()
            assert slow.stderr.read(7) == b"working"
            process.terminate()
            while caller.socket.exists():
                assert slow.poll() is None
            assert went_one_shot(caller.run())
            assert slow.stdout.read() == served_by(process)
        assert process.wait(20) == 0


def test_after_sigkill_the_next_daemon_takes_over(caller: Caller) -> None:
    with daemon(caller) as process:
        wait_for(caller)
        process.kill()
        process.wait()
    assert went_one_shot(caller.run())
    with daemon(caller) as process:
        assert process.stdout is not None and process.stdout.readline() == b"up\n"
        while (answer := caller.run()).stdout != served_by(process):
            assert went_one_shot(answer)


def test_a_request_on_which_the_daemon_dies_runs_one_shot_unless_it_was_accepted(
    caller: Caller,
) -> None:
    for killed in ("before", "after"):
        with daemon(caller) as process:
            wait_for(caller)
            done = caller.run(KILLED=killed)
            assert process.wait(20) == -signal.SIGKILL
        if killed == "before":
            assert went_one_shot(done)
        else:
            assert error_of(done)["code"] == 11


def test_a_request_that_was_given_up_is_not_run_by_a_daemon_that_wakes(caller: Caller) -> None:
    with daemon(caller) as process:
        wait_for(caller)
        ran = caller.folder / "ran"
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
        assert went_one_shot(caller.run(RAN=str(ran), PYNET_ACCEPT_MS="50"))
        process.send_signal(signal.SIGCONT)
        assert caller.run().stdout == served_by(process)
        process.terminate()
        assert process.wait(20) == 0  # and whatever it had begun is done
    assert not ran.exists()


def test_a_second_daemon_says_so_and_leaves_the_first_alone(caller: Caller) -> None:
    with daemon(caller) as first:
        wait_for(caller)
        with daemon(caller) as second:
            _, err = second.communicate(timeout=20)
        assert second.returncode == 0
        assert b"another one serves" in err
        assert caller.run().stdout == served_by(first)


def test_an_idle_daemon_leaves(caller: Caller) -> None:
    with daemon(caller, "0.3") as process:
        assert process.wait(20) == 0
    assert not caller.socket.exists()


def test_a_directory_that_others_can_write_to_is_refused(caller: Caller) -> None:
    caller.state.chmod(0o777)
    command = [sys.executable, "-m", "pynet.daemon"]
    environ = caller.environment(PYTHONPATH=str(SOURCES))
    done = subprocess.run(command, env=environ, capture_output=True, timeout=60, check=False)
    assert done.returncode == 1
    assert b"others can write" in done.stderr
    assert b"Traceback" not in done.stderr


def test_a_daemon_whose_socket_was_replaced_leaves(caller: Caller) -> None:
    hurry = "import pynet.daemon.server as s; s.LOOK_SECONDS = 0.2\n"
    with daemon(caller, code=hurry + DAEMON) as process:
        wait_for(caller)
        caller.socket.unlink()
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(str(caller.socket))
            assert process.wait(20) == 0
    assert caller.socket.exists()


PACKAGE = """
import os, pathlib
import pynet.daemon.__main__ as main
from pynet.daemon.installed import Installed
main.installed = lambda: Installed(pathlib.Path(os.environ["PYNET_STATE_DIR"]).parent / "pynet")
"""


def test_a_daemon_whose_package_was_replaced_declines_and_leaves(caller: Caller) -> None:
    record = caller.state.parent / "pynet_cni-0.1.0.dist-info" / "RECORD"
    record.parent.mkdir()
    record.touch()
    with daemon(caller, code=PACKAGE + DAEMON) as process:
        assert wait_for(caller) == served_by(process)
        record.write_text("another")
        ran = caller.folder / "ran"
        assert went_one_shot(caller.run(RAN=str(ran)))
        assert process.wait(20) == 0
    assert not ran.exists()
    assert not caller.socket.exists()


def test_a_daemon_whose_package_was_removed_serves_until_it_looks(caller: Caller) -> None:
    record = caller.state.parent / "pynet_cni-0.1.0.dist-info" / "RECORD"
    record.parent.mkdir()
    record.touch()
    with daemon(caller, code=PACKAGE + DAEMON) as process:
        wait_for(caller)
        record.unlink()
        assert caller.run().stdout == served_by(process)
    record.touch()
    hurry = "import pynet.daemon.server as s; s.LOOK_SECONDS = 0.2\n"
    with daemon(caller, code=hurry + PACKAGE + DAEMON) as process:
        wait_for(caller)
        record.unlink()
        assert process.wait(20) == 0


def test_a_socket_from_systemd_is_served_and_left_to_it(caller: Caller) -> None:
    activate = (
        "import os, sys; os.dup2(int(sys.argv[1]), 3); os.set_inheritable(3, True);"
        "os.environ |= {'LISTEN_PID': str(os.getpid()), 'LISTEN_FDS': '1'};"
        "os.execv(sys.executable, [sys.executable, '-c', sys.argv[2]])"
    )
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(caller.socket))
        listening.listen()
        fd = listening.fileno()
        with subprocess.Popen(
            [sys.executable, "-c", activate, str(fd), DAEMON],
            env=caller.environment(PYTHONPATH=str(SOURCES)),
            pass_fds=[fd], stdout=subprocess.PIPE,
        ) as process:  # fmt: skip
            assert process.stdout is not None and process.stdout.readline() == b"up\n"
            assert caller.run().stdout == served_by(process)
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
        assert caller.socket.exists()
        os.set_blocking(fd, False)
        with pytest.raises(BlockingIOError):  # still listening, and nobody waits
            listening.accept()
