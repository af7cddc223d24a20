"""What a long-lived process keeps open of the *host* namespaces it serves.

Rules that hold here:
- Never a container's namespace: an open socket keeps a dead namespace, and the host's end of
  its veth, alive. For the same reason what is not used for a while is let go (`expire`), but
  for the namespace of this process itself, which keeps that alive anyway. And there is a bound
  to how many are kept.
- A namespace is known by device and inode. Numbers are reused, but not while a socket in the
  namespace is open, and an entry has one from its first day to its last.
- A socket is lent to one request at a time.
"""

from __future__ import annotations

import threading
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from . import namespaces
from .netlink.deletion import Deleter
from .netlink.rtnl_socket import Socket
from .sysctls import Folders

if TYPE_CHECKING:
    from .nft.events import Changes, Watch
    from .nft.table import Table

_KEEP_IDLE = 4
_LIFETIME = 60.0
_MOST = 64
_REMEMBERED = 256


class Numbers(dict[str, int]):
    """By cookie, the numbers (nsid) of the containers that came last: a chain asks once."""

    def __setitem__(self, cookie: str, number: int) -> None:
        if len(self) >= _REMEMBERED:
            self.clear()
        super().__setitem__(cookie, number)


class HostEntry:
    """One host namespace: sockets to lend, and the nftables tables. Threads may share it.

    A `watch` hears of others' changes to nf_tables, once our tables are in use.
    """

    def __init__(self, namespace: int, where: str, watch: Watch[HostEntry] | None = None) -> None:
        self._where = where
        self._lock = threading.Lock()
        self._anchor = Socket.inside(namespace, where)  # never lent: it keeps the inode ours
        self._idle: list[Socket] = []
        self._table: Table | None = None
        self.folders = Folders()
        self.numbers = Numbers()
        self._watch = watch
        self.changes: Changes | None = None
        self.cookie = self._anchor.cookie
        self.users = 0
        self.used = monotonic()

    def borrow(self, namespace: int) -> Socket:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return Socket.inside(namespace, self._where)

    def give_back(self, sock: Socket) -> None:
        with self._lock:
            if not sock.broken and len(self._idle) < _KEEP_IDLE:
                self._idle.append(sock)
                return
        sock.close()

    def table(self, namespace: int) -> Table:
        with self._lock:
            if self._table is None:
                from .nft.table import Table

                table = Table(namespace)
                try:
                    self._listen(table)
                except BaseException:
                    table.close()
                    raise  # or nobody would ever watch it
                self._table = table
            return self._table

    @property
    def known_table(self) -> Table | None:
        """The same, if anybody has asked for them yet."""
        return self._table

    def _listen(self, table: Table) -> None:
        if self._watch is not None:
            from .nft.events import Changes

            changes = Changes(table.namespace, table.port)
            try:
                self._watch.add(self, changes)
            except BaseException:
                changes.close()
                raise
            self.changes = table.changes = changes

    def close(self) -> None:
        """Only when nobody uses it."""
        for sock in (self._anchor, *self._idle):
            sock.close()
        self.folders.close()
        if self.changes is not None:
            self.changes.close()
        if self._table is not None:
            self._table.close()


class Warm:
    """The host namespaces in use by this process. Threads may share it."""

    def __init__(self, watch: Watch[HostEntry] | None = None, most: int = _MOST) -> None:
        """`most` are the namespaces that are kept beside this process's own."""
        from .procfs import Procfs  # a one-shot, which has no use for it, must not pay for it

        self.deleter = Deleter()
        self.procfs = Procfs()
        self._watch = watch
        self._most = most
        status = Path("/proc/self/ns/net").stat()
        self._own = status.st_dev, status.st_ino
        self._lock = threading.Lock()
        self._entries: dict[tuple[int, int], HostEntry] = {}

    def enter(self, namespace: int, where: str) -> HostEntry:
        """The entry of the namespace, counted as in use until `leave`."""
        key = namespaces.identity(namespace)
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                entry = self._entries[key] = HostEntry(namespace, where, self._watch)
            entry.users += 1
        return entry

    def resume(self, entry: HostEntry) -> bool:
        """Use it once more, until `leave`; False where it has been let go."""
        with self._lock:
            known = entry in self._entries.values()
            entry.users += known
        return known

    def leave(self, entry: HostEntry) -> None:
        with self._lock:
            entry.users -= 1
            entry.used = monotonic()
            surplus = self._pop_surplus() if len(self._entries) > self._most else []
        for each in surplus:
            each.close()

    def _pop_surplus(self) -> list[HostEntry]:
        """Of those that are in nobody's use, what was used last the longest ago."""
        others = [key for key in self._entries if key != self._own]
        idle = [key for key in others if not self._entries[key].users]
        idle.sort(key=lambda key: self._entries[key].used)
        return [self._entries.pop(key) for key in idle[: max(0, len(others) - self._most)]]

    def expire(self, lifetime: float = _LIFETIME) -> None:
        """Let go of others' namespaces that nobody has used for `lifetime` seconds."""
        self._let_go(monotonic() - lifetime, self._own)

    def close(self) -> None:
        """Let go of everything that is not in use."""
        self._let_go(monotonic(), None)

    def _let_go(self, oldest: float, spared: tuple[int, int] | None) -> None:
        with self._lock:
            stale = [
                key
                for key, entry in self._entries.items()
                if not entry.users and entry.used <= oldest and key != spared
            ]
            gone = [self._entries.pop(key) for key in stale]
        for entry in gone:
            entry.close()
