"""What our nftables tables are made of, and the text that makes it: sets, rules, parts."""

from __future__ import annotations

from ...model.value import Value
from ..netlink.nf_tables import TABLE

ZONE = "ct_zone"
"""The type of a conntrack zone: nft has no word for it, and calls it by what it is read from."""

_READ_FROM = {
    ZONE: "ct original zone",
    "ipv4_addr": "ip saddr",
    "ipv6_addr": "ip6 saddr",
    "ifname": "iifname",
}


class NftSet(Value):
    """A set, or a map where `data` names the fields of its values. Types are nft's words.

    Where a key opens with a zone, an item that leaves it out is of zone 0.
    """

    name: str
    family: str
    key: tuple[str, ...]
    about: str
    data: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """`create set FAMILY pynet NAME { type KEY; comment ABOUT; }`"""
        word, key, data = "type", self.key, self.data
        if ZONE in (*key, *data):
            word = "typeof"
            key, data = (tuple(_READ_FROM[field] for field in fields) for fields in (key, data))
        type_ = " . ".join(key)
        if data:
            type_ += f" : {' . '.join(data)}"
        flags = f" flags {','.join(self.flags)};" if self.flags else ""
        return (
            f"create {self.noun} {self.family} {TABLE} {self.name}"
            f' {{ {word} {type_};{flags} comment "{self.about}"; }}\n'
        )

    @property
    def noun(self) -> str:
        return "map" if self.data else "set"

    @property
    def is_zoned(self) -> bool:
        return self.key[0] == ZONE


class Rule(Value):
    """A rule; within its chain its comment is what it is known by."""

    chain: str
    match: str
    comment: str

    def text(self, family: str, verb: str = "add") -> str:
        """`nft add rule FAMILY pynet CHAIN MATCH comment COMMENT`; `insert` puts it first."""
        return f'{verb} rule {family} {TABLE} {self.chain} {self.match} comment "{self.comment}"\n'


class TableLayout(Value):
    """A table: its chains (name -> hook, "" for one that is jumped to) and rules in order.

    Whatever changes in it, sets or the meaning of a name, raises `version`: then who finds an
    older one replaces it, and who finds a newer one leaves it alone.
    """

    family: str
    version: int
    chains: dict[str, str]
    rules: tuple[Rule, ...]
    needs: str  # what the kernel must have, in the words of its configuration


class Part(Value):
    """What is made in one piece: `marker` is the set whose presence shows that it was.

    `sets` and `chains` are its own, `rules` are in those chains and in the table's; `verb` puts
    them at their chain's end, or first.
    """

    family: str
    marker: str
    text: str
    needs: str
    rules: tuple[Rule, ...] = ()
    sets: tuple[NftSet, ...] = ()
    chains: tuple[str, ...] = ()
    verb: str = "add"

    def rules_text(self) -> str:
        return "".join(rule.text(self.family, self.verb) for rule in self.rules)

    def deletion(self) -> str:
        """`nft delete` of what is its own, once no rule of the table's leads there."""
        lines = [f"delete chain {self.family} {TABLE} {chain}\n" for chain in self.chains]
        for described in self.sets:
            lines.append(f"delete {described.noun} {self.family} {TABLE} {described.name}\n")
        return "".join(lines)
