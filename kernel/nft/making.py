"""Making our tables: what is missing, what somebody has damaged, what an older version made.

Rules that hold here:
- Whatever is made, is made in one transaction: there is no moment in which a container that runs
  is without its rules, though all of a table may be replaced.
- A table of a newer layout, or that is not of our making, is left alone.
- Into a table made anew go the elements that records tell of, never what was listed: so an
  older layout is understood by nobody but its own version.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from types import MappingProxyType

from ...model.errors import InOurPlace, KernelError, NewerLayout, TableMissing
from ...model.plan import Drift
from ..netlink.nf_tables import TABLE
from ..netlink.nft_socket import NftSocket
from . import compiled, contents, library, look, owner
from .encoder import Entry
from .layout import (
    TABLES,
    NftSet,
    Part,
    condition_of,
    condition_part,
    prefix_of,
    prefix_part,
    rules_text,
    sets_of,
    table_part,
)

_PLAIN = re.compile(r"[A-Za-z0-9_.:@-]+")
"""What `nft` takes for a name as it is: no wildcard, no quotes."""


class Maker:
    """Of the tables in one namespace, a descriptor; asked and told over `socket`."""

    def __init__(self, namespace: int, socket: NftSocket) -> None:
        self._namespace = namespace
        self._socket = socket

    def missing(self, parts: Iterable[Part]) -> list[Part]:
        return [p for p in parts if not look.has_set(self._socket, p.family, p.marker)]

    def make(self, parts: Sequence[Part]) -> None:
        """Make the `parts` that are missing in one transaction.

        Whoever makes a part at the same time makes ours fail as a whole (`create`); then
        less is missing than before, and that is tried. Raises `TableMissing`, `KernelError`.
        """
        missing = self.missing(parts)
        while missing:
            before = self._socket.foreign_generation()
            said = library.run(self._namespace, "".join(part.text for part in missing))
            left = self.missing(missing)
            if said and left == missing:
                for family in sorted({part.family for part in missing} & self._standing()):
                    self._must_go(family)  # raises for one that is somebody else's
                made = {part.family for part in missing if table_part(part.family) in missing}
                self._refuse_disturbed(before, {part.family for part in missing} - made)
                needs = ", ".join(sorted({part.needs for part in missing}))
                raise KernelError(
                    f"nftables tables can't be made: {said.splitlines()[0]};"
                    f" they need a kernel with {needs}, and no other table named {TABLE}",
                    details=said,
                )
            missing = left

    def ensure(self, parts: Sequence[Part], entries: Sequence[Entry]) -> bool:
        """Make what is missing of the tables that these need, and their rules as they should be.

        True where a whole table was replaced, with all of `entries` in it: what somebody else has
        put in meanwhile went with the old one. Raises `KernelError`, `NewerLayout`, and
        `TableMissing` where somebody else changes what is being made.
        """
        families = {part.family for part in parts} | {entry.set.family for entry in entries}
        standing = self._standing()
        replaced = [
            family
            for family in sorted(families | standing)
            if self._must_go(family) and self._replace(family, parts, entries)
        ]
        if fresh := sorted(families - standing):
            # At once with all that is in them: whoever flushes again has all or nothing. What
            # can't be made so is made piece by piece.
            library.run(self._namespace, "".join(_whole(one, parts, entries) for one in fresh))
        self.make([*(table_part(family) for family in sorted(families)), *parts])
        for family in sorted(families | self._standing()):
            self._mend(family, parts)
        return bool(replaced)

    def remove(self, name: str) -> None:
        """`nft delete table NAME`"""
        if said := library.run(self._namespace, f"delete table {name}\n"):
            raise KernelError(f"nftables: table {name} can't be deleted: {said.splitlines()[0]}")

    def is_damaged(self, family: str) -> bool:
        """Whether the table is gone, or nobody's, or what is in it is not as it was made.

        A table of another layout version is that version's to mend.
        """
        found = look.table(self._socket, family)
        if found is None or found.version != TABLES[family].version:
            return found is None
        if not owner.owner(self._socket, family):
            return True
        return bool(self.drift(family)) or self._misshapen(family)

    def drift(self, family: str) -> list[Drift]:
        """Where the table, its chains and its rules are not as they were made; its sets aside."""
        parts = self._parts(family)
        chains = [chain for part in parts for chain in part.chains]
        return [
            *look.shape_drift(self._socket, family, chains),
            *self._rule_drift(family, parts),
        ]

    # --- a whole table ----------------------------------------------------------------

    def _standing(self) -> set[str]:
        return {family for family in TABLES if look.table(self._socket, family) is not None}

    def _must_go(self, family: str) -> bool:
        """Whether the table can only be replaced. Raises for one that is not ours to replace."""
        found = look.table(self._socket, family)
        newest = TABLES[family].version
        if found is None:
            return False
        if found.version > newest:
            raise newer(family, found.version)
        if not found.version:
            raise _strange(f"table {family} {TABLE}", "it tells no layout", family)
        return found.version < newest or self._misshapen(family)

    def is_others(self, described: NftSet) -> bool:
        """Whether the set of that name is somebody else's: it is of another type, or its table is
        none of ours.
        """
        table = look.table(self._socket, described.family)
        if table is None:
            return False
        size = look.set_sizes(self._socket, described.family).get(described.name)
        return size is not None and (not table.version or size != _sizes(described))

    def in_the_place_of(self, described: NftSet) -> InOurPlace:
        """Of one that `is_others`."""
        name = f"{described.noun} {described.family} {TABLE} {described.name}"
        return _strange(
            name, "it is of another type, or in a table of somebody else's", described.family
        )

    def _misshapen(self, family: str) -> bool:
        """Whether it sleeps, or sets or chains are missing, are of another type, or nobody's."""
        found = look.set_sizes(self._socket, family)
        if any(found.get(described.name) != _sizes(described) for described in sets_of(family)):
            return True
        chains = [chain for part in self._parts(family) for chain in part.chains]
        return bool(look.shape_drift(self._socket, family, chains))

    def _replace(self, family: str, parts: Sequence[Part], entries: Sequence[Entry]) -> bool:
        """Delete the table and make it again with all that is in it, in one transaction.

        Where that is too much for one, the elements come after.
        """
        before = self._socket.foreign_generation()
        head = f"delete table {family} {TABLE}\n"
        said = library.run(self._namespace, head + _whole(family, parts, entries))
        if said and entries:
            said = library.run(self._namespace, head + _whole(family, parts, ()))
        if said:
            self._refuse_disturbed(before, [family])
            raise KernelError(
                f"table {family} {TABLE} can't be brought to layout {TABLES[family].version}:"
                f" {said.splitlines()[0]}",
                details=said,
            )
        return True

    # --- rules ------------------------------------------------------------------------

    def _mend(self, family: str, known: Iterable[Part]) -> None:
        """Rules that somebody deleted or doubled (`nft flush table`) are all made anew.

        A condition that is not `known` is in nobody's use, and goes.
        """
        in_use = {part.marker: part for part in known}
        before = self._socket.foreign_generation()
        parts = self._parts(family, in_use)
        drifts = self._rule_drift(family, parts)
        if not drifts:
            return
        stale = [part for part in parts if part.chains and part.marker not in in_use]
        kept = [part for part in parts if part not in stale]
        if said := library.run(self._namespace, rules_text(family, kept, stale)):
            self._refuse_disturbed(before, [family])
            raise KernelError(f"nftables: {drifts[0]}; mending failed: {said}", details=said)

    def _rule_drift(self, family: str, parts: Sequence[Part]) -> list[Drift]:
        """Where the rules are not those we make, nor do what those do."""
        seen = look.rules(self._socket, family)
        drifts = look.rule_drift(family, seen, [rule for part in parts for rule in part.rules])
        if drifts or not seen:
            return drifts
        # What the rules of a condition are made of only who uses it knows.
        known = tuple(part for part in parts if not part.chains)
        wanted = compiled.expressions(family, known)
        return [
            Drift(look.called(family, *rule), "content", "as made", "changed by somebody")
            for rule, found in compiled.of(seen).items()
            if wanted.get(rule, found) != found
        ]

    def _refuse_disturbed(self, before: int, families: Iterable[str]) -> None:
        """Raises where what somebody else does is as good a reason for a refusal as any.

        That is a change since `before`, or that a table of these `families` is gone.
        """
        gone = any(look.table(self._socket, family) is None for family in families)
        if gone or self._socket.foreign_generation() != before:
            raise TableMissing(f"table {TABLE} was changed by somebody else while it was made")

    def _parts(self, family: str, known: Mapping[str, Part] = MappingProxyType({})) -> list[Part]:
        """Those that came later. Of a condition not `known` by its marker only its place is."""
        parts = []
        for name in look.set_names(self._socket, family):
            if (prefix := prefix_of(name)) is not None:
                parts.append(prefix_part(*prefix))
            elif (condition := condition_of(name)) is not None:
                unknown = condition_part(*condition, "")
                if unknown.marker == name:
                    parts.append(known.get(name, unknown))
        return parts


def _strange(what: str, why: str, family: str) -> InOurPlace:
    return InOurPlace(
        f"{what} is none that pynet made: {why}; if nobody needs it,"
        f" `nft delete table {family} {TABLE}`"
    )


def newer(family: str, found: int) -> NewerLayout:
    return NewerLayout(
        f"table {family} {TABLE} has layout {found}, made by a newer version of pynet; this one"
        f" knows layout {TABLES[family].version}: use the newer one",
    )


def _whole(family: str, parts: Iterable[Part], entries: Iterable[Entry]) -> str:
    """A table with those of `parts` and `entries` that stand in it."""
    mine = (part.text for part in parts if part.family == family)
    filling = _filling(entry for entry in entries if entry.set.family == family)
    return "".join((table_part(family).text, *mine, *filling))


def _sizes(described: NftSet) -> tuple[int, int]:
    return contents.size_of(described.key), contents.size_of(described.data)


def _filling(entries: Iterable[Entry]) -> Iterator[str]:
    """`nft add element`, a line for each set. What can't be written in its words is left out."""
    once = {(entry.set.name, entry.key): entry for entry in entries}
    listed = sorted(once.values(), key=lambda entry: entry.set.name)
    for described, group in groupby(listed, key=lambda entry: entry.set):
        written = [text for entry in group if (text := _written(entry))]
        if written:
            yield (
                f"add element {described.family} {TABLE} {described.name}"
                f" {{ {', '.join(written)} }}\n"
            )


def _written(entry: Entry) -> str:
    fields = []
    for types, raw in ((entry.set.key, entry.key), (entry.set.data, entry.data)):
        texts = contents.unpack_fields(types, raw)
        if not all(map(_PLAIN.fullmatch, texts)):
            return ""
        named = zip(types, texts, strict=True)
        fields.append(" . ".join(f'"{t}"' if type_ == "ifname" else t for type_, t in named))
    key, data = fields
    return f"{key} : {data}" if data else key
