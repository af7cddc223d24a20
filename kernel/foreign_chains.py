"""Who else drops what the host forwards: read once, and again when somebody changed something.

nf_tables counts its transactions. As long as the count has grown by ours alone, what was
read holds.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator

from ..model.forwarding import Blocker
from . import netlink
from .iptables import Iptables
from .namespaces import entered
from .nft_elements import Change
from .nft_layout import TABLE
from .nft_socket import NftSocket

_NFT_MSG_GETCHAIN = 4
_NFT_MSG_GETGEN = 16
_NFTA_GEN_ID = 1
_NFTA_CHAIN_TABLE = 1
_NFTA_CHAIN_NAME = 3
_NFTA_CHAIN_HOOK = 4
_NFTA_CHAIN_POLICY = 5
_NFTA_HOOK_HOOKNUM = 1
_NF_INET_FORWARD = 2
_NF_DROP = 0

DOCKER = "DOCKER-USER"
_FIREWALLD = "firewalld"
_FAMILIES = {"ip": 4, "ip6": 6, "inet": 0}
_PROGRAMS = {4: "iptables", 6: "ip6tables"}
_LEGACY_NAMES = {4: "ip_tables_names", 6: "ip6_tables_names"}

Known = tuple[int, tuple[int, ...]]
"""(nf_tables' count less ours, families with a legacy filter table)."""


class ForeignChains:
    """Those of one host namespace. Threads may share it."""

    def __init__(self, namespace: int, socket: NftSocket) -> None:
        self._namespace = namespace
        self._socket = socket
        self._read: tuple[Known, tuple[Blocker, ...]] | None = None

    def blockers(self) -> tuple[Blocker, ...]:
        known = self._known()
        read = self._read
        if read is None or read[0] != known:
            self._read = read = known, tuple(self._look(known[1]))
        return read[1]

    def _known(self) -> Known:
        ours = self._socket.changes
        answer = self._socket.ask(Change(_NFT_MSG_GETGEN, 0, "inet", b"")) or b""
        generation = _number(dict(netlink.attributes(answer)).get(_NFTA_GEN_ID, b""))
        return generation - ours, tuple(_legacy_families(self._namespace))

    def _look(self, legacy: tuple[int, ...]) -> Iterator[Blocker]:
        for family in _FAMILIES:
            yield from self._of_family(family)
        for version in legacy:
            yield from _of_legacy(version, self.tables_of(f"{_PROGRAMS[version]}-legacy"))

    def _of_family(self, family: str) -> Iterator[Blocker]:
        chains = []
        for answer in self._socket.dump(Change(_NFT_MSG_GETCHAIN, 0, family, b"")):
            chains.append(dict(netlink.attributes(answer)))
        names = {(_text(one, _NFTA_CHAIN_TABLE), _text(one, _NFTA_CHAIN_NAME)) for one in chains}
        for chain in chains:
            table, name = _text(chain, _NFTA_CHAIN_TABLE), _text(chain, _NFTA_CHAIN_NAME)
            if table == TABLE or not is_at_forward(chain):
                continue
            where, version = f"{family} {table} {name}", _FAMILIES[family]
            if table == _FIREWALLD:  # its policy is accept; its last rule is not
                yield Blocker(where, version, _FIREWALLD)
            elif _number(chain.get(_NFTA_CHAIN_POLICY, b"\0\0\0\1")) == _NF_DROP:
                program, into = "", ""
                if version and (table, name) == ("filter", "FORWARD"):
                    program = f"{_PROGRAMS[version]}-nft"
                    into = DOCKER if (table, DOCKER) in names else name
                yield Blocker(where, version, program, into)

    def tables_of(self, program: str) -> Iptables:
        """The filter table that this program changes."""
        return Iptables(program, self._namespace, self._socket)


def _of_legacy(version: int, iptables: Iptables) -> Iterator[Blocker]:
    lines = iptables.listing().splitlines()
    if "-P FORWARD DROP" in lines:
        program = f"{_PROGRAMS[version]}-legacy"
        into = DOCKER if f"-N {DOCKER}" in lines else "FORWARD"
        yield Blocker(f"{program} FORWARD", version, program, into)


def _legacy_families(namespace: int) -> Iterator[int]:
    """Those that have a filter table outside nf_tables; to look with iptables would make one."""
    with entered(namespace):
        for version, name in _LEGACY_NAMES.items():
            try:
                file = os.open(f"/proc/thread-self/net/{name}", os.O_RDONLY | os.O_CLOEXEC)
            except OSError:
                continue
            try:
                names = os.read(file, 4096).split()
            finally:
                os.close(file)
            if b"filter" in names:
                yield version


def is_at_forward(chain: dict[int, bytes]) -> bool:
    """Whether forwarded packets pass this chain first, by the attributes it is told with."""
    hook = dict(netlink.attributes(chain.get(_NFTA_CHAIN_HOOK, b"")))
    return _number(hook.get(_NFTA_HOOK_HOOKNUM, b"")) == _NF_INET_FORWARD


def _text(chain: dict[int, bytes], attribute: int) -> str:
    return chain[attribute].rstrip(b"\0").decode(errors="replace")


def _number(raw: bytes) -> int:
    """nf_tables' numbers are in network order; -1 for none."""
    return int(struct.unpack("!I", raw)[0]) if len(raw) == 4 else -1
