"""What our nftables tables are made of, and the text that makes it: sets, rules, parts."""

from __future__ import annotations

from dataclasses import dataclass

TABLE = "pynet"


@dataclass(frozen=True)
class NftSet:
    """A set, or a map where `data` names the fields of its values. Types are nft's words."""

    name: str
    family: str
    key: tuple[str, ...]
    about: str
    data: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """`create set FAMILY pynet NAME { type KEY; comment ABOUT; }`"""
        noun, type_ = "set", " . ".join(self.key)
        if self.data:
            noun, type_ = "map", f"{type_} : {' . '.join(self.data)}"
        flags = f" flags {','.join(self.flags)};" if self.flags else ""
        return (
            f"create {noun} {self.family} {TABLE} {self.name}"
            f' {{ type {type_};{flags} comment "{self.about}"; }}\n'
        )


@dataclass(frozen=True)
class Rule:
    """A rule; within its chain its comment is what it is known by."""

    chain: str
    match: str
    comment: str

    def text(self, family: str, verb: str = "add") -> str:
        """`nft add rule FAMILY pynet CHAIN MATCH comment COMMENT`; `insert` puts it first."""
        return f'{verb} rule {family} {TABLE} {self.chain} {self.match} comment "{self.comment}"\n'


@dataclass(frozen=True)
class TableLayout:
    """A table: its chains (name -> hook, "" for one that is jumped to) and rules in order."""

    family: str
    chains: dict[str, str]
    rules: tuple[Rule, ...]
    needs: str  # what the kernel must have, in the words of its configuration


@dataclass(frozen=True)
class Part:
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
            noun = "map" if described.data else "set"
            lines.append(f"delete {noun} {self.family} {TABLE} {described.name}\n")
        return "".join(lines)
