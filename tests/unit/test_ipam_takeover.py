"""Leases in the reference's format: read once, adopted, removed."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pynet.ipam import lessor, takeover
from pynet.kernel.roots import OWN
from pynet.model.errors import StoreError, TryLater
from pynet.model.resources import AddressLease
from pynet.store.records import Record
from pynet.store.store import Store, Writer


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store.open(tmp_path / "state")
    yield store
    store.close()


@pytest.fixture
def network(tmp_path: Path) -> Path:
    directory = tmp_path / "networks" / "net"
    directory.mkdir(parents=True)
    (directory / "lock").touch()
    return directory


def lease(directory: Path | str, index: int = 0) -> AddressLease:
    ranges = (("10.0.0.1", "10.0.0.9", 24, "10.0.0.1"),)
    return AddressLease(pool="net", index=index, ranges=ranges, directory=str(directory))


def write(directory: Path, name: str, content: str) -> None:
    (directory / name).write_text(content, newline="")


def begin(writer: Writer, container: str) -> Record:
    return writer.begin(
        host="h", network="net", container=container, interface="eth0",
        plugin="bridge", digest="d", request="{}",
    )  # fmt: skip


def owners(store: Store) -> dict[str, tuple[str, str]]:
    with store.read() as reader:
        return {held.address: (held.container, held.interface) for held in reader.leases()}


def test_leases_are_read_and_garbage_is_not(store: Store, network: Path) -> None:
    write(network, "10.0.0.2", "c1\r\neth0")
    write(network, "10.0.0.3", "c2\r\neth0\n")
    write(network, "10.0.0.4", "old-format")
    write(network, "2001:db8::5", "c1\r\neth0")
    write(network, "10.0.0.5", "")
    write(network, "10.0.0.6", "../../etc\r\neth0")
    write(network, "10.0.0.7", "c3\r\nthis-name-is-too-long")
    write(network, "10.0.0.8", "a\r\nb\r\nc")
    (network / "10.0.0.9").write_bytes(b"\xff\xfe\x00" * 5000)
    (network / "10.0.0.10").mkdir()
    (network / "10.0.0.11").symlink_to("/etc/hostname")
    write(network, "notes.txt", "c9\r\neth0")
    write(network, "last_reserved_ip.0", "10.0.0.4")
    assert takeover.takeover(store, lease(network), OWN) == 4
    assert owners(store) == {
        "10.0.0.2": ("c1", "eth0"),
        "10.0.0.3": ("c2", "eth0"),
        "10.0.0.4": ("old-format", ""),
        "2001:db8::5": ("c1", "eth0"),
    }


def test_once_only(store: Store, network: Path) -> None:
    write(network, "10.0.0.2", "c1\r\neth0")
    assert takeover.takeover(store, lease(network), OWN) == 1
    write(network, "10.0.0.3", "c2\r\neth0")
    assert takeover.takeover(store, lease(network), OWN) == 0
    assert list(owners(store)) == ["10.0.0.2"]


def test_no_directory_is_no_error_and_is_looked_at_again(store: Store, tmp_path: Path) -> None:
    assert takeover.takeover(store, lease(""), OWN) == 0
    assert takeover.takeover(store, lease(tmp_path / "net"), OWN) == 0
    (tmp_path / "net").mkdir()
    write(tmp_path / "net", "10.0.0.2", "c1\r\neth0")
    assert takeover.takeover(store, lease(tmp_path / "net"), OWN) == 1


def test_an_address_survives_the_migration(store: Store, network: Path) -> None:
    write(network, "10.0.0.7", "c1\r\neth0")
    takeover.takeover(store, lease(network), OWN)
    with store.write() as writer:
        record = begin(writer, "c1")
        assert lessor.take(writer, lease(network), record).address == "10.0.0.7/24"
        other = begin(writer, "c2")
        assert lessor.take(writer, lease(network), other).address == "10.0.0.2/24"
        assert writer.forget(other) == ()
    with store.write() as writer:
        files = writer.forget(record)
    takeover.remove(files, OWN)
    assert files == (str(network / "10.0.0.7"),)
    assert not (network / "10.0.0.7").exists()
    takeover.remove(files, OWN)


def test_it_goes_on_where_the_reference_stopped_and_wraps_around(
    store: Store, network: Path
) -> None:
    write(network, "10.0.0.6", "c1\r\neth0")
    write(network, "last_reserved_ip.0", "10.0.0.6")
    takeover.takeover(store, lease(network), OWN)
    with store.write() as writer:
        given = [
            lessor.take(writer, lease(network), begin(writer, f"d{number}")).address
            for number in range(7)
        ]
    assert given == [f"10.0.0.{number}/24" for number in (7, 8, 9, 2, 3, 4, 5)]


def test_each_range_set_goes_on_where_it_stopped(store: Store, network: Path) -> None:
    write(network, "10.0.0.6", "c1\r\neth0")
    write(network, "last_reserved_ip.0", "10.0.0.6")
    write(network, "last_reserved_ip.1", "2001:db8::8")
    v6 = AddressLease(
        pool="net",
        index=1,
        ranges=(("2001:db8::1", "2001:db8::ff", 64, "2001:db8::1"),),
        directory=str(network),
    )
    assert takeover.takeover(store, lease(network), OWN) == 1
    assert takeover.takeover(store, v6, OWN) == 0
    with store.write() as writer:
        record = begin(writer, "d")
        assert lessor.take(writer, lease(network), record).address == "10.0.0.7/24"
        assert lessor.take(writer, v6, record).address == "2001:db8::9/64"


@pytest.mark.parametrize("last", ["", "nonsense", "192.168.0.1", "2001:db8::1"])
def test_a_strange_last_address_is_passed_over(store: Store, network: Path, last: str) -> None:
    write(network, "last_reserved_ip.0", last)
    takeover.takeover(store, lease(network), OWN)
    with store.write() as writer:
        assert lessor.take(writer, lease(network), begin(writer, "c")).address == "10.0.0.2/24"


def test_release_by_owner(store: Store, network: Path) -> None:
    write(network, "10.0.0.2", "c1\r\neth0")
    write(network, "2001:db8::5", "c1\r\neth0")
    write(network, "10.0.0.3", "c1\r\neth1")
    write(network, "10.0.0.4", "c2")
    takeover.takeover(store, lease(network), OWN)
    with store.write() as writer:
        assert writer.release_owner("net", "c3", "eth0") == ()
        assert writer.release_owner("net", "c1", "eth9") == ()
        assert writer.release_owner("other", "c1", "eth0") == ()
        files = writer.release_owner("net", "c1", "eth0")
        assert sorted(files) == [str(network / "10.0.0.2"), str(network / "2001:db8::5")]
        # The old format names no interface.
        assert writer.release_owner("net", "c2", "eth0") == (str(network / "10.0.0.4"),)
    assert owners(store) == {"10.0.0.3": ("c1", "eth1")}


def test_release_by_owner_leaves_what_a_record_has(store: Store, network: Path) -> None:
    with store.write() as writer:
        lessor.take(writer, lease(network), begin(writer, "c1"))
        assert writer.release_owner("net", "c1", "eth0") == ()
        assert len(writer.leases()) == 1


def test_it_waits_for_the_references_lock(store: Store, network: Path) -> None:
    write(network, "10.0.0.2", "c1\r\neth0")
    with (network / "lock").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(TryLater, match=str(network / "lock")):
            takeover.takeover(store, lease(network), OWN, patience=0.02)
        assert owners(store) == {}
    assert takeover.takeover(store, lease(network), OWN, patience=0.02) == 1


def test_what_can_not_be_read_is_an_error_and_is_not_marked(store: Store, network: Path) -> None:
    write(network, "10.0.0.2", "c1\r\neth0")
    (network / "last_reserved_ip.0").mkdir()
    with pytest.raises(StoreError, match=r"last_reserved_ip\.0"):
        takeover.takeover(store, lease(network), OWN)
    (network / "last_reserved_ip.0").rmdir()
    assert takeover.takeover(store, lease(network), OWN) == 1


# --- those that go ------------------------------------------------------------------------------


def test_one_from_before_this_boot_is_nobody_s(store: Store, network: Path) -> None:
    write(network, "10.0.0.2", "c1\r\neth0")
    write(network, "10.0.0.3", "c2\r\neth0")
    booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    os.utime(network / "10.0.0.2", (booted - 60, booted - 60))
    assert takeover.takeover(store, lease(network), OWN) == 1
    assert list(owners(store)) == ["10.0.0.3"]
    with store.write() as writer:
        assert lessor.take(writer, lease(network), begin(writer, "c")).address == "10.0.0.2/24"


@pytest.mark.parametrize("whole", [False, True])
def test_one_whose_file_is_gone_is_gone(store: Store, network: Path, whole: bool) -> None:
    write(network, "10.0.0.2", "c1\r\neth0")
    write(network, "10.0.0.3", "c2\r\neth0")
    takeover.takeover(store, lease(network), OWN)
    assert takeover.release_stale(store, lease(network), OWN) == 0
    if whole:
        shutil.rmtree(network)
    else:
        (network / "10.0.0.2").unlink()
    assert takeover.release_stale(store, lease(network), OWN) == 1 + whole
    assert list(owners(store)) == ["10.0.0.3"][whole:]


def test_what_a_record_has_does_not_go_with_its_file(store: Store, network: Path) -> None:
    write(network, "10.0.0.2", "c1\r\neth0")
    takeover.takeover(store, lease(network), OWN)
    with store.write() as writer:
        lessor.take(writer, lease(network), begin(writer, "c1"))
    (network / "10.0.0.2").unlink()
    assert takeover.release_stale(store, lease(network), OWN, valid=()) == 0


def test_a_directory_of_another_root_tells_nothing(
    store: Store, network: Path, tmp_path: Path
) -> None:
    write(network, "10.0.0.2", "c1\r\neth0")
    takeover.takeover(store, lease(network), OWN)
    network.rename(tmp_path / "networks" / "old")
    network.mkdir()
    assert takeover.release_stale(store, lease(network), OWN) == 0


def test_who_is_valid_keeps_his(store: Store, network: Path) -> None:
    write(network, "10.0.0.2", "c1\r\neth0")
    write(network, "10.0.0.3", "c1\r\neth1")
    write(network, "10.0.0.4", "c2")
    write(network, "10.0.0.5", "c3")
    takeover.takeover(store, lease(network), OWN)
    valid = {("c1", "eth0"), ("c2", "eth5")}
    assert takeover.release_stale(store, lease(network), OWN, valid) == 2
    assert list(owners(store)) == ["10.0.0.2", "10.0.0.4"]
    assert sorted(path.name for path in network.glob("10*")) == ["10.0.0.2", "10.0.0.4"]


def test_who_only_asks_for_owners_leaves_the_last_address(store: Store, network: Path) -> None:
    """A DEL is no first use of the range: the next ADD goes on where the reference stopped."""
    write(network, "10.0.0.6", "c1\r\neth0")
    write(network, "last_reserved_ip.0", "10.0.0.6")
    of_owner = AddressLease(pool="net", index=0, ranges=(), directory=str(network))
    assert takeover.takeover(store, of_owner, OWN) == 1
    takeover.takeover(store, lease(network), OWN)
    with store.write() as writer:
        assert lessor.take(writer, lease(network), begin(writer, "c")).address == "10.0.0.7/24"


@pytest.mark.parametrize("name", ["lock", "last_reserved_ip.0", "10.0.0.2"])
@pytest.mark.parametrize("what", ["fifo", "/dev/zero"])
def test_what_is_no_file_is_not_waited_for(
    store: Store, network: Path, name: str, what: str
) -> None:
    (network / name).unlink(missing_ok=True)
    if what == "fifo":
        os.mkfifo(network / name)
    else:
        (network / name).symlink_to(what)
    if name.startswith("10"):
        assert takeover.takeover(store, lease(network), OWN) == 0
        return
    with pytest.raises(StoreError, match=name):
        takeover.takeover(store, lease(network), OWN)
