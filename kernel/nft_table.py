"""Our nftables tables in one host namespace: made once, then elements put in and taken out.

Rules that hold here:
- Tables, chains, rules and the parts that come later are made through libnftables, each
  only where it is missing, and left standing: others rely on them, and they cost nothing.
- Elements go straight to the kernel, all of one call in one transaction.
- Adding what is there, and deleting what is gone, is no error.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from types import MappingProxyType

from ..model.errors import AddressInUse, KernelError, TableMissing
from ..model.plan import Drift
from . import nft_elements, nft_library, nft_look
from .flows import Flows
from .foreign_chains import ForeignChains
from .nft_elements import Change, Entry
from .nft_layout import (
    TABLE,
    VERSION,
    Part,
    condition_of,
    condition_part,
    prefix_of,
    prefix_part,
    rules_text,
    set_named,
    table_part,
)
from .nft_resources import ElementResource, NftResource, PartResource, entry_of, part_of
from .nft_socket import NftSocket, refused

_CHUNK = 128
"""Elements in one transaction where atomicity does not matter: were all of them refused,
the errors still fit in a socket's smallest receive buffer."""


class Table:
    """`table inet pynet` and `table bridge pynet` of the host namespace `namespace`.

    `namespace` is a descriptor, which is duplicated. Threads may share a Table. It keeps
    the namespace alive until `close`, so it is for host namespaces only.
    """

    def __init__(self, namespace: int) -> None:
        self.namespace = os.dup(namespace)
        # Parts seen here. Should somebody flush them, their elements are refused too.
        self._made: set[PartResource] = set()
        try:
            self._socket = NftSocket(self.namespace)
        except BaseException:
            os.close(self.namespace)
            raise
        self.port = self._socket.port
        self.flows = Flows(self._socket)
        self.foreign = ForeignChains(self.namespace, self._socket)

    def close(self) -> None:
        self._socket.close()
        os.close(self.namespace)

    # --- the tables -----------------------------------------------------------

    def make(self, families: Iterable[str]) -> None:
        """`nft -f -` with the tables of `families` ("inet", "bridge") that are missing."""
        self._make([table_part(family) for family in families])

    def version(self, family: str) -> int | None:
        """The layout version of the table; 0 where it tells none, None where there is no table."""
        return nft_look.version(self._socket, family)

    def is_damaged(self, family: str) -> bool:
        """Whether the table is gone, or rules in it are not as they were made.

        A table of another layout version is that version's to mend.
        """
        found = self.version(family)
        if found != VERSION:
            return found is None
        names = nft_look.set_names(self._socket, family)
        prefixes = [prefix_part(*prefix) for name in names if (prefix := prefix_of(name))]
        rules = [rule for part in prefixes for rule in part.rules]
        return bool(nft_look.rule_drift(self._socket, family, rules))

    def ensure(
        self,
        parts: Iterable[PartResource],
        elements: Iterable[ElementResource],
    ) -> None:
        """Make what is missing of the tables that these need, rules too, and put them all in.

        For thousands of elements: a transaction holds some of them, not all.
        """
        entries = [entry_of(element) for element in elements]
        listed = list({part.marker: part for part in map(part_of, parts)}.values())
        families = {part.family for part in listed} | {entry.set.family for entry in entries}
        self._make([*(table_part(family) for family in sorted(families)), *listed])
        for family in families:
            self._mend(family, listed)
        try:
            for chunk in _chunks(entries):
                self._put(chunk)
        except TableMissing as missing:
            raise self._unusable(str(missing)) from None

    def _make(self, parts: Sequence[Part]) -> None:
        """Make the `parts` that are missing in one transaction.

        Whoever makes a part at the same time makes ours fail as a whole (`create`); then
        less is missing than before, and that is tried.
        """
        missing = self._missing(parts)
        while missing:
            said = nft_library.run(self.namespace, "".join(part.text for part in missing))
            left = self._missing(missing)
            if said and left == missing:
                needs = ", ".join(sorted({part.needs for part in missing}))
                raise KernelError(
                    f"nftables tables can't be made: {said.splitlines()[0]};"
                    f" they need a kernel with {needs}, and no other table named {TABLE}",
                    details=said,
                )
            missing = left

    def _mend(self, family: str, known: Iterable[Part]) -> None:
        """Rules that somebody deleted or doubled (`nft flush table`) are all made anew.

        A condition that is not `known` is in nobody's use, and goes. A table of another layout
        version is left as it is.
        """
        in_use = {part.marker: part for part in known}
        parts, drifts = self._rules(family, in_use)
        if not drifts or self.version(family) != VERSION:
            return
        stale = [part for part in parts if part.chains and part.marker not in in_use]
        kept = [part for part in parts if part not in stale]
        if said := nft_library.run(self.namespace, rules_text(family, kept, stale)):
            raise KernelError(f"nftables: {drifts[0]}; mending failed: {said}", details=said)

    def _rules(
        self, family: str, known: Mapping[str, Part] = MappingProxyType({})
    ) -> tuple[list[Part], list[Drift]]:
        """The parts that were made later, and which rules are not as they were made.

        Of a condition that is not `known` by its marker only its place is.
        """
        parts = []
        for name in nft_look.set_names(self._socket, family):
            if (prefix := prefix_of(name)) is not None:
                parts.append(prefix_part(*prefix))
            elif (condition := condition_of(name)) is not None:
                unknown = condition_part(*condition, "")
                if unknown.marker == name:
                    parts.append(known.get(name, unknown))
        rules = [rule for part in parts for rule in part.rules]
        return parts, nft_look.rule_drift(self._socket, family, rules)

    def _missing(self, parts: Sequence[Part]) -> list[Part]:
        return [p for p in parts if not nft_look.has_set(self._socket, p.family, p.marker)]

    def _unusable(self, text: str) -> KernelError:
        found = {family: self.version(family) for family in ("inet", "bridge")}
        return KernelError(
            f"{text}, though the table is there: tables named {TABLE} have layout version"
            f" {found}, this is version {VERSION}; remove them with"
            f" `nft delete table inet {TABLE}; nft delete table bridge {TABLE}` and reload",
            errno=errno.ENOENT,
        )

    # --- resources ------------------------------------------------------------

    def exists(self, resource: NftResource) -> bool:
        """`nft get element ...`, or `nft list set ...` for a part; O(1)."""
        if isinstance(resource, PartResource):
            return not self._missing([part_of(resource)])
        return self._value(entry_of(resource)) is not None

    def create(self, resources: Sequence[NftResource]) -> None:
        """`nft add element ...` for all, in one transaction; a part's sets and rules first.

        Raises `TableMissing` where the table, or a set in it, is gone, `KernelError`.
        """
        wanted = [one for one in resources if isinstance(one, PartResource)]
        if not self._made.issuperset(wanted):
            parts = list(map(part_of, wanted))
            if self._missing([table_part(part.family) for part in parts]):
                raise TableMissing(f"table {parts[0].family} {TABLE} is missing")
            self._make(parts)
            self._made.update(wanted)
        self._put([entry_of(one) for one in resources if not isinstance(one, PartResource)])

    def verify(self, resource: NftResource) -> list[Drift]:
        """Where it, or a rule that gives it its effect, is not as it was made."""
        if isinstance(resource, PartResource):
            part = part_of(resource)
            if self._missing([part]):
                return [nft_look.set_missing(set_named(part.marker))]
            return nft_look.rule_drift(self._socket, part.family, part.rules)
        return self._verify_element(entry_of(resource))

    def delete(self, resources: Sequence[NftResource]) -> None:
        """`nft delete element ...` for all elements; parts stay. What is gone is no error.

        Of a map only what leads where it should: a key may be another container's by now.
        """
        entries = [entry_of(one) for one in resources if not isinstance(one, PartResource)]
        mine = [each for each in entries if not each.data or self._value(each) == each.data]
        once = {(entry.set.name, entry.key): entry for entry in mine}
        for chunk in _chunks(once.values()):
            self._remove(chunk)

    # --- elements -------------------------------------------------------------

    def _verify_element(self, entry: Entry) -> list[Drift]:
        found = self._value(entry)
        if found is None:
            return [Drift(f"element {entry.text}", "state", "present", "missing")]
        if found != entry.data:
            return [Drift(f"element {entry.text}", "value", entry.data.hex(), found.hex())]
        return nft_look.rule_drift(self._socket, entry.set.family)

    def _value(self, entry: Entry) -> bytes | None:
        """The packed value of an element, b"" in a set; None where it is not there."""
        answer = self._socket.ask(nft_elements.lookup(entry))
        return None if answer is None else nft_elements.data_in(answer)

    def _put(self, entries: Sequence[Entry]) -> None:
        errors = self._change([nft_elements.put(entry) for entry in entries])
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
            raise refused(f"add element {entries[index].text}", number)

    def _remove(self, entries: Sequence[Entry]) -> None:
        """A transaction fails as a whole for what is gone: once more without that."""
        while entries:
            errors = self._change([nft_elements.remove(entry) for entry in entries])
            for index, number in errors.items():
                if number != errno.ENOENT:
                    raise refused(f"delete element {entries[index].text}", number)
            entries = (
                [entry for i, entry in enumerate(entries) if i not in errors] if errors else ()
            )

    def _change(self, changes: Sequence[Change]) -> dict[int, int]:
        """The errors by index; raises `KernelError` for what concerns the whole transaction."""
        errors = self._socket.transaction(changes)
        if -1 in errors:
            raise refused(f"transaction of {len(changes)} element changes", errors[-1])
        return errors


def _chunks(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    remaining = iter(entries)
    while chunk := list(islice(remaining, _CHUNK)):
        yield chunk
