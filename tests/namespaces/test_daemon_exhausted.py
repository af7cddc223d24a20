"""A daemon that has run out of something hands over what it can't do, and goes on as before."""

from __future__ import annotations

import errno
import sqlite3
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from callers import Caller, serving, went_one_shot
from drive import BRIDGE, Outcome, Runtime
from executables import REQUIRE, Executables, all_fine, until
from overload import limited

from pynet.daemon import descriptors
from pynet.daemon.call import Call, Reply
from pynet.daemon.conversation import Conversation
from pynet.daemon.descriptors import open_sandbox
from pynet.daemon.limits import Limits
from pynet.kernel import threads
from pynet.model.errors import Exhausted, KernelError, NamespaceError
from pynet.testnets.lab.lab import Host


def sqlite_error(code: int) -> sqlite3.Error:
    error = sqlite3.OperationalError("unable to open database file")
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EMFILE, "Too many open files"),
        KernelError("no socket", errno=errno.ENFILE),
        ExceptionGroup("undone, but for", [ValueError(), OSError(errno.ENOMEM, "memory")]),
        MemoryError(),
        Exhausted("no thread"),
        sqlite_error(sqlite3.SQLITE_CANTOPEN),
    ],
    ids=repr,
)
@pytest.mark.parametrize("accepted", [False, True])
def test_what_has_run_out_sends_the_caller_one_shot(
    caller: Caller, accepted: bool, error: Exception
) -> None:
    """After acceptance, too: what had been begun is undone."""

    def handler(call: Call) -> Reply:
        if accepted:
            call.accepted()
        raise error

    with serving(caller.state, handler):
        assert went_one_shot(caller.run())


def test_the_token_comes_back_to_a_launcher_that_has_seen_that_it_was_taken(caller: Caller) -> None:
    waited = threading.Event()

    def handler(call: Call) -> Reply:
        call.accepted()
        waited.wait(0.3)
        raise MemoryError

    with serving(caller.state, handler):
        assert went_one_shot(caller.run(PYNET_ACCEPT_MS="50"))


def refuse(*_: object) -> int:
    raise RuntimeError("can't start new thread")


def test_without_another_thread_those_that_are_there_go_on(
    caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And once there can be others, they are started: nothing was counted that is not there."""
    together = threading.Barrier(12)

    def handler(call: Call) -> Reply:
        call.accepted()
        if "TOGETHER" in call.environ:
            together.wait(30)
        return Reply(0, b"served")

    with serving(caller.state, handler), ThreadPoolExecutor(12) as pool:
        assert caller.run().stdout == b"served"
        with monkeypatch.context() as patched:
            patched.setattr(threads, "start_new_thread", refuse)
            answers = list(pool.map(lambda _: caller.run(PYNET_ACCEPT_MS="9000"), range(24)))
            assert {answer.stdout for answer in answers} == {b"served"}
        answers = list(pool.map(lambda _: caller.run(TOGETHER="1"), range(12)))
        assert {answer.stdout for answer in answers} == {b"served"}


def test_a_server_without_one_thread_says_so(
    caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "start_new_thread", refuse)
    with pytest.raises(Exhausted, match="no thread"):
        threads.start(lambda: None)


def test_those_that_wait_for_something_hold_up_nobody(caller: Caller) -> None:
    together = threading.Barrier(20)

    def handler(call: Call) -> Reply:
        call.accepted()
        together.wait(30)
        return Reply(0, call.environ["NUMBER"].encode())

    with serving(caller.state, handler), ThreadPoolExecutor(20) as pool:
        answers = pool.map(lambda n: caller.run(NUMBER=str(n)).stdout, range(20))
        assert [int(answer) for answer in answers] == list(range(20))


def test_no_more_are_begun_than_there_is_room_for(
    caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that wait are accepted, so that nobody else does them."""
    room, reserved, take = threading.Semaphore(2), list[Conversation](), Conversation.reserve
    patient = {"PYNET_ACCEPT_MS": "9000"}

    def reserve(conversation: Conversation) -> None:
        take(conversation)
        reserved.append(conversation)

    def handler(call: Call) -> Reply:
        assert room.acquire(blocking=False)
        until(lambda: len(reserved) >= 14, "those that wait are not accepted")
        room.release()
        return Reply(0, b"served")

    monkeypatch.setattr(Conversation, "reserve", reserve)
    limits = Limits(conversations=16, turns=2)
    with serving(caller.state, handler, limits=limits), ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: caller.run(**patient), range(16)))
    assert {answer.stdout for answer in answers} == {b"served"}
    assert len(reserved) == 14


def test_a_sandbox_that_cant_be_opened_for_want_of_a_descriptor_is_not_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(path: str) -> int:
        try:
            raise OSError(errno.EMFILE, "Too many open files")
        except OSError as error:
            raise NamespaceError(path) from error

    assert open_sandbox("/no/such") is None
    monkeypatch.setattr(descriptors, "open_namespace", refuse)
    with pytest.raises(Exhausted, match="/run/netns/c1"):
        open_sandbox("/run/netns/c1")


def test_more_hosts_than_there_are_descriptors_for(host: Host, plugins: Executables) -> None:
    with limited(host, "prlimit", "--nofile=256:256") as pid:
        all_fine(host.call(many_hosts, plugins, 45))
        assert len(list(Path(f"/proc/{pid}/fd").iterdir())) < 150


def many_hosts(plugins: Executables, count: int) -> list[Outcome]:
    """A container of each of so many "hosts" attached, then all of them detached."""
    names = [f"host{number}" for number in range(count)]
    batch = "".join(f"netns add {name}\nnetns add c-{name}\n" for name in names)
    subprocess.run(["ip", "-batch", "-"], input=batch, text=True, check=True)
    outcomes = []
    for command in ("ADD", "DEL"):
        for name in names:
            runtime = Runtime(f"c-{name}", f"/run/netns/c-{name}", environ=dict(REQUIRE))
            outcomes.append(plugins.call_here(command, BRIDGE, runtime, enter(name)))
    subprocess.run(["ip", "-batch", "-"], input=batch.replace("add", "del"), text=True, check=True)
    return outcomes


def enter(name: str) -> tuple[str, ...]:
    return ("nsenter", f"--net=/run/netns/{name}")


def test_a_launcher_without_a_descriptor_for_the_sandbox_does_not_say_that_it_is_gone(
    caller: Caller,
) -> None:
    """With whatever few descriptors: the daemon is given the namespace, or is not asked."""
    given: list[bool] = []

    def handler(call: Call) -> Reply:
        given.append(call.sandbox is not None)
        return Reply(0, b"{}")

    with serving(caller.state, handler):
        for most in range(5, 33):
            caller.run("prlimit", f"--nofile={most}", CNI_NETNS="/proc/self/ns/net")
    assert given and all(given)
