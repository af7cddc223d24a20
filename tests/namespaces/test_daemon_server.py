"""The daemon's side of a request: what it believes, whom it serves, what it leaves behind."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from callers import (
    CONFIG,
    STDERR,
    TOKEN,
    Caller,
    error_of,
    make_launcher,
    request_descriptors,
    serving,
    went_one_shot,
)
from executables import until

from pynet.daemon import token, wire
from pynet.daemon.call import Call, Reply
from pynet.daemon.conversation import Conversation
from pynet.daemon.descriptors import standing
from pynet.daemon.installed import Replaced
from pynet.kernel.roots import OWN
from pynet.model.errors import Declined
from pynet.store.failure import NewerSchema


@pytest.fixture(scope="module")
def executable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    yield make_launcher("c", tmp_path_factory.mktemp("launcher") / "bin")


@pytest.fixture
def caller(executable: Path, tmp_path: Path) -> Caller:
    return Caller(executable, tmp_path)


class Recorder:
    """A handler that keeps what it was asked, its descriptors as the files they were."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.host = self.sandbox = ""

    def __call__(self, call: Call) -> Reply:
        self.calls.append(call)
        self.host = str(Path(f"/proc/self/fd/{call.host}").readlink())
        if call.sandbox is not None:
            self.sandbox = str(Path(f"/proc/self/fd/{call.sandbox}").readlink())
        for fd in (call.host, call.stderr):
            assert not os.get_inheritable(fd)
        os.write(call.stderr, b"for the caller")
        call.accepted()
        return Reply(0, b"served")


def test_a_call_tells_all_of_its_caller(caller: Caller) -> None:
    recorder = Recorder()
    with serving(caller.state, recorder):
        done = caller.run("unshare", "-n", CNI_NETNS="/proc/self/ns/net", EXTRA="a=b c")
    assert (done.stdout, done.stderr) == (b"served", b"for the caller")
    (call,) = recorder.calls
    assert (call.plugin, call.stdin, call.root) == ("bridge", CONFIG, OWN)
    assert call.environ["EXTRA"] == "a=b c"
    assert recorder.host == recorder.sandbox
    assert recorder.host != str(Path("/proc/self/ns/net").readlink())


@pytest.mark.parametrize("netns", ["", "/no/such", "/proc/self/ns/mnt", "/dev/null", "fifo"])
def test_a_sandbox_is_a_network_namespace_or_none(caller: Caller, netns: str) -> None:
    if netns == "fifo":
        netns = str(caller.folder / "fifo")
        os.mkfifo(netns)
    recorder = Recorder()
    with serving(caller.state, recorder):
        assert caller.run(CNI_NETNS=netns).stdout == b"served"
    assert recorder.calls[0].sandbox is None


def test_the_paths_of_a_caller_in_another_mount_namespace_are_its_own(caller: Caller) -> None:
    text = caller.folder / "text"
    text.write_text("the daemon's")
    elsewhere = 'echo "the caller\'s" >"$1/mine"; mount --bind "$1/mine" "$1/text"; exec "$2"'
    read = []

    def handler(call: Call) -> Reply:
        read.append(call.root.text(str(text)))
        return Reply(0, b"served")

    with serving(caller.state, handler):
        words = ("unshare", "-m", "sh", "-c", elsewhere, "sh", str(caller.folder))
        assert caller.run(*words).stdout == b"served"
        assert caller.run().stdout == b"served"
    assert read == ["the caller's\n", "the daemon's"]


def test_root_of_another_user_namespace_is_declined(caller: Caller) -> None:
    recorder = Recorder()
    with serving(caller.state, recorder):
        assert went_one_shot(caller.run("unshare", "-Ur"))
    assert not recorder.calls


def test_another_state_directory_is_declined(caller: Caller) -> None:
    other = caller.folder / "other"
    other.mkdir()
    recorder = Recorder()
    with serving(caller.state, recorder):
        done = caller.run(PYNET_STATE_DIR=str(other), PYNET_SOCKET=str(caller.socket))
    assert went_one_shot(done)
    assert not recorder.calls


@pytest.mark.second_user
def test_a_user_who_is_neither_root_nor_the_daemons_is_declined(caller: Caller) -> None:
    stranger = (
        "import os, socket; os.setresuid(65534, 65534, 65534);"
        "s = socket.socket(socket.AF_UNIX); s.connect('pynetd.sock'); print(s.recv(99))"
    )
    with serving(caller.state, Recorder()):
        # The modes of the file and of its directory keep strangers out: here they are let in.
        caller.state.chmod(0o711)
        caller.socket.chmod(0o666)
        command = [sys.executable, "-I", "-c", stranger]
        done = subprocess.run(command, cwd=caller.state, capture_output=True, check=True)
    assert b"serves uid 0 and" in done.stdout


# --- handlers that fail -----------------------------------------------------------------


def test_declining_before_acceptance_sends_the_caller_one_shot(caller: Caller) -> None:
    def handler(call: Call) -> Reply:
        raise Declined("a path of another mount namespace")

    with serving(caller.state, handler):
        assert went_one_shot(caller.run())


def test_declining_after_acceptance_is_an_error(caller: Caller) -> None:
    def handler(call: Call) -> Reply:
        call.accepted()
        raise Declined("too late")

    with serving(caller.state, handler):
        assert error_of(caller.run())["code"] == 11


def test_a_handler_that_crashes_harms_nobody_else(caller: Caller) -> None:
    def handler(call: Call) -> Reply:
        if not call.stdin:
            raise ZeroDivisionError("oops")
        return Reply(0, b"x" * len(call.stdin))

    with serving(caller.state, handler):
        error = error_of(caller.run(stdin=b""))
        assert caller.run(stdin=b"12").stdout == b"xx"
    assert (error["code"], "oops" in error["msg"]) == (999, True)


def test_an_answer_beyond_the_limit_is_an_error(caller: Caller) -> None:
    with serving(caller.state, lambda call: Reply(0, b" " * wire.LIMIT)):
        assert "can't be sent" in error_of(caller.run())["msg"]


def test_a_daemon_older_than_its_store_leaves(caller: Caller) -> None:
    def handler(call: Call) -> Reply:
        raise NewerSchema("schema 2")

    with serving(caller.state, handler, retire_on=(NewerSchema,)):
        assert went_one_shot(caller.run())
        wait_until_gone(caller.socket)


def test_a_daemon_that_meets_a_later_launcher_leaves_and_only_then(caller: Caller) -> None:
    def request(version: int) -> bytes:
        return wire.MAGIC + version.to_bytes(2, "little") + b"\x01\x00" + bytes(4)

    with serving(caller.state, lambda call: Reply(0, b""), retire_on=(Replaced,)):
        declined = exchange(caller.socket, request(wire.VERSION - 1))
        assert wire.header(declined)[0] == wire.DECLINED
        assert caller.run().returncode == 0
        declined = exchange(caller.socket, request(wire.VERSION + 1))
        assert wire.header(declined)[0] == wire.DECLINED
        wait_until_gone(caller.socket)


def wait_until_gone(path: Path) -> None:
    pause = threading.Event()
    for _ in range(1000):
        if not path.exists():
            return
        pause.wait(0.01)
    pytest.fail(f"{path} is still there")


# --- peers that break the protocol -------------------------------------------------------


def exchange(
    path: Path, *parts: bytes, descriptors: list[int] | None = None, stays: bool = False
) -> bytes:
    """What the daemon says to `parts`; who does not stay has nothing more to say."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        for part in parts:
            socket.send_fds(connection, [part], descriptors or [])
            descriptors = []
        if not stays:
            connection.shutdown(socket.SHUT_WR)
        answer = b""
        while data := connection.recv(4096):
            answer += data
        return answer


REQUEST = wire.encode_request("bridge", {"CNI_COMMAND": "ADD"}, CONFIG)


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ([b""], b"not whole"),
        ([b"GET / HTTP/1.1\r\n\r\n"], b"not the launcher's protocol"),
        ([b"pynt\x02\x00\x01\x00\x00\x00\x00\x00"], b"version 2"),
        ([REQUEST[:20]], b"ends in its middle"),
        ([wire.declined("")], b"a request was expected"),
        ([b"pynt\x03\x00\x02\x00\x00\x00\x00\x00"], b"no frame of kind 2"),
        ([REQUEST], b"0 descriptors came"),
        ([b"pynt\x03\x00\x01\x00\xff\xff\xff\xff"], b"4294967295 bytes"),
    ],
)
def test_what_is_no_request_is_declined(caller: Caller, parts: list[bytes], reason: bytes) -> None:
    with serving(caller.state, Recorder()):
        answer = exchange(caller.socket, *parts)
    assert wire.header(answer)[0] == wire.DECLINED
    assert reason in answer


def test_a_request_may_come_in_pieces(caller: Caller) -> None:
    pieces = [REQUEST[:5], REQUEST[5:30], REQUEST[30:]]
    with serving(caller.state, Recorder()), descriptors_of(caller) as fds:
        answer = exchange(caller.socket, *pieces, descriptors=fds, stays=True)
    assert answer == wire.encode_reply(0, b"served")


@contextmanager
def descriptors_of(caller: Caller) -> Iterator[list[int]]:
    fds = request_descriptors(caller.state)
    yield fds
    for fd in fds:
        os.close(fd)


def test_nothing_of_the_callers_is_held_once_it_has_its_answer(
    caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither while it is on its way, nor by what is done after it."""
    held, over, send = list[int](), threading.Event(), Conversation._send

    def count_and_send(conversation: Conversation, frame: bytes) -> None:
        held.append(len(conversation._descriptors))
        send(conversation, frame)

    monkeypatch.setattr(Conversation, "_send", count_and_send)

    def handler(call: Call) -> Reply:
        return Reply(0, b"served", lambda: over.wait(10) and None)

    read, write = os.pipe()
    with serving(caller.state, handler), descriptors_of(caller) as fds:
        os.dup2(write, fds[STDERR])
        os.close(write)
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(caller.socket))
            socket.send_fds(connection, [REQUEST], fds)
            os.close(fds.pop(STDERR))
            assert connection.recv(4096) == wire.encode_reply(0, b"served")
            assert held == [0]
            os.set_blocking(read, False)
            assert os.read(read, 1) == b""  # its other end is closed everywhere
        over.set()
    os.close(read)


def test_descriptors_of_another_kind_are_declined(caller: Caller) -> None:
    null = os.open("/dev/null", os.O_RDWR)
    with serving(caller.state, Recorder()):
        answer = exchange(caller.socket, REQUEST, descriptors=[null] * wire.DESCRIPTORS)
        many = exchange(caller.socket, REQUEST, descriptors=[null] * 40)
    os.close(null)
    assert b"no network namespace" in answer
    assert b"more descriptors came" in many


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("taken", b"given up waiting"),
        ("taken, and it blocks", b"given up waiting"),
        ("more than one", b"is none"),
        ("/dev/null", b"is none"),
        ("/proc/self/ns/net", b"can't be read"),
        ("an empty pipe", b"given up waiting"),
    ],
)
def test_a_token_that_cant_be_taken_is_declined_at_once(
    caller: Caller, kind: str, reason: bytes
) -> None:
    kept = list(os.pipe())
    if kind.startswith("/"):
        sent = os.open(kind, os.O_RDONLY)
    elif kind == "an empty pipe":
        sent = os.dup(kept[0])
    else:
        sent = os.eventfd(2 if kind == "more than one" else 0, 0 if "blocks" in kind else 0o4000)
    recorder = Recorder()
    with serving(caller.state, recorder), descriptors_of(caller) as fds:
        os.dup2(sent, fds[TOKEN])
        answer = exchange(caller.socket, REQUEST, descriptors=fds, stays=True)
    for fd in (*kept, sent):
        os.close(fd)
    assert wire.header(answer)[0] == wire.DECLINED
    assert reason in answer


def test_a_token_is_asked_for_only_to_accept(caller: Caller) -> None:
    with (
        serving(caller.state, lambda call: Reply(0, b"version")),
        descriptors_of(caller) as fds,
    ):
        answer = exchange(caller.socket, REQUEST, descriptors=fds)
        assert token.take(fds[TOKEN])
    assert answer == wire.encode_reply(0, b"version")


def test_acceptance_is_declined_to_a_caller_that_has_left(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    conversation = Conversation(ours, standing(tmp_path))
    assert not conversation.cancelled()
    theirs.close()
    assert conversation.cancelled()
    with pytest.raises(Declined):
        conversation.accepted()
    assert not conversation.is_accepted
    conversation.close()


# --- many ------------------------------------------------------------------------------------


def threads() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_thousand_requests_leave_no_descriptor_and_no_thread(caller: Caller) -> None:
    def handler(call: Call) -> Reply:
        call.accepted()
        return Reply(0, b"")

    frame = wire.encode_request("bridge", {}, b"")
    sandbox = os.open("/proc/self/ns/net", os.O_RDONLY)

    def ask(_: int) -> None:
        with socket.socket(socket.AF_UNIX) as connection, descriptors_of(caller) as fds:
            connection.connect(str(caller.socket))
            socket.send_fds(connection, [frame], [*fds, sandbox])
            answer = connection.recv(4096)
            assert wire.header(answer)[0] == wire.REPLY
            assert connection.recv(4096) == b""

    with serving(caller.state, handler), ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, range(20)))
        before = open_descriptors()
        list(pool.map(ask, range(1000)))
        # The answer comes before the descriptors are closed.
        until(lambda: open_descriptors() <= before, "descriptors were left open")
        until(lambda: threads() < 30, "threads are left")
    os.close(sandbox)
