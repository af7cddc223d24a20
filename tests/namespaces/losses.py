"""How a store, or its log, is lost while containers run; and how those die."""

from __future__ import annotations

import gc
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing

from drive import STATE
from scenes import run, wait_for

from pynet.testnets.lab.forked import Forked

STORE = STATE / "pynet.db"
LOG = STATE / "pynet.db-wal"


def removed() -> None:
    shutil.rmtree(STATE)


def unlinked() -> None:
    for file in STATE.glob("pynet.db*"):
        file.unlink()


def hidden() -> None:
    run(f"mount -t tmpfs -o mode=700 tmpfs {STATE}")


def truncated() -> None:
    """With the log, while nobody has it open."""
    gc.collect()
    for file in STATE.glob("pynet.db*"):
        if file.suffix in (".db", ".db-wal"):
            os.truncate(file, 0)


def corrupt() -> None:
    unlinked()
    STORE.write_bytes(b"no database at all" * 1000)


def cut_off() -> None:
    gc.collect()
    with closing(sqlite3.connect(STORE)) as store:
        store.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = STORE.read_bytes()
    unlinked()
    STORE.write_bytes(content[:5000])


def in_a_process(act: Callable[[], object]) -> None:
    """One that leaves the log as it is: who closes the store last would empty it."""
    Forked(act).wait()


def logged() -> None:
    """All that was done until now stands in the store itself, and what follows in its log."""
    gc.collect()
    with closing(sqlite3.connect(STORE)) as store:
        store.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def damaged_log() -> None:
    with LOG.open("r+b") as log:
        log.write(os.urandom(LOG.stat().st_size))


def emptied_log() -> None:
    os.truncate(LOG, 0)


def died(*names: str) -> None:
    for name in names:
        run(f"ip netns del {name}")
    ends = "veth"
    wait_for(lambda: ends not in run("ip link"))  # the kernel takes its time
