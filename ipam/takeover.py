"""Leases the reference keeps as files: read into the store once, removed as they are released.

host-local has a directory per network: a file per address, named after it, holding
"<container>\\r\\n<interface>" (long ago the container only), `last_reserved_ip.<set>` with
the address given out last, and `lock`, which it holds with flock(2) while it works.

All of this needs the caller's mount namespace.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import time
from collections.abc import Iterable, Iterator
from errno import EWOULDBLOCK
from pathlib import Path

from ..model import ranges
from ..model.errors import ConfigError, StoreError, TryLater
from ..model.resources import AddressLease
from ..store.leases import NO_POSITION, HeldLease
from ..store.store import Store, Writer

_LAST = "last_reserved_ip."
_LOCK = "lock"
# CNI spec 1.1.0, "Parameters"; an interface's name as the kernel takes it.
_OWNER = re.compile(r"([a-zA-Z0-9][a-zA-Z0-9_.\-]*)(?:\r?\n([^\s/:]{1,15}))?")
_LONGEST = 4096


def takeover(store: Store, lease: AddressLease, *, patience: float = 5.0) -> int:
    """Read what stands in `lease.directory` into `lease.pool`; answers how many leases.

    0 where there is no directory, or it was read before. To be called before the
    transaction that takes the lease. Files that hold no lease, zero-length ones among them
    (a crash of the reference), are left alone. Raises `TryLater` after `patience` seconds
    without the reference's lock, `StoreError`.
    """
    directory = Path(lease.directory)
    if not lease.directory or not _is_directory(directory):
        return 0
    last = directory / f"{_LAST}{lease.index}"
    with store.read() as reader:
        if reader.is_taken_over(lease.pool, str(last)):
            return 0
    try:
        with _locked(directory, time.monotonic() + patience), store.write() as writer:
            _go_on_where_it_stopped(writer, lease, last)
            writer.mark_taken_over(lease.pool, str(last))
            if writer.is_taken_over(lease.pool, lease.directory):
                return 0  # with another range set's lease, or by somebody else since
            writer.mark_taken_over(lease.pool, lease.directory)
            return _read_leases(writer, lease.pool, directory)
    except OSError as error:
        raise _unreadable(directory, error) from error


def _is_directory(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError as error:  # a name that is too long, a directory we may not search
        raise _unreadable(path, error) from error


def _unreadable(directory: Path, error: OSError) -> StoreError:
    return StoreError(
        f"leases in {error.filename or directory} can't be read: {error.strerror}; "
        "make them readable, or choose another ipam.dataDir"
    )


def remove(files: Iterable[str]) -> None:
    """Remove what stood for leases that are released now; what is gone is no error."""
    for file in files:
        with contextlib.suppress(OSError):
            Path(file).unlink()


def _read_leases(writer: Writer, pool: str, directory: Path) -> int:
    taken = 0
    for entry in sorted(os.scandir(directory), key=lambda entry: entry.name):
        address = _address(entry.name)
        owner = _owner(entry) if address else None
        if not address or not owner or writer.lease_at(pool, address):
            continue
        container, interface = owner
        writer.hold(
            HeldLease(
                pool, address, None, container, interface, NO_POSITION,
                entry.stat().st_mtime, entry.path,
            )
        )  # fmt: skip
        taken += 1
    return taken


def _go_on_where_it_stopped(writer: Writer, lease: AddressLease, path: Path) -> None:
    """An address that was released shortly before must not be given out at once."""
    try:
        last = _address(path.read_text(errors="replace").strip())
    except FileNotFoundError:
        return
    range = ranges.range_of(lease.ranges, last) if last else None
    if range:
        writer.know_range(lease.pool, range[:2], since=last)


def _address(name: str) -> str:
    """`name` as an address in its usual spelling; "" where it is none."""
    try:
        return str(ranges.parse_ip(name, name))
    except ConfigError:
        return ""


def _owner(entry: os.DirEntry[str]) -> tuple[str, str] | None:
    """(container, interface or ""); None for what the reference did not write, or not whole."""
    if not entry.is_file(follow_symlinks=False):
        return None
    with Path(entry.path).open(errors="replace", newline="") as file:
        found = _OWNER.fullmatch(file.read(_LONGEST).strip())
    return (found[1], found[2] or "") if found else None


@contextlib.contextmanager
def _locked(directory: Path, deadline: float) -> Iterator[None]:
    """Hold the reference's own lock. Where it never made one, it has nothing to lose."""
    try:
        fd = os.open(directory / _LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        yield
        return
    try:
        while not _flock(fd):
            if time.monotonic() > deadline:
                raise TryLater(f"{directory / _LOCK} is held by another IPAM plugin; try later")
            time.sleep(0.005)
        yield
    finally:
        os.close(fd)


def _flock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno == EWOULDBLOCK:
            return False
        raise
    return True
