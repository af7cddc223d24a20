"""Kinds that stand in other people's chains and zones, so that forwarded traffic gets through."""

from __future__ import annotations

from typing import Any

from ..model.errors import KernelError
from ..model.forwarding import OUR_CHAIN, ForwardAccept, ForwardJump, ZoneInterface
from ..model.plan import Drift
from . import firewalld
from .handler import Handler, missing
from .iptables import Iptables
from .places import Places

_OTHERS_BRIDGES = ("docker+", "br-+")
"""As Docker names them: what may begin a connection into those is for its chains to say."""


class ForwardJumpHandler(Handler[ForwardJump]):
    def exists(self, at: Places, resource: ForwardJump) -> bool:
        return _tables(at, resource).rules(resource.into, _jump_comment(resource)) > 0

    def create(self, at: Places, resource: ForwardJump) -> None:
        if self.exists(at, resource):
            return
        fresh = [f"-N {resource.chain}"]
        if not resource.admin:
            fresh += [f"-A {resource.chain} -o {name} -j RETURN" for name in _OTHERS_BRIDGES]
        _tables(at, resource).add([f"-I {_jump(resource)}"], fresh)

    def verify(self, at: Places, resource: ForwardJump) -> list[Drift]:
        if self.exists(at, resource):
            return []
        return [missing(f"{resource.program} chain {resource.into}", f"jump to {resource.chain}")]

    def delete(self, at: Places, resource: ForwardJump, previous: str | None) -> None:
        tables = _tables(at, resource)
        tables.remove([_jump(resource)], resource.into, _jump_comment(resource))
        if not resource.admin:
            # Refused where another place still leads there: then it is needed.
            tables.change([f"-F {resource.chain}", f"-X {resource.chain}"])


class ForwardAcceptHandler(Handler[ForwardAccept]):
    def exists(self, at: Places, resource: ForwardAccept) -> bool:
        found = _tables(at, resource).rules(OUR_CHAIN, _accept_comment(resource))
        return found >= len(_accepts(resource))

    def create(self, at: Places, resource: ForwardAccept) -> None:
        if self.exists(at, resource):
            return
        tables = _tables(at, resource)
        self.delete(at, resource, None)  # where somebody has removed but some of them
        answers, within, out = _accepts(resource)
        tables.add([f"-I {answers}", f"-I {within}", f"-A {out}"])

    def verify(self, at: Places, resource: ForwardAccept) -> list[Drift]:
        if self.exists(at, resource):
            return []
        subject = f"{resource.program} chain {OUR_CHAIN}"
        return [missing(subject, f"accept for {resource.interface}")]

    def delete(self, at: Places, resource: ForwardAccept, previous: str | None) -> None:
        _tables(at, resource).remove(_accepts(resource), OUR_CHAIN, _accept_comment(resource))


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
            if self._is_there(at, resource):
                raise

    def _is_there(self, at: Places, resource: ZoneInterface) -> bool:
        """Not where firewalld has been stopped: its zones went with it."""
        try:
            found = firewalld.zone_of(at.namespace("host"), resource.interface)
        except KernelError:
            return False
        return found == resource.zone


def _tables(at: Places, resource: ForwardJump | ForwardAccept) -> Iptables:
    return at.table().foreign.tables_of(resource.program)


def _jump(resource: ForwardJump) -> str:
    comment = _jump_comment(resource)
    return f'{resource.into} -m comment --comment "{comment}" -j {resource.chain}'


def _jump_comment(resource: ForwardJump) -> str:
    return f"pynet: {resource.chain}"


def _accepts(resource: ForwardAccept) -> tuple[str, str, str]:
    """Answers and published ports; what a bridge passes on by itself; what goes out."""
    name, comment = resource.interface, f'-m comment --comment "{_accept_comment(resource)}"'
    states = "-m conntrack --ctstate RELATED,ESTABLISHED,DNAT"
    return (
        f"{OUR_CHAIN} -o {name} {states} {comment} -j ACCEPT",
        f"{OUR_CHAIN} -i {name} -o {name} {comment} -j ACCEPT",
        f"{OUR_CHAIN} -i {name} {comment} -j ACCEPT",
    )


def _accept_comment(resource: ForwardAccept) -> str:
    return f"pynet: {resource.interface}"


HANDLERS: dict[str, Handler[Any]] = {
    ForwardJump.kind: ForwardJumpHandler(),
    ForwardAccept.kind: ForwardAcceptHandler(),
    ZoneInterface.kind: ZoneInterfaceHandler(),
}
