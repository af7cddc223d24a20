"""Single questions about our tables: is a set there, which version, which rules.

Each costs the same however much else the host's ruleset holds.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from ...model.plan import Drift
from ...model.value import Value
from ..netlink import packed
from ..netlink.nf_tables import TABLE, Change, comment_in
from ..netlink.nft_socket import NftSocket
from .layout import TABLES, NftSet, Rule, TableLayout, version_of

_NFT_MSG_GETTABLE = 1
_NFT_MSG_GETCHAIN = 4
_NFT_MSG_GETRULE = 7
_NFT_MSG_GETSET = 10

_NFTA_TABLE_NAME = 1
_NFTA_TABLE_FLAGS = 2
_NFTA_TABLE_USERDATA = 6
_NFT_TABLE_F_DORMANT = 1
_NFTA_CHAIN_TABLE = 1
_NFTA_CHAIN_NAME = 3
_NFTA_CHAIN_HOOK = 4
_NFTA_CHAIN_POLICY = 5
_NFTA_CHAIN_TYPE = 7
_NFTA_HOOK_HOOKNUM = 1
_NFTA_HOOK_PRIORITY = 2
_NFTA_SET_TABLE = 1
_NFTA_SET_NAME = 2
_NFTA_SET_KEY_LEN = 5
_NFTA_SET_DATA_LEN = 7
_NFTA_RULE_TABLE = 1
_NFTA_RULE_CHAIN = 2
_NFTA_RULE_EXPRESSIONS = 4
_NFTA_RULE_USERDATA = 7


def has_set(socket: NftSocket, family: str, name: str) -> bool:
    """Whether `nft list set FAMILY pynet NAME` would find one."""
    body = packed.string(_NFTA_SET_TABLE, TABLE) + packed.string(_NFTA_SET_NAME, name)
    return socket.ask(Change(_NFT_MSG_GETSET, 0, family, body)) is not None


class TableSeen(Value):
    """The layout version that the table tells, 0 for none; asleep, none of its rules is run."""

    version: int
    asleep: bool


def table(socket: NftSocket, family: str) -> TableSeen | None:
    """`nft list tables`, of `table FAMILY pynet`; None where there is none."""
    body = packed.string(_NFTA_TABLE_NAME, TABLE)
    answer = socket.ask(Change(_NFT_MSG_GETTABLE, 0, family, body))
    if answer is None:
        return None
    held = dict(packed.attributes(answer))
    flags = int.from_bytes(held.get(_NFTA_TABLE_FLAGS, b""), "big")
    version = version_of(comment_in(held.get(_NFTA_TABLE_USERDATA, b"")))
    return TableSeen(version, bool(flags & _NFT_TABLE_F_DORMANT))


def version(socket: NftSocket, family: str) -> int | None:
    """The layout version of `table FAMILY pynet`; 0 where it tells none, None without table."""
    found = table(socket, family)
    return None if found is None else found.version


def set_sizes(socket: NftSocket, family: str) -> dict[str, tuple[int, int]]:
    """Of each set in `table FAMILY pynet`, the bytes of its keys and of its values."""
    body = packed.string(_NFTA_SET_TABLE, TABLE)
    found = {}
    for answer in socket.dump(Change(_NFT_MSG_GETSET, 0, family, body)):
        held = dict(packed.attributes(answer))
        key, data = (
            int.from_bytes(held.get(type_, b""), "big")
            for type_ in (_NFTA_SET_KEY_LEN, _NFTA_SET_DATA_LEN)
        )
        found[held[_NFTA_SET_NAME].rstrip(b"\0").decode()] = key, data
    return found


def set_names(socket: NftSocket, family: str) -> list[str]:
    """The name of each set and map in `table FAMILY pynet`."""
    return sorted(set_sizes(socket, family))


class RuleSeen(NamedTuple):
    """`expressions` are what it does, as the kernel tells that."""

    chain: str
    comment: str
    expressions: bytes


def rules(socket: NftSocket, family: str) -> list[RuleSeen]:
    """Each rule in `table FAMILY pynet`, chain by chain, in order; [] without table."""
    body = packed.string(_NFTA_RULE_TABLE, TABLE)
    found = []
    for answer in socket.dump(Change(_NFT_MSG_GETRULE, 0, family, body)):
        held = dict(packed.attributes(answer))
        chain = held[_NFTA_RULE_CHAIN].rstrip(b"\0").decode()
        comment = comment_in(held.get(_NFTA_RULE_USERDATA, b""))
        found.append(RuleSeen(chain, comment, held.get(_NFTA_RULE_EXPRESSIONS, b"")))
    return found


def rule_drift(family: str, seen: Iterable[RuleSeen], more: Sequence[Rule] = ()) -> list[Drift]:
    """Which of the rules `seen` in our table are missing, there twice, out of order, or strange.

    `more` are those of all parts that were made later.
    """
    layout = TABLES[family]
    found = [(one.chain, one.comment) for one in seen]
    count = Counter(found)
    wanted = {(rule.chain, rule.comment): rule for rule in (*layout.rules, *more)}
    drifts = [
        Drift(called(family, rule.chain, rule.comment), "count", "1", str(n))
        for rule in wanted.values()
        if (n := count[rule.chain, rule.comment]) != 1
    ]
    for chain, comment in count:
        if (chain, comment) not in wanted:
            drifts.append(_strange(called(family, chain, comment)))
    return drifts or _order_drift(layout, found, more)


def called(family: str, chain: str, comment: str) -> str:
    """A rule, for people."""
    rule = f'rule "{comment}"' if comment else "a rule"
    return f"{rule} in chain {family} {TABLE} {chain}"


def _strange(what: str) -> Drift:
    """What is said of a thing in our table that we have not made."""
    return Drift(what, "presence", "missing", "somebody else's")


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


def set_missing(described: NftSet) -> Drift:
    """What CHECK says of a set that is gone."""
    return Drift(f"set {described.family} {TABLE} {described.name}", "state", "present", "missing")


# --- chains and flags ----------------------------------------------------------------------------


def shape_drift(socket: NftSocket, family: str, more: Iterable[str] = ()) -> list[Drift]:
    """Where the table, or a chain of it, is not as it was made; `more` chains came with parts.

    A dump of all chains of the family, other people's too: never on the way of an ADD.
    """
    found = table(socket, family)
    if found is None:
        return [Drift(f"table {family} {TABLE}", "state", "present", "missing")]
    drifts = []
    if found.asleep:
        drifts.append(Drift(f"table {family} {TABLE}", "flags", "none", "dormant"))
    wanted = TABLES[family].chains | dict.fromkeys(more, "")
    there = dict(_chains(socket, family))
    for name in wanted | there:
        subject = f"chain {family} {TABLE} {name}"
        if name not in wanted:
            drifts.append(_strange(subject))
        elif name not in there:
            drifts.append(Drift(subject, "state", "present", "missing"))
        elif there[name] != (hook := _hook(wanted[name])):
            drifts.append(Drift(subject, "hook and policy", *map(_shown, (hook, there[name]))))
    return drifts


class _Hook(NamedTuple):
    """Where packets enter a chain, and what becomes of those that leave it."""

    type: str
    hook: int
    priority: int
    policy: int


_WRITTEN = re.compile(r"type (\w+) hook (\w+) priority (\S+); policy (\w+);")
_HOOKS = ("prerouting", "input", "forward", "output", "postrouting")
_POLICIES = ("drop", "accept")
_PRIORITIES = {"raw": -300, "dstnat": -100, "filter": 0, "srcnat": 100}


def _hook(text: str) -> _Hook | None:
    """By how a layout writes it; None for a chain that is jumped to."""
    if not text:
        return None
    written = _WRITTEN.fullmatch(text)
    assert written is not None, text
    type_, hook, priority, policy = written.groups()
    number = _PRIORITIES.get(priority)
    return _Hook(
        type_,
        _HOOKS.index(hook),
        int(priority) if number is None else number,
        _POLICIES.index(policy),
    )


def _shown(hook: _Hook | None) -> str:
    if hook is None:
        return "none"
    place = _HOOKS[hook.hook] if hook.hook < len(_HOOKS) else str(hook.hook)
    policy = _POLICIES[hook.policy] if hook.policy < len(_POLICIES) else str(hook.policy)
    return f"{hook.type} at {place}, priority {hook.priority}, {policy}"


def _chains(socket: NftSocket, family: str) -> Iterator[tuple[str, _Hook | None]]:
    for answer in socket.dump(Change(_NFT_MSG_GETCHAIN, 0, family, b"")):
        held = dict(packed.attributes(answer))
        if held[_NFTA_CHAIN_TABLE] != TABLE.encode() + b"\0":
            continue
        hook = None
        if _NFTA_CHAIN_HOOK in held:
            place = dict(packed.attributes(held[_NFTA_CHAIN_HOOK]))
            hook = _Hook(
                held[_NFTA_CHAIN_TYPE].rstrip(b"\0").decode(),
                int.from_bytes(place[_NFTA_HOOK_HOOKNUM], "big"),
                int.from_bytes(place[_NFTA_HOOK_PRIORITY], "big", signed=True),
                int.from_bytes(held[_NFTA_CHAIN_POLICY], "big"),
            )
        yield held[_NFTA_CHAIN_NAME].rstrip(b"\0").decode(), hook
