"""What stands in other people's chains and says that it is ours, whoever put it there.

Rules come back with a saved ruleset, after those who needed them have gone. What they are is told
by their comment and their chain. All rules of the tables are read: never on the way of an ADD.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from ...model.forwarding import OUR_CHAIN, ForwardAccept, ForwardJump
from ..netlink import packed
from ..netlink.nf_tables import Change
from ..netlink.nft_socket import NftSocket
from .iptables import LEGACY, NFT, PROGRAMS, Iptables

_NFT_MSG_GETRULE = 7
_NFTA_RULE_TABLE = 1
_NFTA_RULE_CHAIN = 2
SIGNATURE = b"pynet: "
"""How the comment of each of our rules begins."""
_PACKED = re.compile(SIGNATURE + rb"([^\0]+)\0")
_WRITTEN = re.compile(r'-A (\S+) .*--comment "pynet: ([^"]+)"')

Way = ForwardJump | ForwardAccept


def standing(
    socket: NftSocket, legacy: Iterable[int], program: Callable[[str], Iptables]
) -> list[Way]:
    """Each once. `legacy` are the families that have a filter table outside nf_tables."""
    found = [way for family in ("ip", "ip6") for way in _of_nftables(socket, family)]
    for version in legacy:
        tables = program(f"{PROGRAMS[version]}{LEGACY}")
        if tables.is_installed():  # else nobody has written anything by it
            found += _of_legacy(tables)
    return list(dict.fromkeys(found))


def _of_nftables(socket: NftSocket, family: str) -> Iterator[Way]:
    program = f"{PROGRAMS[6 if family == 'ip6' else 4]}{NFT}"
    body = packed.string(_NFTA_RULE_TABLE, "filter")
    for answer in socket.dump(Change(_NFT_MSG_GETRULE, 0, family, body)):
        if (comment := _PACKED.search(answer)) is not None:
            chain = dict(packed.attributes(answer))[_NFTA_RULE_CHAIN].rstrip(b"\0").decode()
            yield _way(program, chain, comment[1].decode(errors="replace"))


def _of_legacy(tables: Iptables) -> Iterator[Way]:
    for line in tables.listing().splitlines():
        if (rule := _WRITTEN.match(line)) is not None:
            yield _way(tables.program, rule[1], rule[2])


def _way(program: str, chain: str, named: str) -> Way:
    """By what its comment names: in our own chain an interface, elsewhere the chain it leads to."""
    if chain == OUR_CHAIN:
        return ForwardAccept(program=program, interface=named)
    return ForwardJump(program=program, into=chain, chain=named, admin=named != OUR_CHAIN)
