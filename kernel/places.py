"""Where handlers work: one request's two namespaces, their sockets opened when first needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..model.errors import NamespaceError
from ..model.place import NO_NUMBER, Place
from . import sysctls
from .netlink.deletion import Deleter
from .netlink.rtnl_socket import Socket
from .sysctls import Folders
from .warm import HostEntry, Warm

if TYPE_CHECKING:
    from .nft.table import Table

_HOST = "the host's namespace"


class Places:
    """The descriptors stay the caller's; sockets are opened here, and closed by `close`.

    `netns` is the sandbox's path as the runtime gave it, for messages; `number` the one by which
    the host knows it, for what can be done without a descriptor. Without a sandbox, asking for
    one raises `NamespaceError`.
    """

    def __init__(
        self,
        host: int,
        sandbox: int | None,
        netns: str,
        warm: Warm | None,
        number: int = NO_NUMBER,
    ) -> None:
        self.netns = netns
        self.number = number
        self.deleter = warm.deleter if warm else Deleter()
        self._descriptors: dict[Place, int | None] = {"host": host, "sandbox": sandbox}
        self._sockets: dict[Place, Socket] = {}
        self._folders: dict[Place, Folders] = {}
        self._warm = warm
        self._entry: HostEntry | None = warm.enter(host, _HOST) if warm else None
        self._table: Table | None = None
        self._numbers: dict[str, int] = {}

    def has(self, place: Place) -> bool:
        return self._descriptors[place] is not None

    def namespace(self, place: Place) -> int:
        """The descriptor. Raises `NamespaceError` where there is no sandbox."""
        descriptor = self._descriptors[place]
        if descriptor is None:
            where = f"network namespace {self.netns}" if self.netns else "network namespace"
            raise NamespaceError(f"the container's {where} is gone")
        return descriptor

    def name(self, place: Place) -> str:
        """The namespace's name in messages."""
        return _HOST if place == "host" else (self.netns or "the container's namespace")

    def socket(self, place: Place) -> Socket:
        """This request's rtnetlink socket there."""
        found = self._sockets.get(place)
        if found is None:
            namespace = self.namespace(place)
            if place == "host" and self._entry is not None:
                found = self._entry.borrow(namespace)
            else:
                found = Socket.inside(namespace, self.name(place))
            self._sockets[place] = found
        return found

    def cookie(self, place: Place) -> str:
        """What tells the namespace from all others of this boot; "" where there is none."""
        if not self.has(place):
            return ""
        if place == "host" and self._entry is not None:
            return str(self._entry.cookie)
        return str(self.socket(place).cookie)

    def sysctl(self, place: Place, key: str) -> str | None:
        """`sysctl -n net.KEY` there; None where the kernel has no such key."""
        return sysctls.read(self.namespace(place), key, self._folders_of(place))

    def set_sysctl(self, place: Place, key: str, value: str, *, optional: bool = False) -> None:
        """`sysctl -w net.KEY=VALUE` there, as `sysctls.write`."""
        namespace, folders = self.namespace(place), self._folders_of(place)
        sysctls.write(namespace, key, value, optional=optional, folders=folders)

    def _folders_of(self, place: Place) -> Folders:
        if place == "host" and self._entry is not None:
            return self._entry.folders
        folders = self._folders.get(place)
        if folders is None:
            folders = self._folders[place] = Folders(self._warm.procfs if self._warm else None)
        return folders

    @property
    def numbers(self) -> dict[str, int]:
        """The numbers by which the host knows namespaces, as far as seen: by cookie."""
        return self._entry.numbers if self._entry is not None else self._numbers

    def table(self) -> Table:
        """Our nftables tables on the host."""
        host = self.namespace("host")
        if self._entry is not None:
            return self._entry.table(host)
        if self._table is None:
            from .nft.table import Table

            self._table = Table(host)
        return self._table

    def delete_link(self, index: int, name: str, place: Place = "host") -> None:
        """`ip link del NAME` there; returns when it is gone. One that is gone is no error.

        Raises `KernelError`.
        """
        self.deleter.delete(self.namespace(place), self.name(place), index, name)

    def let_go(self) -> None:
        """Of all but the two sockets: from now on the descriptors are not needed any more."""
        for place in self._descriptors:
            if self.has(place):
                self.socket(place)
        self._close_folders()

    def close(self) -> None:
        sockets, self._sockets = self._sockets, {}
        for place, sock in sockets.items():
            if place == "host" and self._entry is not None:
                self._entry.give_back(sock)
            else:
                sock.close()
        self._close_folders()
        if self._table is not None:
            self._table.close()
            self._table = None
        if self._warm is not None and self._entry is not None:
            self._warm.leave(self._entry)
            self._entry = None

    def _close_folders(self) -> None:
        while self._folders:
            self._folders.popitem()[1].close()
