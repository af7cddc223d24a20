"""Who else drops what the host forwards: read once, and again when somebody changed something.

nf_tables counts the transactions that changed something. As long as the count has grown by ours
alone, what was read holds. The tables of iptables-legacy are compared with what they were.
"""

from __future__ import annotations

import os
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from ...model.exhaustion import is_exhaustion
from ...model.forwarding import Blocker
from ..namespaces import entered
from ..netlink import packed
from ..netlink.nf_tables import TABLE, Change
from ..netlink.nft_socket import NftSocket
from . import firewalld
from .iptables import LEGACY, NFT, PROGRAMS, Iptables
from .ours import Way, standing

if TYPE_CHECKING:
    from .rules import Listing, Rule
    from .way import FilterTable

_NFT_MSG_GETCHAIN = 4
_NFT_MSG_GETRULE = 7
_NFTA_CHAIN_TABLE = 1
_NFTA_CHAIN_NAME = 3
_NFTA_CHAIN_HOOK = 4
_NFTA_CHAIN_POLICY = 5
_NFTA_HOOK_HOOKNUM = 1
_NFTA_RULE_TABLE = 1
_NFTA_RULE_CHAIN = 2
_NF_INET_FORWARD = 2
_NF_DROP = 0

FORWARD = "FORWARD"
DOCKER = "DOCKER-USER"
_FIREWALLD = "firewalld"
_FAMILIES = {"ip": 4, "ip6": 6, "inet": 0}
_LEGACY_NAMES = {4: "ip_tables_names", 6: "ip6_tables_names"}
_MOST = 4096
"""Bytes of the names of all tables, which are five."""

Known = tuple[int, tuple[tuple[int, bytes], ...]]
"""(nf_tables' count less ours, families with a legacy filter table and what that is)."""


class ForeignChains:
    """Those of one host namespace. Threads may share it."""

    def __init__(self, namespace: int, socket: NftSocket) -> None:
        self._namespace = namespace
        self._socket = socket
        self._legacy = _Legacy(namespace)
        self._read: _Reading | None = None

    def close(self) -> None:
        self._legacy.close()

    def blockers(self) -> tuple[Blocker, ...]:
        """Raises `KernelError`."""
        return self._reading().blockers

    def ours(self) -> list[Way]:
        """What stands in others' chains and says that it is ours."""
        return standing(self._socket, self._reading().legacy, self.program)

    def filter_table(self, program: str) -> FilterTable:
        """The filter table that this program changes, as it stands now. Raises `KernelError`."""
        return self._reading().filter_table(program)

    def program(self, name: str) -> Iptables:
        return Iptables(name, self._namespace)

    def _reading(self) -> _Reading:
        known = self._socket.foreign_generation(), tuple(self._legacy.filters())
        read = self._read
        if read is None or read.known != known:
            self._read = read = _Reading(known, self._namespace, self._socket, self.program)
        return read


class _Reading:
    """What was read while `known` was so: each thing when it is first asked for."""

    def __init__(
        self,
        known: Known,
        namespace: int,
        socket: NftSocket,
        program: Callable[[str], Iptables],
    ) -> None:
        self.known = known
        self._namespace = namespace
        self._socket = socket
        self._program = program
        self._tables: dict[str, _NfTables] = {}
        self._listings: dict[str, Listing] = {}

    @cached_property
    def blockers(self) -> tuple[Blocker, ...]:
        return tuple(self._look())

    @property
    def legacy(self) -> tuple[int, ...]:
        return tuple(version for version, _ in self.known[1])

    def filter_table(self, program: str) -> FilterTable:
        if not program.endswith(NFT):
            return self._listing(program)
        if program not in self._tables:
            family = "ip6" if program.startswith("ip6") else "ip"
            self._tables[program] = _NfTables(self._socket, family)
        return self._tables[program]

    def _listing(self, program: str) -> Listing:
        from .rules import Listing

        if program not in self._listings:
            lines = self._program(program).listing().splitlines()
            self._listings[program] = Listing(lines)
        return self._listings[program]

    def _look(self) -> Iterator[Blocker]:
        for family in _FAMILIES:
            yield from self._of_family(family)
        for version in self.legacy:
            program = f"{PROGRAMS[version]}{LEGACY}"
            where = f"{program} {FORWARD}"
            if not self._program(program).is_installed():
                # Without it nothing but the policy is read.
                if self._drops_by_policy(version):
                    yield Blocker(where, version, lacking=program)
                continue
            table = self._listing(program)
            into = _blocked(table, table.policy(FORWARD))
            if into is not None:
                yield Blocker(where, version, program, into)

    def _drops_by_policy(self, version: int) -> bool:
        from ..netlink.x_tables import drops_forwarded

        with entered(self._namespace):
            return drops_forwarded(version)

    def _of_family(self, family: str) -> Iterator[Blocker]:
        for answer in self._socket.dump(Change(_NFT_MSG_GETCHAIN, 0, family, b"")):
            chain = dict(packed.attributes(answer))
            table, name = _text(chain, _NFTA_CHAIN_TABLE), _text(chain, _NFTA_CHAIN_NAME)
            if table == TABLE or not is_at_forward(chain):
                continue
            where, version = f"{family} {table} {name}", _FAMILIES[family]
            drops = _number(chain.get(_NFTA_CHAIN_POLICY, b"\0\0\0\1")) == _NF_DROP
            if table == _FIREWALLD:  # its policy is accept; its last rule is not
                told = firewalld.can_be_told()
                lacking = "" if told else firewalld.CALLERS
                yield Blocker(where, version, _FIREWALLD if told else "", lacking=lacking)
            elif version and (table, name) == ("filter", FORWARD):
                program = f"{PROGRAMS[version]}{NFT}"
                into = _blocked(self.filter_table(program), "DROP" if drops else "ACCEPT")
                if into is not None and self._program(program).is_installed():
                    yield Blocker(where, version, program, into)
                elif into is not None:
                    yield Blocker(where, version, lacking=PROGRAMS[version])
            elif drops:
                yield Blocker(where, version)


class _NfTables:
    """A filter table in nf_tables, chain by chain: there may be thousands that nobody asks for."""

    def __init__(self, socket: NftSocket, family: str) -> None:
        self._socket = socket
        self._family = family
        self._chains: dict[str, tuple[Rule, ...]] = {}

    def rules(self, chain: str) -> tuple[Rule, ...]:
        from .rules import of_nf_tables

        if chain not in self._chains:
            body = packed.string(_NFTA_RULE_TABLE, "filter")
            body += packed.string(_NFTA_RULE_CHAIN, chain)
            answers = self._socket.dump(Change(_NFT_MSG_GETRULE, 0, self._family, body))
            self._chains[chain] = tuple(map(of_nf_tables, answers))
        return self._chains[chain]


def _blocked(table: FilterTable, policy: str) -> str | None:
    """The chain for those who need a way through; None where FORWARD drops nothing by itself.

    Docker's, as long as packets come by there: that chain stays when the way to it is gone.
    """
    from .way import DROPS, passed

    way = passed(table)
    if (way.end or policy) not in DROPS:
        return None
    return DOCKER if DOCKER in way.chains() else FORWARD


class _Legacy:
    """The tables of iptables-legacy, by /proc/net; to look with iptables would make one.

    The files stay open: to find one by its path takes a hundred times as long as to read it.
    """

    def __init__(self, namespace: int) -> None:
        self._namespace = namespace
        self._lock = threading.Lock()
        self._files: dict[str, int] = {}

    def filters(self) -> Iterator[tuple[int, bytes]]:
        """Families with a filter table outside nf_tables, and what that is."""
        for version, name in _LEGACY_NAMES.items():
            with self._lock:
                names = self._names(name).split()
            if b"filter" in names:
                from ..netlink.x_tables import fingerprint

                with entered(self._namespace):
                    yield version, fingerprint(version)

    def _names(self, name: str) -> bytes:
        known = self._files.get(name)
        if known is not None:
            try:
                return os.pread(known, _MOST, 0)
            except OSError:  # the module went, and may have come back
                os.close(self._files.pop(name))
        try:
            with entered(self._namespace):
                file = os.open(f"/proc/thread-self/net/{name}", os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            if is_exhaustion(error):
                raise
            return b""
        self._files[name] = file
        return os.pread(file, _MOST, 0)

    def close(self) -> None:
        while self._files:
            os.close(self._files.popitem()[1])


def is_at_forward(chain: Mapping[int, bytes]) -> bool:
    """Whether forwarded packets pass this chain first, by the attributes it is told with."""
    hook = dict(packed.attributes(chain.get(_NFTA_CHAIN_HOOK, b"")))
    return _number(hook.get(_NFTA_HOOK_HOOKNUM, b"")) == _NF_INET_FORWARD


def _text(chain: Mapping[int, bytes], attribute: int) -> str:
    return chain[attribute].rstrip(b"\0").decode(errors="replace")


def _number(raw: bytes) -> int:
    """nf_tables' numbers are in network order; -1 for none."""
    return int(struct.unpack("!I", raw)[0]) if len(raw) == 4 else -1
