"""Rules of iptables' filter tables: read from nf_tables, or from what `iptables -S` says."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ..netlink import packed
from ..netlink.nf_tables import comment_in

_NFTA_RULE_EXPRESSIONS = 4
_NFTA_RULE_USERDATA = 7
_NFTA_EXPR_NAME = 1
_NFTA_EXPR_DATA = 2
_NFTA_META_KEY = 2
_NFT_META_IIFNAME = 6
_NFT_META_OIFNAME = 7
_NFTA_CMP_OP = 2
_NFTA_CMP_DATA = 3
_NFTA_IMMEDIATE_DATA = 2
_NFTA_MATCH_NAME = 1  # a target's name, too
_NFTA_MATCH_INFO = 3
_NFTA_DATA_VALUE = 1
_NFTA_DATA_VERDICT = 2
_NFTA_VERDICT_CODE = 1
_NFTA_VERDICT_CHAIN = 2
_VERDICTS = {0: "DROP", 1: "ACCEPT", 3: "QUEUE", -3: "", -4: "", -5: "RETURN"}
_GOTO = -4
_INTERFACES = (_NFT_META_IIFNAME, _NFT_META_OIFNAME)
_SILENT = ("counter", "log")
"""Expressions that let every packet by."""


class Rule(NamedTuple):
    """`-i COMES_IN -o GOES_OUT -m BESIDES -j VERDICT`; of a `chain` it leads to, `-j CHAIN`.

    Interfaces as iptables writes them, "cni0" or "docker+"; `besides` names what else is matched.
    `leaves` tells that it comes back to none of this chain (`-g`).
    """

    comes_in: str = ""
    goes_out: str = ""
    besides: str = ""
    verdict: str = ""
    chain: str = ""
    leaves: bool = False
    comment: str = ""

    @property
    def takes_all(self) -> bool:
        return not (self.comes_in or self.goes_out or self.besides)


# --- nf_tables -----------------------------------------------------------------------------------


def of_nf_tables(answer: bytes) -> Rule:
    """From the attributes that the kernel tells a rule with."""
    held = dict(packed.attributes(answer))
    rule = Rule(comment=comment_in(held.get(_NFTA_RULE_USERDATA, b"")))
    besides: list[str] = []
    loaded = 0  # the key of the meta expression before
    for _, expression in packed.attributes(held.get(_NFTA_RULE_EXPRESSIONS, b"")):
        parts = dict(packed.attributes(expression))
        name = _text(parts.get(_NFTA_EXPR_NAME, b""))
        data = dict(packed.attributes(parts.get(_NFTA_EXPR_DATA, b"")))
        interface = _interface(data) if name == "cmp" else ""
        if name == "meta" and _number(data.get(_NFTA_META_KEY, b"")) in _INTERFACES:
            loaded = _number(data[_NFTA_META_KEY])
            continue
        if interface and loaded:
            if loaded == _NFT_META_IIFNAME:
                rule = rule._replace(comes_in=interface)
            else:
                rule = rule._replace(goes_out=interface)
        elif name == "immediate":
            rule = _with_verdict(rule, data.get(_NFTA_IMMEDIATE_DATA, b""))
        elif name == "reject":
            rule = rule._replace(verdict="REJECT")
        elif name == "target":
            rule = rule._replace(verdict=_text(data.get(_NFTA_MATCH_NAME, b"")))
        elif name == "match" and _text(data.get(_NFTA_MATCH_NAME, b"")) == "comment":
            rule = rule._replace(comment=_text(data.get(_NFTA_MATCH_INFO, b"")))
        elif name == "match":
            besides.append(_text(data.get(_NFTA_MATCH_NAME, b"")))
        elif name not in _SILENT:
            besides.append(name)
        loaded = 0
    return rule._replace(besides=" ".join(besides))


def _interface(comparison: dict[int, bytes]) -> str:
    """ "" for a comparison with anything but a name: iptables ends what is all of it with a NUL."""
    value = dict(packed.attributes(comparison.get(_NFTA_CMP_DATA, b""))).get(_NFTA_DATA_VALUE, b"")
    if _number(comparison.get(_NFTA_CMP_OP, b"")) != 0 or not value:
        return ""
    name = _text(value)
    return name if value.endswith(b"\0") or len(value) > 15 else f"{name}+"


def _with_verdict(rule: Rule, data: bytes) -> Rule:
    verdict = dict(packed.attributes(dict(packed.attributes(data)).get(_NFTA_DATA_VERDICT, b"")))
    code = _number(verdict.get(_NFTA_VERDICT_CODE, b""))
    chain = _text(verdict.get(_NFTA_VERDICT_CHAIN, b""))
    return rule._replace(verdict=_VERDICTS.get(code, ""), chain=chain, leaves=code == _GOTO)


def _text(raw: bytes) -> str:
    return raw.partition(b"\0")[0].decode(errors="replace")


def _number(raw: bytes) -> int:
    """nf_tables' numbers are in network order; -1 for none."""
    return int(struct.unpack("!i", raw)[0]) if len(raw) == 4 else -1


# --- iptables -S ---------------------------------------------------------------------------------


class Listing:
    """What `iptables -S` printed."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._policies: dict[str, str] = {}
        self._chains: dict[str, list[str]] = {}
        for line in lines:
            word, _, rest = line.partition(" ")
            name, _, rest = rest.partition(" ")
            if word == "-P":
                self._policies[name] = rest
            elif word == "-N":
                self._chains.setdefault(name, [])
            elif word == "-A":
                self._chains.setdefault(name, []).append(rest)

    def policy(self, chain: str) -> str:
        """ "" for one that is not there."""
        return self._policies.get(chain, "")

    def rules(self, chain: str) -> tuple[Rule, ...]:
        return tuple(self._rule(text) for text in self._chains.get(chain, ()))

    def _rule(self, text: str) -> Rule:
        import shlex

        fields: dict[str, str] = {}
        besides = []
        for option, values in _options(shlex.split(text)):
            value = values[0] if values else ""
            if option in _FIELDS:
                fields[_FIELDS[option]] = value
            elif option == "-m" and value != "comment":
                besides.append(value)
            elif not option.startswith("--") and option != "-m":
                besides.append(option)
        verdict = fields.pop("verdict", "")
        chain = fields.pop("chain", "") or (verdict if verdict in self._chains else "")
        return Rule(
            **fields,
            besides=" ".join(besides),
            verdict="" if chain else verdict,
            chain=chain,
            leaves=bool(chain) and not verdict,
        )


_FIELDS = {
    "-i": "comes_in",
    "-o": "goes_out",
    "-j": "verdict",
    "-g": "chain",
    "--comment": "comment",
}


def _options(words: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Each option with its values; what is behind a `!` is called "!-i"."""
    option, values = "", list[str]()
    for word in words:
        is_text = option == "--comment" and not values
        if is_text or not (word == "!" or word.startswith("-")):
            values.append(word)
        elif option == "!":
            option += word
        else:
            if option:
                yield option, values
            option, values = word, []
    if option:
        yield option, values
