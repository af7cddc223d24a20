"""Attachment locks: one holder among threads and processes, and nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pynet.model.errors import StoreError, TryLater
from pynet.model.request import Attachment
from pynet.store.locks import AttachmentLock, FileLock

ATTACHMENT = Attachment("net", "c1", "eth0")
SOURCE = Path(__file__).resolve().parents[2] / "src"


def soon() -> float:
    return time.monotonic() + 0.03


def late() -> float:
    return time.monotonic() + 60


def test_one_holder_and_its_file_goes_with_it(tmp_path: Path) -> None:
    first, second = (AttachmentLock(tmp_path, "h", ATTACHMENT) for _ in range(2))
    assert first.try_acquire()
    assert first.held
    assert list((tmp_path / "locks").iterdir()) == [first.path]
    assert not second.try_acquire()
    with pytest.raises(TryLater, match="container c1, interface eth0 on network net") as caught:
        second.acquire(soon())
    assert caught.value.code == 11
    first.release()
    assert list((tmp_path / "locks").iterdir()) == []
    second.acquire(soon())
    second.release()
    second.release()
    assert not second.held


def test_attachments_and_hosts_do_not_wait_for_each_other(tmp_path: Path) -> None:
    others = [
        AttachmentLock(tmp_path, "h", ATTACHMENT),
        AttachmentLock(tmp_path, "h2", ATTACHMENT),
        AttachmentLock(tmp_path, "h", Attachment("net", "c1", "eth1")),
        AttachmentLock(tmp_path, "h", Attachment("net2", "c1", "eth0")),
    ]
    assert all(lock.try_acquire() for lock in others)
    for lock in others:
        lock.release()


def test_it_is_not_reentrant(tmp_path: Path) -> None:
    with FileLock(tmp_path / "lock") as lock:
        lock.acquire(soon())
        with pytest.raises(RuntimeError):
            lock.try_acquire()


def test_a_lock_on_a_removed_file_is_worth_nothing(tmp_path: Path) -> None:
    """Somebody cleans the directory: the next holder must not believe in a stale file."""
    path = tmp_path / "lock"
    first, second = FileLock(path), FileLock(path)
    first.acquire(soon())
    path.unlink()
    second.acquire(soon())
    first.release()  # removes the second's file
    third = FileLock(path)
    assert third.try_acquire()
    third.release()
    second.release()


def test_the_waiter_of_a_removed_file_takes_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    waiter, winner = FileLock(path), FileLock(path)
    stale = os.open(path, os.O_RDWR | os.O_CREAT)
    opens = iter([stale])
    original = waiter._open
    # The waiter opened the file just before its holder removed it.
    waiter._open = lambda: next(opens, None) or original()  # type: ignore[method-assign]
    path.unlink()
    winner.acquire(soon())
    with pytest.raises(TryLater):
        waiter.acquire(soon())
    winner.release()
    waiter.acquire(soon())
    waiter.release()


def test_threads_exclude_each_other(tmp_path: Path) -> None:
    inside = most = 0
    guard = threading.Lock()

    def work() -> None:
        nonlocal inside, most
        for _ in range(25):
            with AttachmentLock(tmp_path, "h", ATTACHMENT) as lock:
                lock.acquire(late())
                with guard:
                    inside += 1
                    most = max(most, inside)
                time.sleep(0)
                with guard:
                    inside -= 1

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    assert list((tmp_path / "locks").iterdir()) == []


COUNTER = """
import sys, time
from pathlib import Path
from pynet.store.locks import FileLock
path, counter = Path(sys.argv[1]), Path(sys.argv[2])
for _ in range(25):
    with FileLock(path) as lock:
        lock.acquire(time.monotonic() + 60)
        counter.write_text(str(int(counter.read_text()) + 1))
"""


def test_processes_exclude_each_other(tmp_path: Path) -> None:
    counter = tmp_path / "counter"
    counter.write_text("0")
    children = [
        subprocess.Popen(
            [sys.executable, "-c", COUNTER, tmp_path / "lock", counter],
            env={**os.environ, "PYTHONPATH": str(SOURCE)},
        )
        for _ in range(4)
    ]
    assert [child.wait(60) for child in children] == [0] * 4
    assert counter.read_text() == "100"


def test_the_kernel_frees_a_dead_holders_lock(tmp_path: Path) -> None:
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom pynet.store.locks import FileLock\n"
        "lock = FileLock(Path(sys.argv[1])); assert lock.try_acquire()\n"
        "print('held', flush=True); time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, tmp_path / "lock"],
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout
        assert child.stdout.readline() == "held\n"
        lock = FileLock(tmp_path / "lock")
        assert not lock.try_acquire()
        child.send_signal(signal.SIGKILL)
        child.wait(60)
        lock.acquire(late())
        lock.release()


def test_a_place_that_can_not_be_written_is_an_error_with_its_path(tmp_path: Path) -> None:
    (tmp_path / "locks").write_text("")
    with pytest.raises(StoreError, match=str(tmp_path / "locks")):
        AttachmentLock(tmp_path, "h", ATTACHMENT).try_acquire()
