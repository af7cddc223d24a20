"""The launcher's promise: what was accepted runs once, what was not runs one-shot."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from callers import (
    CONFIG,
    TOKEN,
    Behaviour,
    Caller,
    error_of,
    peer,
    serving,
    until_closed,
    went_one_shot,
)

from pynet.daemon import token, wire
from pynet.daemon.call import Call, Handler, Reply

LARGEST = wire.LIMIT // 2


def say(*frames: bytes) -> Behaviour:
    """Send `frames`, then hang up."""

    def behave(connection: socket.socket) -> None:
        for frame in frames:
            connection.sendall(frame)

    return behave


def hold(*frames: bytes) -> Behaviour:
    """Send `frames`, then say nothing until the launcher hangs up."""

    def behave(connection: socket.socket) -> None:
        say(*frames)(connection)
        until_closed(connection)

    return behave


OTHER_KIND = b"pynt\x03\x00\x02\x00\x00\x00\x00\x00"
OTHER_VERSION = b"pynt\x63\x00\x03\x00\x00\x00\x00\x00"
OLDER_VERSION = b"pynt\x02\x00\x03\x00\x02\x00\x00\x00no"


@pytest.mark.parametrize(
    "behave",
    [
        say(wire.declined("not mine")),
        say(),
        say(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
        say(OTHER_VERSION),
        say(OLDER_VERSION),
        say(OTHER_KIND),
        say(wire.declined("not mine")[:7]),
        say(wire.encode_reply(0, b"half")[:-2]),
        say(b"pynt\x03\x00\x04\x00\xff\xff\xff\xff"),
        hold(),
        hold(wire.encode_reply(0, b"half")[:-2]),
    ],
    ids=[
        "declined", "closed", "garbage", "other version", "older version",
        "other kind", "half a header", "half a reply", "a reply beyond the limit",
        "silent", "silent in the middle",
    ],
)  # fmt: skip
def test_what_was_not_accepted_runs_one_shot_and_never_elsewhere(
    caller: Caller, behave: Behaviour
) -> None:
    with peer(caller.socket, behave) as fds:
        assert went_one_shot(caller.run(PYNET_ACCEPT_MS="300"))
        assert not token.take(fds[TOKEN])


@pytest.mark.parametrize(
    "behave",
    [
        say(),
        hold(),
        say(b"garbage, twelve and more"),
        say(wire.encode_reply(0, b"half")[:-2]),
        hold(wire.encode_reply(0, b"half")[:-2]),
        say(wire.declined("too late")),
        say(OTHER_VERSION),
        say(OTHER_KIND),
    ],
    ids=[
        "closed", "silent", "garbage", "half a reply", "silent in the middle",
        "declined after all", "other version", "other kind",
    ],
)  # fmt: skip
def test_what_was_accepted_is_never_run_twice(caller: Caller, behave: Behaviour) -> None:
    with peer(caller.socket, behave, accepts=True):
        error = error_of(caller.run(PYNET_ACCEPT_MS="300", PYNET_REPLY_MS="300"))
    assert error["code"] == 11
    assert "not run a second time" in error["msg"]


@pytest.mark.parametrize("status", [0, 1, 7])
def test_an_answer_is_relayed_to_the_byte(caller: Caller, status: int) -> None:
    stdout = bytes(range(256))
    with peer(caller.socket, say(wire.encode_reply(status, stdout)), accepts=True):
        done = caller.run()
    assert (done.returncode, done.stdout, done.stderr) == (status, stdout, b"")


@pytest.mark.parametrize("begun", [0, 5, 14])
def test_what_was_accepted_is_waited_for(caller: Caller, begun: int) -> None:
    """Beyond the time for acceptance, of which nothing is said; in the middle of a frame, too."""
    frame = wire.encode_reply(0, b"x" * 10_000)

    def behave(connection: socket.socket) -> None:
        connection.sendall(frame[:begun])
        time.sleep(0.3)
        connection.sendall(frame[begun:])

    with peer(caller.socket, behave, accepts=True):
        assert caller.run(PYNET_ACCEPT_MS="50").stdout == b"x" * 10_000


def test_daemon_and_launcher_never_both_run_a_request(caller: Caller) -> None:
    """The daemon accepts at about the time when the launcher gives up."""
    moments, ran = iter(range(1000)), []

    def handler(call: Call) -> Reply:
        time.sleep(next(moments) % 16 / 2000)
        call.accepted()
        ran.append(call.environ["NUMBER"])
        return Reply(0, b"served")

    with serving(caller.state, handler):
        done = [caller.run(NUMBER=str(n), PYNET_ACCEPT_MS="4") for n in range(48)]
    served = [str(n) for n, each in enumerate(done) if each.stdout == b"served"]
    assert all(went_one_shot(each) for each in done if each.stdout != b"served")
    assert ran == served


def test_an_answer_may_come_without_acceptance_and_in_pieces(caller: Caller) -> None:
    def behave(connection: socket.socket) -> None:
        for byte in wire.encode_reply(0, b"{}"):
            connection.sendall(bytes([byte]))

    with peer(caller.socket, behave):
        assert caller.run().stdout == b"{}"


def test_without_a_daemon_it_runs_one_shot(caller: Caller) -> None:
    assert went_one_shot(caller.run())


def test_a_stale_socket_is_no_daemon(caller: Caller) -> None:
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(caller.socket))
    assert went_one_shot(caller.run())


def test_a_daemon_that_hangs_does_not_hold_the_callers_stderr(caller: Caller) -> None:
    with socket.socket(socket.AF_UNIX) as hung:
        hung.bind(str(caller.socket))
        hung.listen()
        # The request stays in its queue, and what was sent along with it stays open.
        assert went_one_shot(caller.run(PYNET_ACCEPT_MS="100"))


def test_what_is_written_for_stderr_comes_before_the_answer_does(caller: Caller) -> None:
    def handler(call: Call) -> Reply:
        os.write(call.stderr, b"a" * 100_000)
        call.accepted()
        os.write(call.stderr, b"b" * 100_000)
        return Reply(0, b"served")

    with serving(caller.state, handler):
        done = caller.run()
    assert (done.stdout, done.stderr) == (b"served", b"a" * 100_000 + b"b" * 100_000)


@pytest.mark.second_user
def test_a_daemon_of_another_user_is_not_asked(caller: Caller) -> None:
    # SO_PEERCRED is that of whoever called listen().
    code = (
        "import os, socket, sys; s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]);"
        "os.setresuid(65534, 65534, 65534); s.listen(); print('up', flush=True);"
        "c = s.accept()[0]; print(len(c.recv(9)), flush=True)"
    )
    command = [sys.executable, "-I", "-c", code, str(caller.socket)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as foreign:
        assert foreign.stdout is not None
        assert foreign.stdout.readline() == b"up\n"
        assert went_one_shot(caller.run())
        assert foreign.stdout.readline() == b"0\n"


def test_never_asks_no_daemon_and_require_runs_nothing_one_shot(caller: Caller) -> None:
    assert error_of(caller.run(PYNET_DAEMON="require"))["code"] == 11
    with serving(caller.state, lambda call: Reply(0, b"daemon")):
        assert caller.run(PYNET_DAEMON="require").stdout == b"daemon"
        assert went_one_shot(caller.run(PYNET_DAEMON="never"))


def test_a_large_configuration_goes_either_way_and_one_too_large_is_refused(
    caller: Caller,
) -> None:
    large = b" " * LARGEST
    with serving(caller.state, lambda call: Reply(0, call.stdin)):
        assert caller.run(stdin=large).stdout == large
    assert went_one_shot(caller.run(stdin=large), large)
    assert error_of(caller.run(stdin=large + b" "))["code"] == 6


def test_without_a_command_stdin_is_left_alone(caller: Caller) -> None:
    with serving(caller.state, lambda call: Reply(0, b"daemon")):
        process = caller.start(CNI_COMMAND="")
        assert process.stdout is not None
        assert process.stdout.read(16) == b"one-shot bridge "
        out, _ = process.communicate(b"typed later")
    assert out == b"typed later"


def test_a_daemon_at_a_long_path_is_found(caller: Caller) -> None:
    state = caller.folder / ("d" * 120)
    state.mkdir()
    with serving(state, lambda call: Reply(0, b"daemon")):
        assert caller.run(PYNET_STATE_DIR=str(state)).stdout == b"daemon"


def test_a_killed_caller_is_noticed(caller: Caller) -> None:
    noticed = threading.Event()
    with serving(caller.state, until_cancelled(noticed)), at_work(caller) as process:
        assert not noticed.is_set()
        process.kill()
        assert noticed.wait(10)


def test_a_caller_whose_stdout_nobody_reads_leaves(caller: Caller) -> None:
    noticed = threading.Event()
    with serving(caller.state, until_cancelled(noticed)), at_work(caller) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(10) == 1
        assert noticed.wait(10)


def until_cancelled(noticed: threading.Event) -> Handler:
    def handler(call: Call) -> Reply:
        call.accepted()
        os.write(call.stderr, b"working")
        while not call.cancelled():
            noticed.wait(0.01)
        noticed.set()
        return Reply(1, b"")

    return handler


@contextmanager
def at_work(caller: Caller) -> Iterator[subprocess.Popen[bytes]]:
    """A launcher whose request the handler of `until_cancelled` has begun."""
    with caller.start() as process:
        assert process.stdin is not None and process.stderr is not None
        process.stdin.write(CONFIG)
        process.stdin.close()
        assert process.stderr.read(7) == b"working"
        yield process
