"""Our nftables tables in one host namespace: made once, then elements put in and taken out.

Rules that hold here:
- Tables, chains, rules and the parts that come later are made through libnftables, each
  only where it is missing, and left standing: others rely on them, and they cost nothing.
- Elements go straight to the kernel, those of one call in one transaction, as far as they fit.
- Adding what is there, and deleting what is gone, is no error.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

from ...model.blake2 import blake2b
from ...model.errors import AddressInUse, InOurPlace, KernelError, TableMissing
from ...model.owner import Owner, TableFound
from ...model.plan import Drift
from ...model.resources import Element
from ..foreign.chains import ForeignChains
from ..netlink.flows import Flows
from ..netlink.nf_tables import TABLE, Change
from ..netlink.nft_socket import NftSocket, refused
from ..netlink.packed import sends
from . import contents, encoder, look, owner
from .encoder import Entry
from .layout import TABLES, ZONES, Part, set_named, table_part
from .making import Maker, newer
from .resources import ElementResource, NftResource, PartResource, entry_of, part_of

if TYPE_CHECKING:
    from .events import Changes

Answer = TypeVar("Answer")

_FIRST_ZONE = 0x8000
"""And half of all there are: others that use zones count from one."""


class Table:
    """`table inet pynet` and `table bridge pynet` of the host namespace `namespace`.

    `namespace` is a descriptor, which is duplicated. Threads may share a Table. It keeps
    the namespace alive until `close`, so it is for host namespaces only.
    """

    def __init__(self, namespace: int) -> None:
        self.namespace = os.dup(namespace)
        # Parts seen here. Should somebody flush them, their elements are refused too.
        self._made: set[PartResource] = set()
        self.changes: Changes | None = None
        """Where it is listened to what others change: as long as they don't, answers hold."""
        self._held: tuple[int | None, dict[str, object]] = None, {}
        self._sound: dict[str, int] = {}  # others' changes, as counted when a table was sound
        try:
            self._socket = NftSocket(self.namespace)
        except BaseException:
            os.close(self.namespace)
            raise
        self._maker = Maker(self.namespace, self._socket)
        self.port = self._socket.port
        self.flows = Flows(self._socket, self.namespace)
        self.foreign = ForeignChains(self.namespace, self._socket)

    def close(self) -> None:
        self.foreign.close()
        self._socket.close()
        os.close(self.namespace)

    # --- the tables -----------------------------------------------------------

    def make(self, families: Iterable[str]) -> None:
        """`nft -f -` with the tables of `families` ("inet", "bridge") that are missing."""
        self._maker.make([table_part(family) for family in families])

    def version(self, family: str) -> int | None:
        """The layout version of the table; 0 where it tells none, None where there is no table."""
        return look.version(self._socket, family)

    def names(self) -> list[str]:
        """Those of our making that are there."""
        return [f"{family} {TABLE}" for family in TABLES if self.version(family)]

    def remove(self) -> None:
        """`nft delete table FAMILY pynet` for each of these. Raises `KernelError`."""
        for name in self.names():
            self._maker.remove(name)

    def is_damaged(self, family: str) -> bool:
        """Whether the table is gone or asleep, or what is in it is not as it was made."""
        return self._maker.is_damaged(family)

    def found(self) -> list[TableFound]:
        """What those of our tables that are there tell of themselves. Raises `NewerLayout`."""
        return self._holding("found", self._ask_found)

    def _ask_found(self) -> list[TableFound]:
        found: list[TableFound] = []
        whose = None
        for family, layout in TABLES.items():
            seen = look.table(self._socket, family)
            if seen is None or not seen.version:
                continue
            if seen.version > layout.version:
                raise newer(family, seen.version)
            # The second need not be asked for one: both are claimed together.
            whose = whose or owner.owner(self._socket, family)
            found.append(TableFound(family, seen.version < layout.version, whose, seen.asleep))
        return found

    def ensure(
        self,
        parts: Iterable[PartResource],
        elements: Iterable[ElementResource],
        claimed: Owner | None = None,
    ) -> bool:
        """Make what is missing of the tables that these need, rules too, and put them all in.

        Then the tables are `claimed`'s. True where what others have put in meanwhile may be lost.
        For thousands of elements: a transaction holds some of them, not all. Raises `KernelError`,
        `AddressInUse`, and `TableMissing` where others change the tables meanwhile.
        """
        entries = [entry_of(element) for element in elements]
        self._held = None, {}
        listed = list({part.marker: part for part in map(part_of, parts)}.values())
        replaced = self._maker.ensure(listed, entries)
        for together in sends(entries):
            self._put(together)
        if claimed is not None:
            for family in TABLES:
                if self.version(family) and not owner.claim(self._socket, family, claimed):
                    raise TableMissing(f"somebody else is making table {family} {TABLE}")
        self._held = None, {}
        return replaced

    def _holding(self, what: str, ask: Callable[[], Answer]) -> Answer:
        """The answer to a question that every ADD has: the one it had, where that holds."""
        quiet = self.changes.quiet() if self.changes is not None else None
        if quiet is None:
            return ask()
        if self._held[0] != quiet:
            self._held = quiet, {}
        held = self._held[1]  # taken before it is asked: what changes meanwhile makes another
        if what not in held:
            held[what] = ask()
        return held[what]  # type: ignore[return-value]

    # --- resources ------------------------------------------------------------

    def exists(self, resource: NftResource) -> bool:
        """`nft get element ...`, or `nft list set ...` for a part; O(1)."""
        if isinstance(resource, PartResource):
            return not self._maker.missing([part_of(resource)])
        return self._value(entry_of(resource)) is not None

    def create(self, resources: Sequence[NftResource]) -> None:
        """`nft add element ...` for all; a part's sets and rules first.

        Those that go out together are one transaction: all of a usual ADD.
        Raises `TableMissing` where the table, or a set in it, is gone, `KernelError`.
        """
        wanted = [one for one in resources if isinstance(one, PartResource)]
        if not self._made.issuperset(wanted):
            parts = list(map(part_of, wanted))
            if self._maker.missing([table_part(part.family) for part in parts]):
                raise TableMissing(f"table {parts[0].family} {TABLE} is missing")
            self._maker.make(parts)
            self._made.update(wanted)
        for together in sends(one for one in resources if not isinstance(one, PartResource)):
            self._put([entry_of(one) for one in together])

    def verify(self, resources: Iterable[NftResource]) -> list[Drift]:
        """Where they, or the rules that give them their effect, are not as they were made.

        Raises `NewerLayout`: what such a table means is its own version's to say.
        """
        if older := self._older():
            return older
        drifts: list[Drift] = []
        families: dict[str, None] = {}
        for resource in resources:
            if isinstance(resource, PartResource):
                part = part_of(resource)
                found, family = self._missing_part(part), part.family
            else:
                entry = entry_of(resource)
                found, family = self._element_drift(entry), entry.set.family
            drifts += found
            if not found:
                families[family] = None
        for family in families:
            drifts += self._drift(family)
        return drifts

    def _older(self) -> list[Drift]:
        """Tables of another layout, in which no element of ours can be looked for."""
        return [
            Drift(f"table {one.family} {TABLE}", "layout", str(TABLES[one.family].version), "older")
            for one in self.found()
            if one.is_older
        ]

    def delete(self, resources: Sequence[NftResource]) -> None:
        """`nft delete element ...` for all elements; parts stay. What is gone is no error.

        Of a map only what leads where it should: a key may be another container's by now. One that
        comes alone is looked for first. That costs little, and a change that the kernel refuses
        costs it 20 ms, in which it waits for all processors to have seen that nothing has changed.

        Raises `KernelError`, and `InOurPlace` where somebody else's set has the name of one of
        ours, once all else is gone.
        """
        entries = [entry_of(one) for one in resources if not isinstance(one, PartResource)]
        try:
            self._delete(entries)
        except KernelError:
            sets = list(dict.fromkeys(entry.set for entry in entries))
            others = [one for one in sets if self._maker.is_others(one)]
            if not others:
                raise
            self._delete([entry for entry in entries if entry.set not in others])
            raise self._maker.in_the_place_of(others[0]) from None

    def _delete(self, entries: Sequence[Entry]) -> None:
        alone = len(entries) == 1
        mine = [each for each in entries if self._may_be_deleted(each, alone)]
        once = {(entry.set.name, entry.key): entry for entry in mine}
        for together in sends(once.values()):
            self._remove(together)

    # --- zones ----------------------------------------------------------------

    def zone_of(self, interface: str) -> int:
        """`nft get element inet pynet zones { INTERFACE }`; 0 for none, and without a table."""

        def ask() -> int:
            found = self._value(encoder.entry(ZONES, (interface,), "0"))
            return int(contents.unpack_fields(ZONES.data, found)[0]) if found else 0

        return self._holding(f"zone of {interface}", ask)

    def free_zone(self, interface: str) -> int:
        """One that no other interface has; two who ask for the same interface get the same."""
        taken = contents.values(self._socket, ZONES)
        first = int.from_bytes(blake2b(interface.encode(), digest_size=2).digest(), "big")
        numbers = (_FIRST_ZONE | (first + step) % _FIRST_ZONE for step in range(_FIRST_ZONE))
        return next(number for number in numbers if str(number) not in taken)

    # --- elements -------------------------------------------------------------

    def contents(self) -> list[Element]:
        """Every element that stands in our tables, whoever put it there. O(all of them)."""
        return [contents.element_of(entry) for entry in self._entries()]

    def surplus(
        self,
        recorded: Iterable[ElementResource],
        among: Iterable[ElementResource] | None = None,
    ) -> list[Element]:
        """What stands in our tables, or `among` them, and is none of `recorded`, key and value."""
        found = self._entries() if among is None else map(entry_of, among)
        return contents.surplus(found, map(entry_of, recorded))

    def _entries(self) -> Iterator[Entry]:
        """Not of a table of another layout: what that means is its own version's to say."""
        for family in TABLES:
            if self.version(family) == TABLES[family].version:
                yield from contents.entries(self._socket, family)

    def _missing_part(self, part: Part) -> list[Drift]:
        missing = self._maker.missing([part])
        return [look.set_missing(set_named(part.marker))] if missing else []

    def _element_drift(self, entry: Entry) -> list[Drift]:
        try:
            found = self._value(entry)
        except InOurPlace:
            found = None  # who mends it says who is there
        if found is None:
            return [Drift(f"element {entry.text}", "state", "present", "missing")]
        if found != entry.data:
            return [Drift(f"element {entry.text}", "value", entry.data.hex(), found.hex())]
        return []

    def _drift(self, family: str) -> list[Drift]:
        """What else is wrong with the table; looked for again once others have changed a thing."""
        known = self._socket.foreign_generation()
        if self._sound.get(family) == known:
            return []
        drifts = self._maker.drift(family)
        if not drifts:
            self._sound[family] = known
        return drifts

    def _value(self, entry: Entry) -> bytes | None:
        """The packed value of an element, b"" in a set; None where it is not there."""
        try:
            answer = self._socket.ask(encoder.lookup(entry))
        except KernelError as error:
            raise self._named(error, entry) from None
        return None if answer is None else encoder.data_in(answer)

    def _named(self, refusal: KernelError, entry: Entry) -> KernelError:
        """Who is in the way where the kernel refuses something of an element."""
        others = self._maker.is_others(entry.set)
        return self._maker.in_the_place_of(entry.set) if others else refusal

    def _put(self, entries: Sequence[Entry]) -> None:
        errors = self._change([encoder.put(entry) for entry in entries])
        self._have_changed(entries)
        for index, number in errors.items():
            if number == errno.ENOENT:
                self._made.clear()
                described = entries[index].set
                raise TableMissing(f"set {described.family} {TABLE} {described.name} is missing")
            if number == errno.EEXIST:
                raise AddressInUse(
                    f"nft add element {entries[index].text}: this key leads elsewhere already, and"
                    " no record tells for whom (was the store lost?); detach that container, or"
                    " remove the element with `nft delete element`"
                )
            refusal = refused(f"add element {entries[index].text}", number)
            raise self._named(refusal, entries[index])

    def _may_be_deleted(self, entry: Entry, alone: bool) -> bool:
        if entry.data:
            return self._value(entry) == entry.data
        return not alone or self._value(entry) is not None

    def _remove(self, entries: Sequence[Entry]) -> None:
        """A transaction fails as a whole for what is gone: once more without that."""
        while entries:
            errors = self._change([encoder.remove(entry) for entry in entries])
            self._have_changed(entries)
            for index, number in errors.items():
                if number != errno.ENOENT:
                    raise refused(f"delete element {entries[index].text}", number)
            entries = (
                [entry for i, entry in enumerate(entries) if i not in errors] if errors else ()
            )

    def _have_changed(self, entries: Iterable[Entry]) -> None:
        """What we do ourselves is not told to us."""
        if ZONES in [entry.set for entry in entries]:
            self._held = None, {}

    def _change(self, changes: Sequence[Change]) -> dict[int, int]:
        """The errors by index; raises `KernelError` for what concerns the whole transaction."""
        errors = self._socket.transaction(changes)
        if -1 in errors:
            raise refused(f"transaction of {len(changes)} element changes", errors[-1])
        return errors
