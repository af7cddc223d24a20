"""Daemon, launcher and one-shot together: the daemon's birth, death, sleep, and what it keeps.

Every test attaches real containers and ends with nothing left of them.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
from callers import peer
from drive import BRIDGE, Runtime
from executables import (
    NEVER,
    REQUIRE,
    SOCKET,
    Executables,
    SlowIpam,
    all_fine,
    asleep,
    at_once,
    containers,
    daemon,
    daemon_pid,
    finish,
    in_host,
    points,
    stopped,
    until,
)

from pynet.testnets.lab.lab import Host

pytestmark = pytest.mark.usefixtures("c1")

OTHER_VERSION = b"pynt\x63\x00\x03\x00\x00\x00\x00\x00"


def daemons() -> list[int]:
    """The pids of the daemons that run in the host."""
    return processes(b"pynet.daemon\0--state")


def processes(words: bytes) -> list[int]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended meanwhile
            found += [int(process.name)] if words in (process / "cmdline").read_bytes() else []
    return found


# --- with and without one -------------------------------------------------------------


def test_the_first_call_leaves_a_daemon_that_serves_the_next(
    host: Host, plugins: Executables
) -> None:
    # That the call ends at all shows that the daemon does not hold the caller's pipes.
    assert plugins.call(host, "ADD", BRIDGE).status == 0
    pid = until(lambda: daemon_pid(host), "no daemon was left behind")
    assert plugins.call(host, "DEL", BRIDGE, **REQUIRE).status == 0
    assert daemon_pid(host) == pid


def test_of_many_that_are_left_at_once_one_stays(host: Host, plugins: Executables) -> None:
    runtimes = containers(host, 4)
    all_fine(host.call(at_once, plugins, "ADD", runtimes))
    until(lambda: daemon_pid(host), "no daemon was left behind")
    until(lambda: len(host.call(daemons)) == 1, "the others did not leave")
    all_fine(host.call(at_once, plugins, "DEL", runtimes))


def test_never_leaves_none_behind(host: Host, plugins: Executables) -> None:
    for command in ("ADD", "DEL"):
        assert plugins.call(host, command, BRIDGE, **NEVER).status == 0
    assert host.call(daemons) == []


def test_never_in_the_launchers_own_file_is_the_same(
    host: Host, plugins: Executables, tmp_path: Path
) -> None:
    silent = plugins.configured(tmp_path / "bin", "daemon=never")
    for command in ("ADD", "DEL"):
        assert silent.call(host, command, BRIDGE).status == 0
    assert host.call(daemons) == []


def test_a_daemon_of_another_version_is_done_without(host: Host, plugins: Executables) -> None:
    path = in_host(host, SOCKET)
    for command in ("ADD", "DEL"):
        with peer(path, lambda connection: connection.sendall(OTHER_VERSION)):
            assert plugins.call(host, command, BRIDGE).status == 0
        path.unlink()
    assert host.call(daemons) == []


# --- its death ------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["first", "middle", "last"])
@pytest.mark.parametrize("after", ["DEL", "ADD"])
def test_a_daemon_killed_in_the_middle_of_an_add(
    host: Host, plugins: Executables, place: str, after: str
) -> None:
    number = points(host, "ADD", "bridge")[place]
    with daemon(host, PYNET_FAULT=str(number)) as pid:
        asleep(pid)  # what is half reconciled at a death waits for the next daemon
        outcome = plugins.call(host, "ADD", BRIDGE)
        assert outcome.code == 11, outcome
        until(lambda: not Path(f"/proc/{pid}/fd").is_dir(), "it was not killed")
    if after == "ADD":
        again = plugins.call(host, "ADD", BRIDGE, **NEVER)
        # What was finished but for the answer is there, and is not made a second time.
        assert again.status == 0 if place != "last" else again.code == 100
    assert plugins.call(host, "DEL", BRIDGE, **NEVER).status == 0


@pytest.mark.parametrize("place", ["first", "middle", "last"])
def test_a_daemon_killed_in_the_middle_of_a_del(
    host: Host, plugins: Executables, place: str
) -> None:
    assert plugins.call(host, "ADD", BRIDGE, **NEVER).status == 0
    number = points(host, "DEL", "bridge")[place]
    with daemon(host, PYNET_FAULT=str(number)) as pid:
        asleep(pid)  # what is half reconciled at a death waits for the next daemon
        assert plugins.call(host, "DEL", BRIDGE).code == 11
    assert plugins.call(host, "DEL", BRIDGE, **NEVER).status == 0


def test_sigterm_lets_the_adds_in_flight_end(host: Host, plugins: Executables) -> None:
    runtimes = containers(host, 20)
    with daemon(host) as pid:
        adds = host.fork_call(at_once, plugins, "ADD", runtimes)
        locks = in_host(host, "/run/pynet/locks")
        until(lambda: len(list(locks.iterdir())) > 2, "nobody is at work")
        os.kill(pid, signal.SIGTERM)
        all_fine(adds.wait())
    all_fine(host.call(at_once, plugins, "DEL", runtimes))


# --- its sleep ------------------------------------------------------------------------


def test_a_daemon_that_hangs_before_it_accepts_is_done_without(
    host: Host, plugins: Executables
) -> None:
    with daemon(host) as pid:
        asleep(pid)  # or it is stopped with the store in its hands
        with stopped(pid):
            added = plugins.call(host, "ADD", BRIDGE, PYNET_ACCEPT_MS="100")
            assert added.status == 0
        # It finds the request now, whose caller has left: nothing is run a second time.
        check = {**BRIDGE, "prevResult": added.document}
        assert plugins.call(host, "CHECK", check, **REQUIRE).status == 0
        assert plugins.call(host, "DEL", BRIDGE, **REQUIRE).status == 0


def test_what_a_hung_daemon_has_accepted_is_not_run_twice(
    host: Host, plugins: Executables, slow: SlowIpam
) -> None:
    with daemon(host) as pid:
        add = plugins.start(host, "ADD", slow.config, slow.runtime(plugins, PYNET_REPLY_MS="2000"))
        slow.wait()
        with stopped(pid):
            assert finish(add).code == 11
            runtime = slow.runtime(plugins, PYNET_ACCEPT_MS="100")
            delete = plugins.start(host, "DEL", slow.config, runtime)
            until(lambda: delete.poll() is None and len(host.call(one_shots)) == 1, "no one-shot")
        assert finish(delete).status == 0
        assert slow.calls.count("ADD") == 1
        assert slow.calls[-1] == "DEL"
        assert daemon_pid(host) == pid


def one_shots() -> list[int]:
    return processes(b"pynet.daemon.one_shot")


# --- what it must not keep ------------------------------------------------------------


def test_a_dead_container_is_not_kept_alive(host: Host, plugins: Executables) -> None:
    with daemon(host) as pid:
        descriptors = Path(f"/proc/{pid}/fd")
        host.call(lives_and_deaths, plugins, 5)
        before = len(list(descriptors.iterdir()))
        host.call(lives_and_deaths, plugins, 50)
        # A few sockets of the host's are kept to be lent again.
        assert len(list(descriptors.iterdir())) < before + 5
        assert plugins.call(host, "GC", BRIDGE, **REQUIRE).status == 0


def lives_and_deaths(plugins: Executables, count: int) -> None:
    """ADDs without a DEL, whose containers go; the host's end must go with each at once."""
    for number in range(count):
        name = f"brief{number}"
        subprocess.run(["ip", "netns", "add", name], check=True)
        runtime = Runtime(name, f"/run/netns/{name}", environ=dict(REQUIRE))
        added = plugins.call_here("ADD", BRIDGE, runtime)
        assert added.status == 0, added
        link = Path("/sys/class/net", added.document["interfaces"][1]["name"])
        assert link.exists()
        subprocess.run(["ip", "netns", "del", name], check=True)
        until(lambda link=link: not link.exists(), f"{link.name} is kept alive")


# --- what is taken from under it ------------------------------------------------------


def test_its_store_is_removed(host: Host, plugins: Executables) -> None:
    with daemon(host) as pid:
        for command in ("ADD", "DEL"):
            assert plugins.call(host, command, BRIDGE, **REQUIRE).status == 0
            if command == "DEL":
                host.run(["sh", "-c", "rm /run/pynet/pynet.db*"])
        for command in ("ADD", "DEL"):
            assert plugins.call(host, command, BRIDGE, **REQUIRE).status == 0
        assert daemon_pid(host) == pid


def test_its_directory_is_removed(host: Host, plugins: Executables) -> None:
    with daemon(host) as pid:
        host.run(["rm", "-r", "/run/pynet"])
        assert plugins.call(host, "ADD", BRIDGE).status == 0
        other = until(lambda: daemon_pid(host), "no daemon was left behind")
        assert other != pid
        assert plugins.call(host, "DEL", BRIDGE, **REQUIRE).status == 0


def test_a_newer_store_ends_it_and_is_left_alone(host: Host, plugins: Executables) -> None:
    with daemon(host) as pid:
        version = host.call(set_schema, 99)
        outcome = plugins.call(host, "ADD", BRIDGE)
        assert outcome.status == 1
        assert "newer" in outcome.document["msg"]
        until(lambda: not Path(f"/proc/{pid}/fd").is_dir(), "the daemon stays")
        assert host.call(daemons) == []
        assert host.call(set_schema, version) == 99


def set_schema(version: int) -> int:
    """One that no older code may go on with; the one before."""
    with sqlite3.connect("/run/pynet/pynet.db") as store:
        (before,) = store.execute("PRAGMA user_version").fetchone()
        store.execute(f"PRAGMA user_version = {version}")
        store.execute("UPDATE meta SET value = ? WHERE name = 'oldest'", (version,))
    store.close()
    return int(before)
