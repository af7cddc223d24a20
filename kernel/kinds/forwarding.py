"""Kinds that stand in other people's chains and zones, so that forwarded traffic gets through."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...model.errors import KernelError
from ...model.forwarding import OUR_CHAIN, ForwardAccept, ForwardJump, ZoneInterface
from ...model.plan import Drift
from ..foreign import firewalld
from ..foreign.iptables import Iptables
from ..places import Places
from .handler import Handler, missing

if TYPE_CHECKING:
    from ..foreign.way import FilterTable


_REMOVING = [f"-F {OUR_CHAIN}", f"-X {OUR_CHAIN}"]
"""Refused, and nothing of it done, where a jump leads there."""


class ForwardJumpHandler(Handler[ForwardJump]):
    def exists(self, at: Places, resource: ForwardJump) -> bool:
        return not self.verify(at, resource)

    def create(self, at: Places, resource: ForwardJump) -> None:
        from ..foreign import way

        table, program = _table(at, resource), _program(at, resource)
        lines = []
        if not resource.admin and not way.is_whole(table.rules(OUR_CHAIN)):
            lines += way.rewriting(way.interfaces(table.rules(OUR_CHAIN)))
        if not _is_passed(table, resource):
            if resource.admin:
                # Refused where it is there: it is somebody else's, and is left as it is.
                program.change([f"-N {resource.chain}"])
            lines += _putting_first(table, resource)
        if lines:
            program.write(lines)
            if not _is_passed(_table(at, resource), resource):
                raise KernelError(
                    f"{resource.program}: nothing that is forwarded comes by {resource.into}"
                    f" any more, so a jump to {resource.chain} there leads nobody through"
                )

    def verify(self, at: Places, resource: ForwardJump) -> list[Drift]:
        from ..foreign import way

        table = _table(at, resource)
        drifts = [] if _is_passed(table, resource) else [_not_passed(table, resource)]
        if not resource.admin and not way.is_whole(table.rules(OUR_CHAIN)):
            subject = f"{resource.program} chain {OUR_CHAIN}"
            drifts.append(Drift(subject, "rules", "as made", "changed by somebody"))
        return drifts

    def delete(self, at: Places, resource: ForwardJump, previous: str | None) -> None:
        table, program = _table(at, resource), _program(at, resource)
        if copies := _copies(table, resource):
            program.write(copies)
        if not resource.admin:
            # Refused where another place still leads there: then it is needed.
            program.change(_REMOVING)


class ForwardAcceptHandler(Handler[ForwardAccept]):
    def exists(self, at: Places, resource: ForwardAccept) -> bool:
        """Whether each of its rules stands once: whether the chain is whole is the jump's care."""
        from ..foreign import way

        rules = _table(at, resource).rules(OUR_CHAIN)
        mine = [rule for rule in rules if way.named_in(rule) == resource.interface]
        return sorted(mine) == sorted(way.accepts(resource.interface))

    def create(self, at: Places, resource: ForwardAccept) -> None:
        from ..foreign import way

        if not self.exists(at, resource):
            names = way.interfaces(_table(at, resource).rules(OUR_CHAIN))
            wanted = dict.fromkeys([*names, resource.interface])
            _program(at, resource).write(way.rewriting([*wanted]))

    def verify(self, at: Places, resource: ForwardAccept) -> list[Drift]:
        if self.exists(at, resource):
            return []
        subject = f"{resource.program} chain {OUR_CHAIN}"
        return [missing(subject, f"accept for {resource.interface}")]

    def delete(self, at: Places, resource: ForwardAccept, previous: str | None) -> None:
        from ..foreign import way

        table, program = _table(at, resource), _program(at, resource)
        names = way.interfaces(table.rules(OUR_CHAIN))
        if resource.interface not in names:
            return
        names.remove(resource.interface)
        # Who mends may have made the chain again after the jump to it had gone.
        is_needed = names or way.passed(table).jump(OUR_CHAIN) >= 0
        if is_needed or program.change(_REMOVING):
            program.write(way.rewriting(names))


class ZoneInterfaceHandler(Handler[ZoneInterface]):
    def exists(self, at: Places, resource: ZoneInterface) -> bool:
        """Whether it is in a zone, whichever."""
        return firewalld.zone_of(at.namespace("host"), resource.interface) != ""

    def create(self, at: Places, resource: ZoneInterface) -> None:
        if not self.exists(at, resource):
            firewalld.add(at.namespace("host"), resource.zone, resource.interface)

    def verify(self, at: Places, resource: ZoneInterface) -> list[Drift]:
        if self.exists(at, resource):
            return []
        return [missing(f"firewalld zone {resource.zone}", f"interface {resource.interface}")]

    def delete(self, at: Places, resource: ZoneInterface, previous: str | None) -> None:
        try:
            firewalld.remove(at.namespace("host"), resource.zone, resource.interface)
        except KernelError:
            if self._is_in_force(at, resource):
                raise

    def _is_in_force(self, at: Places, resource: ZoneInterface) -> bool:
        """Not where firewalld was stopped, nor where its rules were flushed: it misses them."""
        try:
            found = firewalld.zone_of(at.namespace("host"), resource.interface)
        except KernelError:
            return False
        programs = {blocker.program for blocker in at.table().foreign.blockers()}
        return found == resource.zone and "firewalld" in programs


def _table(at: Places, resource: ForwardJump | ForwardAccept) -> FilterTable:
    return at.table().foreign.filter_table(resource.program)


def _program(at: Places, resource: ForwardJump | ForwardAccept) -> Iptables:
    return at.table().foreign.program(resource.program)


def _is_passed(table: FilterTable, resource: ForwardJump) -> bool:
    """Whether every packet comes by the jump, and by an admin's before it comes by ours."""
    from ..foreign import way

    passed = way.passed(table)
    place = passed.jump(resource.chain, resource.into)
    ours = passed.jump(OUR_CHAIN)
    return place >= 0 and (not resource.admin or ours < 0 or place < ours)


def _not_passed(table: FilterTable, resource: ForwardJump) -> Drift:
    subject, jump = f"{resource.program} chain {resource.into}", f"jump to {resource.chain}"
    if not _copies(table, resource):
        return missing(subject, jump)
    return Drift(subject, jump, "passed by what is forwarded", "not passed")


def _copies(table: FilterTable, resource: ForwardJump) -> list[str]:
    """The lines that delete each of the jump's copies."""
    from ..foreign import way

    wanted = way.jump(resource.chain)
    line = f"-D {resource.into} {way.written(wanted)}"
    return [line for rule in table.rules(resource.into) if rule == wanted]


def _putting_first(table: FilterTable, resource: ForwardJump) -> list[str]:
    """The jump at the head of its chain, behind an admin's."""
    from ..foreign import way

    heads = [way.jump(resource.chain)]
    if not resource.admin:
        heads += [
            rule
            for rule in dict.fromkeys(table.rules(resource.into))
            if (named := way.named_in(rule)) and rule == way.jump(named) and named != OUR_CHAIN
        ]
    lines = [
        f"-D {resource.into} {way.written(head)}"
        for rule in table.rules(resource.into)
        for head in heads
        if rule == head
    ]
    return lines + [f"-I {resource.into} {way.written(head)}" for head in heads]


HANDLERS: dict[str, Handler[Any]] = {
    ForwardJump.kind: ForwardJumpHandler(),
    ForwardAccept.kind: ForwardAcceptHandler(),
    ZoneInterface.kind: ZoneInterfaceHandler(),
}
