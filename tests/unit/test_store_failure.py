"""Why a store can't be used is said, with path and advice; a damaged file is kept beside."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from stores import add, containers, python, run

from pynet.model.errors import StoreError, TryLater
from pynet.store.store import Store


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


@pytest.mark.parametrize("damage", [_damage_head, _damage_body])
def test_a_damaged_file_is_kept_beside_and_a_new_one_begins(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    store = Store.open(tmp_path)
    with store.write() as writer:
        add(writer)
    store.close()
    damage(tmp_path / "pynet.db")
    damaged = (tmp_path / "pynet.db").read_bytes()
    assert containers(Store.open(tmp_path)) == []
    assert (tmp_path / "pynet.db.damaged").read_bytes() == damaged


def test_damage_that_shows_late_ends_with_the_call(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    with store.write() as writer:
        for number in range(300):
            add(writer, f"c{number}")
    store.close()
    whole = bytearray((tmp_path / "pynet.db").read_bytes())
    whole[8 * 4096 :] = b"\xff" * (len(whole) - 8 * 4096)
    (tmp_path / "pynet.db").write_bytes(whole)
    with pytest.raises(StoreError, match="try again"):
        containers(store)
    assert containers(store) == []
    assert (tmp_path / "pynet.db.damaged").exists()


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
        "subprocess.run(['mount', '-t', 'tmpfs', '-o', 'mode=700', 'x', directory], check=True)\n"
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
        "small = 'size=256k,mode=700'\n"
        "subprocess.run(['mount', '-t', 'tmpfs', '-o', small, 'x', directory], check=True)\n"
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
