"""Leases the reference keeps as files: read into the store once, removed as they are released.

host-local has a directory per network: a file per address, named after it, holding
"<container>\\r\\n<interface>" (long ago the container only), `last_reserved_ip.<set>` with
the address given out last, and `lock`, which it holds with flock(2) while it works.

A lease goes with its file, which may be removed by whoever likes, and none outlives the boot.

The files are the caller's: they are opened below its root, and whatever stands in their place
is not waited for.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import stat
import time
from collections.abc import Collection, Iterable, Iterator
from errno import EINVAL, ELOOP, ENOENT, ENOTDIR, EWOULDBLOCK

from ..kernel.roots import Root
from ..model import patience, ranges
from ..model.errors import ConfigError, StoreError, TryLater
from ..model.resources import AddressLease
from ..model.value import Value
from ..store.leases import NO_POSITION, HeldLease
from ..store.store import Store, Writer

_LAST = "last_reserved_ip."
_LOCK = "lock"
# CNI spec 1.1.0, "Parameters"; an interface's name as the kernel takes it.
_OWNER = re.compile(r"([a-zA-Z0-9][a-zA-Z0-9_.\-]*)(?:\r?\n([^\s/:]{1,15}))?")
_LONGEST = 4096


def takeover(
    store: Store, lease: AddressLease, root: Root, *, patience: float = patience.SECONDS
) -> int:
    """Read what stands in `lease.directory` into `lease.pool`; answers how many leases.

    0 where there is no directory, or it was read before. To be called before the
    transaction that takes the lease. Files that hold no lease, zero-length ones among them
    (a crash of the reference), are left alone. Raises `TryLater` after `patience` seconds
    without the reference's lock, `StoreError`.
    """
    with _opened(lease, root) as directory:
        return _take_over(store, lease, directory, patience) if directory else 0


def stale(
    store: Store,
    lease: AddressLease,
    root: Root,
    valid: Collection[tuple[str, str]] | None = None,
) -> list[HeldLease]:
    """Those taken over into `lease.pool` that no record has, and whose file is gone.

    With `valid`, pairs of container and interface, also those whose owner is none of them. Raises
    `StoreError`.
    """
    with store.read() as reader:
        unclaimed = reader.unclaimed(lease.pool)
    if not unclaimed:
        return []
    gone = _without_file(store, lease, root, unclaimed)
    return [
        held
        for held in unclaimed
        if held in gone or (valid is not None and not any(owns(owner, held) for owner in valid))
    ]


def release_stale(
    store: Store,
    lease: AddressLease,
    root: Root,
    valid: Collection[tuple[str, str]] | None = None,
) -> int:
    """Free what is `stale`, and remove what files there are; how many it was."""
    found = stale(store, lease, root, valid)
    if found:
        with store.write() as writer:
            files = writer.release_unclaimed(found)
        remove(files, root)
    return len(found)


def owns(owner: tuple[str, str], held: HeldLease) -> bool:
    """Whether this container and interface have it; long ago the container alone was kept."""
    return owner[0] == held.container and held.interface in ("", owner[1])


def _without_file(
    store: Store, lease: AddressLease, root: Root, leases: Iterable[HeldLease]
) -> list[HeldLease]:
    """Of a directory that was read; what another root has under its path is another's."""
    with _opened(lease, root) as directory:
        if directory is None:
            is_gone = root.directory is None and lease.directory
            return [each for each in leases if is_gone and _is_in(lease.directory, each)]
        with store.read() as reader:
            if not reader.is_taken_over(lease.pool, directory.name):
                return []
        with os.scandir(directory.descriptor) as listing:
            there = {entry.name for entry in listing}
        return [
            each
            for each in leases
            if _is_in(lease.directory, each) and each.file.rpartition("/")[2] not in there
        ]


def _is_in(directory: str, held: HeldLease) -> bool:
    return held.file.rpartition("/")[0] == directory


@contextlib.contextmanager
def _opened(lease: AddressLease, root: Root) -> Iterator[_Directory | None]:
    """None where there is no directory. Raises `StoreError` where it can't be read."""
    folder = -1
    try:
        if lease.directory:
            with contextlib.suppress(ValueError):  # no path at all
                folder = root.open(lease.directory, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        # Else a name that is too long, a directory we may not search.
        if error.errno not in (ENOENT, ENOTDIR, ELOOP):
            raise _unreadable(lease.directory, error) from error
    if folder < 0:
        yield None
        return
    try:
        yield _Directory(root, lease.directory, folder)
    except OSError as error:
        raise _unreadable(lease.directory, error) from error
    finally:
        os.close(folder)


class _Directory(Value):
    """A network's, as the caller names it, and opened."""

    root: Root
    path: str
    descriptor: int

    @property
    def name(self) -> str:
        """What tells it from another root's of the same path."""
        status = os.fstat(self.descriptor)
        return f"{status.st_dev}:{status.st_ino}:{self.path}"


def _take_over(store: Store, lease: AddressLease, directory: _Directory, patience: float) -> int:
    name = directory.name
    last = f"{name}/{_LAST}{lease.index}" if lease.ranges else name
    with store.read() as reader:
        if reader.is_taken_over(lease.pool, last):
            return 0
    with _locked(directory, time.monotonic() + patience), store.write() as writer:
        if lease.ranges:
            _go_on_where_it_stopped(writer, lease, directory)
            writer.mark_taken_over(lease.pool, last)
        if writer.is_taken_over(lease.pool, name):
            return 0  # with another range set's lease, or by somebody else since
        writer.mark_taken_over(lease.pool, name)
        return _read_leases(writer, lease.pool, directory)


def _unreadable(directory: str, error: OSError) -> StoreError:
    return StoreError(
        f"leases in {error.filename or directory} can't be read: {error.strerror}; "
        "make them readable, or choose another ipam.dataDir"
    )


def remove(files: Iterable[str], root: Root) -> None:
    """Remove what stood for leases that are released now; what is gone is no error."""
    for file in files:
        with contextlib.suppress(OSError):
            root.remove(file)


def _read_leases(writer: Writer, pool: str, directory: _Directory) -> int:
    taken = 0
    booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    with os.scandir(directory.descriptor) as listing:
        entries = sorted(listing, key=lambda entry: entry.name)
    for entry in entries:
        # Gone since it was listed: where there is no lock file, nobody waits with a release.
        with contextlib.suppress(FileNotFoundError):
            taken += _read_lease(writer, pool, directory, entry, booted)
    return taken


def _read_lease(
    writer: Writer, pool: str, directory: _Directory, entry: os.DirEntry[str], booted: float
) -> bool:
    """Whether it is one that is held, and was not yet."""
    address = _address(entry.name)
    owner = _owner(directory, entry) if address else None
    if not address or not owner or writer.lease_at(pool, address):
        return False
    since = entry.stat(follow_symlinks=False).st_mtime
    if since < booted:
        return False  # its container has died with the boot
    container, interface = owner
    writer.hold(
        HeldLease(
            pool, address, None, container, interface, NO_POSITION,
            since, f"{directory.path}/{entry.name}",
        )
    )  # fmt: skip
    return True


def _go_on_where_it_stopped(writer: Writer, lease: AddressLease, directory: _Directory) -> None:
    """An address that was released shortly before must not be given out at once."""
    try:
        last = _address(directory.root.text(f"{directory.path}/{_LAST}{lease.index}").strip())
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


def _owner(directory: _Directory, entry: os.DirEntry[str]) -> tuple[str, str] | None:
    """(container, interface or ""); None for what the reference did not write, or not whole."""
    if not entry.is_file(follow_symlinks=False):
        return None
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW
    fd = os.open(entry.name, flags, dir_fd=directory.descriptor)
    try:
        found = _OWNER.fullmatch(os.read(fd, _LONGEST).decode(errors="replace").strip())
    finally:
        os.close(fd)
    return (found[1], found[2] or "") if found else None


@contextlib.contextmanager
def _locked(directory: _Directory, deadline: float) -> Iterator[None]:
    """Hold the reference's own lock. Where it never made one, it has nothing to lose."""
    lock = f"{directory.path}/{_LOCK}"
    try:
        fd = directory.root.open(lock)
    except FileNotFoundError:
        yield
        return
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(EINVAL, "it is not a file", lock)
        while not _flock(fd):
            if time.monotonic() > deadline:
                raise TryLater(f"{lock} is held by another IPAM plugin; try later")
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
