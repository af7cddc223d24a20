"""Single questions about our tables: is a set there, which version, which rules.

Each costs the same however much else the host's ruleset holds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ..model.plan import Drift
from . import netlink
from .nft_elements import Change
from .nft_layout import TABLE, TABLES, NftSet, Rule, TableLayout, version_of
from .nft_socket import NftSocket

_NFT_MSG_GETTABLE = 1
_NFT_MSG_GETRULE = 7
_NFT_MSG_GETSET = 10

_NFTA_TABLE_NAME = 1
_NFTA_TABLE_USERDATA = 6
_NFTA_SET_TABLE = 1
_NFTA_SET_NAME = 2
_NFTA_RULE_TABLE = 1
_NFTA_RULE_CHAIN = 2
_NFTA_RULE_USERDATA = 7

_COMMENT = 0  # libnftnl's NFTNL_UDATA_*_COMMENT: of a table, a set and a rule alike


def has_set(socket: NftSocket, family: str, name: str) -> bool:
    """Whether `nft list set FAMILY pynet NAME` would find one."""
    body = netlink.string(_NFTA_SET_TABLE, TABLE) + netlink.string(_NFTA_SET_NAME, name)
    return socket.ask(Change(_NFT_MSG_GETSET, 0, family, body)) is not None


def version(socket: NftSocket, family: str) -> int | None:
    """The layout version of `table FAMILY pynet`; 0 where it tells none, None without table."""
    body = netlink.string(_NFTA_TABLE_NAME, TABLE)
    answer = socket.ask(Change(_NFT_MSG_GETTABLE, 0, family, body))
    if answer is None:
        return None
    return version_of(_comment(dict(netlink.attributes(answer)).get(_NFTA_TABLE_USERDATA, b"")))


def set_names(socket: NftSocket, family: str) -> list[str]:
    """The name of each set and map in `table FAMILY pynet`."""
    body = netlink.string(_NFTA_SET_TABLE, TABLE)
    answers = socket.dump(Change(_NFT_MSG_GETSET, 0, family, body))
    names = (dict(netlink.attributes(answer))[_NFTA_SET_NAME] for answer in answers)
    return sorted(name.rstrip(b"\0").decode() for name in names)


def rules(socket: NftSocket, family: str) -> list[tuple[str, str]]:
    """(chain, comment) of each rule in `table FAMILY pynet`, in order; [] without table."""
    body = netlink.string(_NFTA_RULE_TABLE, TABLE)
    found = []
    for answer in socket.dump(Change(_NFT_MSG_GETRULE, 0, family, body)):
        held = dict(netlink.attributes(answer))
        chain = held[_NFTA_RULE_CHAIN].rstrip(b"\0").decode()
        found.append((chain, _comment(held.get(_NFTA_RULE_USERDATA, b""))))
    return found


def rule_drift(socket: NftSocket, family: str, more: Sequence[Rule] = ()) -> list[Drift]:
    """Which rules of our table, and `more`, are missing, there twice, or out of order."""
    layout = TABLES[family]
    found = rules(socket, family)
    count = Counter(found)
    drifts = [
        Drift(f'rule "{rule.comment}" in chain {family} {TABLE} {rule.chain}', "count", "1", str(n))
        for rule in (*layout.rules, *more)
        if (n := count[rule.chain, rule.comment]) != 1
    ]
    return drifts or _order_drift(layout, found, more)


def _order_drift(
    layout: TableLayout, found: list[tuple[str, str]], more: Sequence[Rule]
) -> list[Drift]:
    drifts = []
    for chain in layout.chains:
        ours = [rule.comment for rule in layout.rules if rule.chain == chain]
        early = [rule.comment for rule in more if rule.chain == chain]
        there = [comment for name, comment in found if name == chain]
        if not ours:
            continue
        right = [comment for comment in there if comment in ours] == ours and all(
            there.index(comment) < there.index(ours[-1]) for comment in early
        )
        if not right:
            drifts.append(
                Drift(
                    f"chain {layout.family} {TABLE} {chain}",
                    "order of rules",
                    " / ".join(early + ours),
                    " / ".join(there),
                )
            )
    return drifts


def _comment(userdata: bytes) -> str:
    """The comment among libnftnl's (type, length, value) triples."""
    offset = 0
    while offset + 2 <= len(userdata):
        type_, length = userdata[offset], userdata[offset + 1]
        if type_ == _COMMENT:
            return userdata[offset + 2 : offset + 2 + length].rstrip(b"\0").decode(errors="replace")
        offset += 2 + length
    return ""


def set_missing(described: NftSet) -> Drift:
    """What CHECK says of a set that is gone."""
    return Drift(f"set {described.family} {TABLE} {described.name}", "state", "present", "missing")
