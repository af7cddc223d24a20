"""What others do to forwarded traffic, and the places they have for those who need a way through.

An accept in a table of ours can't undo a drop in another's base chain, so it goes where the
owner of that chain looks for it.
"""

from __future__ import annotations

from .query import Query
from .resource import Resource, Undo
from .value import Value

OUR_CHAIN = "PYNET-FORWARD"


class Blocker(Value):
    """A base chain at the forward hook that drops what it was not told to accept.

    `program` is what changes it: one of the iptables programs, "firewalld", or "" for a
    table that only its owner can change. `chain` is where the program's table wants what
    users add, and every packet comes by. `family` is 4, 6, or 0 for both. `where` is the base
    chain, in nft's words. `lacking` is what would have to be installed to change it: then there is
    no `program`.
    """

    where: str
    family: int
    program: str = ""
    chain: str = ""
    lacking: str = ""


class ForwardBlockers(Query["tuple[Blocker, ...]"]):
    """`nft list chains`, and `iptables-legacy -S` where the kernel has such tables."""


class ForwardJump(Resource, kw_only=True):
    """`PROGRAM -N CHAIN; PROGRAM -I INTO -j CHAIN`, and CHAIN again when the jump goes.

    An `admin` chain is somebody else's: it stays, and is left as it is.
    """

    kind = "forward-jump"
    undo = Undo.LAST_USER
    foreign = True
    identity = ("program", "into", "chain")
    program: str
    into: str
    chain: str = OUR_CHAIN
    admin: bool = False

    @property
    def lock(self) -> str:
        return _lock(self.program)

    def describe(self) -> str:
        return f"{self.program} -I {self.into} -j {self.chain}"


class ForwardAccept(Resource, kw_only=True):
    """`PROGRAM -A PYNET-FORWARD -i INTERFACE -j ACCEPT`, and what comes back or was published.

    Into others' bridges nothing new is let: theirs are the rules for that.
    """

    kind = "forward-accept"
    undo = Undo.LAST_USER
    foreign = True
    identity = ("program", "interface")
    program: str
    interface: str

    @property
    def lock(self) -> str:
        return _lock(self.program)

    def describe(self) -> str:
        return f"{self.program} -A {OUR_CHAIN} -i {self.interface} -j ACCEPT"


def _lock(program: str) -> str:
    """Our chain is written as a whole, by one at a time."""
    return f"{OUR_CHAIN}\t{program}"


class ZoneInterface(Resource, kw_only=True):
    """`firewall-cmd --zone=ZONE --add-interface=INTERFACE`, at run time only.

    An interface that is in a zone already stays there: somebody has put it in.
    """

    kind = "firewalld-zone-interface"
    undo = Undo.LAST_USER
    foreign = True
    may_be_found = True
    identity = ("interface",)
    zone: str
    interface: str

    def describe(self) -> str:
        return f"firewall-cmd --zone={self.zone} --add-interface={self.interface}"
