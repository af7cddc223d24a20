"""The store's file: made, shared, discarded, damaged, deleted underneath."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pynet.model.errors import CniError, StoreError, TryLater
from pynet.store import schema
from pynet.store.failure import NewerSchema
from pynet.store.store import Store, Writer

PROGRAM = """
import sys
from pathlib import Path
from pynet.store.store import Store
directory = Path(sys.argv[1])
"""


def add(writer: Writer, container: str = "c1") -> None:
    writer.begin(
        host="h", network="n", container=container, interface="eth0",
        plugin="p", digest="d", request="{}",
    )  # fmt: skip


def containers(store: Store) -> list[str]:
    with store.read() as reader:
        return [record.container for record in reader.records()]


ENVIRON = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2] / "src")}


def python(code: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", PROGRAM + code, *arguments]


def run(command: list[str]) -> str:
    done = subprocess.run(command, env=ENVIRON, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_file_and_directory_are_the_owners_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        store = Store.open(tmp_path / "a" / "state")
        with store.write() as writer:
            add(writer)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a" / "state").stat().st_mode) == 0o700
    names = {path.name for path in (tmp_path / "a" / "state").iterdir()}
    assert names == {"pynet.db", "pynet.db-wal", "pynet.db-shm"}
    for name in names:
        assert stat.S_IMODE((tmp_path / "a" / "state" / name).stat().st_mode) == 0o600


def test_what_was_written_is_there_after_opening_again(tmp_path: Path) -> None:
    with Store.open(tmp_path).write() as writer:
        add(writer)
    assert containers(Store.open(tmp_path)) == ["c1"]


def test_a_file_of_another_boot_is_discarded_whole(tmp_path: Path) -> None:
    with Store.open(tmp_path, boot="one").write() as writer:
        add(writer)
        writer.mark_taken_over("pool", "/x")
    store = Store.open(tmp_path, boot="two")
    assert containers(store) == []
    with store.read() as reader:
        assert not reader.is_taken_over("pool", "/x")


def test_a_newer_file_of_another_boot_is_discarded_too(tmp_path: Path) -> None:
    _set_version(Store.open(tmp_path, boot="one"), schema.VERSION + 1)
    assert containers(Store.open(tmp_path, boot="two")) == []


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    _set_version(store, schema.VERSION + 1)
    with pytest.raises(NewerSchema, match="newer pynet"):
        Store.open(tmp_path)
    # And by who had it open before.
    with pytest.raises(NewerSchema), store.write():
        pass
    with pytest.raises(NewerSchema), store.read():
        pass


def test_a_deleted_file_is_noticed(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "state")
    with store.write() as writer:
        add(writer)
    for path in (tmp_path / "state").iterdir():
        path.unlink()
    assert containers(store) == []
    with store.write() as writer:
        add(writer, "c2")
    assert containers(Store.open(tmp_path / "state")) == ["c2"]
    for path in (tmp_path / "state").iterdir():
        path.unlink()
    (tmp_path / "state").rmdir()
    with store.write() as writer:
        add(writer, "c3")
    assert containers(Store.open(tmp_path / "state")) == ["c3"]


def test_a_replaced_file_is_noticed(tmp_path: Path) -> None:
    store, other = Store.open(tmp_path / "a"), Store.open(tmp_path / "b")
    with other.write() as writer:
        add(writer, "other")
    assert containers(store) == []
    other.close()
    store.close()
    (tmp_path / "b" / "pynet.db").replace(tmp_path / "a" / "pynet.db")
    assert containers(store) == ["other"]


def _damage_head(path: Path) -> None:
    path.write_bytes(b"not a database at all, but long enough to be looked at" * 100)


def _damage_body(path: Path) -> None:
    whole = bytearray(path.read_bytes())
    whole[100:] = b"\xff" * (len(whole) - 100)
    path.write_bytes(whole)


def _make_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (_damage_head, "not a pynet database"),
        (_damage_body, "damaged"),
        (_make_directory, "is a directory"),
    ],
)
def test_what_can_not_be_read_is_said_with_path_and_advice(
    tmp_path: Path, damage: object, told: str
) -> None:
    Store.open(tmp_path).close()
    for suffix in ("-wal", "-shm"):
        (tmp_path / f"pynet.db{suffix}").unlink(missing_ok=True)
    assert callable(damage)
    damage(tmp_path / "pynet.db")
    with pytest.raises(StoreError) as caught:
        Store.open(tmp_path)
    assert caught.value.code == 5
    assert str(tmp_path / "pynet.db") in caught.value.msg
    assert told in caught.value.msg
    assert "move it away" in caught.value.msg


@pytest.mark.second_user
def test_without_permission_it_says_so(tmp_path: Path) -> None:
    """As a user who is not root: to root everything is permitted."""
    tmp_path.chmod(0o755)
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    code = (
        "import os\n"
        "from pynet.model.errors import StoreError\n"
        "if os.geteuid() == 0:\n"
        "    os.setgid(65534); os.setuid(65534)\n"
        "else:\n"
        "    directory.chmod(0o500)\n"
        "try:\n"
        "    Store.open(directory)\n"
        "except StoreError as error:\n"
        "    print(int(error.code), error.msg)\n"
    )
    out = run(python(code, str(closed)))
    assert out.startswith("5 ")
    assert str(closed) in out
    assert "can't be written" in out


def test_a_read_only_file_system_is_said(tmp_path: Path) -> None:
    code = (
        "import subprocess\n"
        "from pynet.model.errors import StoreError\n"
        "subprocess.run(['mount', '-t', 'tmpfs', 'x', directory], check=True)\n"
        "store = Store.open(directory)\n"
        "store.close()\n"
        "subprocess.run(['mount', '-o', 'remount,bind,ro', directory], check=True)\n"
        "for attempt in (lambda: Store.open(directory), store.write().__enter__):\n"
        "    try:\n"
        "        attempt()\n"
        "    except StoreError as error:\n"
        "        print(int(error.code), error.msg)\n"
    )
    out = run(["unshare", "-Urm", *python(code, str(tmp_path))]).splitlines()
    assert len(out) == 2
    for line in out:
        assert line.startswith("5 ")
        assert str(tmp_path) in line
        assert "read-only: remount it" in line


def test_a_full_disk_is_said_and_loses_nothing(tmp_path: Path) -> None:
    code = (
        "import subprocess\n"
        "from pynet.model.errors import StoreError\n"
        "subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=256k', 'x', directory], check=True)\n"
        "store = Store.open(directory)\n"
        "number = 0\n"
        "try:\n"
        "    while number < 5000:\n"
        "        with store.write() as writer:\n"
        "            writer.begin(host='h', network='n', container=f'c{number}', interface='e',\n"
        "                         plugin='p', digest='d', request='x' * 4000)\n"
        "        number += 1\n"
        "except StoreError as error:\n"
        "    print(int(error.code), error.msg)\n"
        "store.close()\n"
        "with Store.open(directory).read() as reader:\n"
        "    print(number, len(reader.records()))\n"
    )
    # The mount is seen by the child alone.
    out = run(["unshare", "-Urm", *python(code, str(tmp_path))]).splitlines()
    assert out[0].startswith("5 ")
    assert "free" in out[0]
    committed, found = map(int, out[1].split())
    assert committed == found > 0


def test_a_locked_store_is_code_11_and_names_the_file(tmp_path: Path) -> None:
    store = Store.open(tmp_path, patience=0.05)
    other = sqlite3.connect(tmp_path / "pynet.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(TryLater, match=r"pynet\.db is locked"), store.write():
        pass
    # Reading waits for nobody.
    assert containers(store) == []
    other.execute("ROLLBACK")
    other.close()
    with store.write() as writer:
        add(writer)


def test_threads_share_a_store(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    failed: list[CniError] = []

    def work(name: str) -> None:
        try:
            for number in range(20):
                with store.write() as writer:
                    add(writer, f"{name}-{number}")
                with store.read() as reader:
                    assert reader.records(container=f"{name}-{number}")
        except CniError as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(str(n),)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert len(containers(store)) == len(set(containers(store))) == 160


def test_a_reader_keeps_its_view(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    with store.read() as reader:
        assert reader.records() == []
        with store.write() as writer:
            add(writer)
        assert reader.records() == []
    assert containers(store) == ["c1"]


def test_a_child_does_not_use_its_parents_connection(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    with store.write() as writer:
        add(writer, "parent")
    inherited = store._idle[-1]
    child = os.fork()
    if child == 0:
        status = 1
        with contextlib.suppress(BaseException):
            with store.write() as writer:
                add(writer, "child")
            status = 0 if store._idle[-1] is not inherited else 2
        os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert containers(store) == ["parent", "child"]


AT_ONCE = """
import time
while not Path(sys.argv[4]).exists():
    time.sleep(0.001)
store = Store.open(directory, boot=sys.argv[2])
with store.write() as writer:
    writer.begin(host='h', network='n', container=sys.argv[3], interface='e',
                 plugin='p', digest='d', request='{}')
"""


def test_processes_that_find_another_boots_file_at_once(tmp_path: Path) -> None:
    for attempt in range(3):
        with Store.open(tmp_path, boot=f"before-{attempt}").write() as writer:
            add(writer, "old")
        go = tmp_path / f"go-{attempt}"
        children = [
            subprocess.Popen(
                python(AT_ONCE, str(tmp_path), f"now-{attempt}", f"c{number}", str(go)),
                env=ENVIRON,
                stderr=subprocess.PIPE,
                text=True,
            )
            for number in range(4)
        ]
        time.sleep(0.2)  # they wait for the file, so that all four open at once
        go.touch()
        for child in children:
            _, err = child.communicate(timeout=60)
            assert (child.returncode, err) == (0, "")
        found = containers(Store.open(tmp_path, boot=f"now-{attempt}"))
        assert sorted(found) == ["c0", "c1", "c2", "c3"]


def _set_version(store: Store, version: int) -> None:
    connection = sqlite3.connect(store.path)
    connection.execute(f"PRAGMA user_version = {version}")
    connection.close()
