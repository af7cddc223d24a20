"""What a plugin is: a name, a configuration model, and a pure function to a plan."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

from .plan import Plan
from .query import Seen
from .request import Request
from .resource import Resource

if TYPE_CHECKING:
    from .resources import AddressLease


class Plugin:
    """Subclass it, name it, and write `plan`; everything else has a default.

    No method does I/O or keeps state: one instance serves all requests, in threads.
    """

    name: ClassVar[str]
    about: ClassVar[str] = ""
    versions: ClassVar[tuple[str, ...]] = (
        "0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0",
    )  # fmt: skip
    config: ClassVar[type]
    """Read from the whole network configuration, keys matched without regard to case: a model of
    pydantic's, such as `pynet.cni.config.NetConf`, or a `pynet.cni.section.Section`.
    """
    creates_interface: ClassVar[bool] = False
    """It makes CNI_IFNAME: its DEL also undoes what else is recorded for the attachment."""
    arguments: ClassVar[frozenset[str] | None] = None
    """The keys of CNI_ARGS it knows, with those of its IPAM; None: it does not look at them."""
    enters_sandbox: ClassVar[bool] = True
    """ADD and CHECK need CNI_NETNS to be a network namespace: not for one that only leases."""
    needs_interface: ClassVar[bool] = False
    """As an IPAM, it asks others on the interface's link: its leases come after `Request.first`."""
    lets_through: ClassVar[bool] = False
    """Its plan has ways through other people's firewalls, which come and go after an ADD."""
    checks_result: ClassVar[bool] = True
    """CHECK needs prevResult (CNI spec 1.1.0, "CHECK"). Who `creates_interface` answers for all of
    it, and compares it with the kernel; who stands behind another only for what it has made.
    """

    knows_leftovers: ClassVar[bool] = False
    """`leftovers` finds all that others of its name have made, too: where one was replaced, a DEL
    without a record does not run it.
    """

    def plan(self, request: Request, seen: Seen) -> Plan:
        """What ADD makes. Raises `CniError`, or lets `Unanswered` pass."""
        raise NotImplementedError

    def status(self, request: Request, seen: Seen) -> None:
        """Raises the CniError that says why an ADD would not work now (code 50 or 51)."""

    def delegate(self, request: Request, seen: Seen) -> str:
        """The path of somebody else's plugin that must be told of CHECK, DEL, GC and STATUS too."""
        return ""

    def pools(self, request: Request) -> Iterable[AddressLease]:
        """What it leases addresses from, of ours: a GC frees what nobody has there any more."""
        return ()

    def leftovers(self, request: Request) -> Iterable[Resource]:
        """What a DEL without a record removes, by name and owner; told from the request alone."""
        return ()

    def __repr__(self) -> str:
        return f"<plugin {getattr(self, 'name', '?')}>"
