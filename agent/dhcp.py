"""The service `dhcp`: leases of DHCP servers, asked for on containers' own interfaces.

Rules that hold here:
- Whoever asks for a lease waits in a thread of his own. What is kept is looked after by one
  thread (`dhcp_keeping`).
- A server knows an attachment by its identifier: asked anew it gives the same again, so nothing is
  lost with an agent that is killed before its answer is on record.
- A container's namespace is open while its server is spoken to, and no longer.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from time import monotonic, time
from typing import Any

from ..dhcp.client import Bound
from ..kernel import namespaces
from ..kernel.world import KernelWorld
from ..model.errors import CniError, NamespaceError, TryLater
from ..model.query import LinkNamed
from ..model.request import Attachment
from ..store.keeping import Kept
from . import dhcp_sides as sides
from .dhcp_keeping import Keeping, reached
from .dhcp_sides import Limits, Patience
from .dhcp_talk import Talk
from .service import Desk, Service, Wanted

_LOOK = 0.2
"""Seconds between looks at whether anybody still waits."""
_PATIENCE = 4.0
"""Seconds for a link-local address to come about, and a router to answer."""
_MARGIN = 1.0
"""Seconds that are left to whoever waits for a lease, once there is none."""


_Place = tuple[int, Attachment, str, str]


class Dhcp(Service):
    name = "dhcp"

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self._limits = Limits.given()
        self._lock = threading.Lock()
        self._given: dict[_Place, dict[str, Any]] = {}
        """Answers that are not seen on record yet, by record and key of the lease."""
        self._keeping = Keeping(desk, self._limits, self._take_given)

    def run(self) -> None:
        self._keeping.run()

    # --- ADD ----------------------------------------------------------------------------------

    def lease(self, wanted: Wanted) -> Any:
        with self._lock:
            given = self._given.get(_place(wanted.kept))
        if given is not None and _is_young(given):
            return given
        with _asked_for(wanted) as world:
            answer = self._ask(wanted, world)
        with self._lock:
            self._given[_place(wanted.kept)] = answer
        return answer

    def _ask(self, wanted: Wanted, world: KernelWorld) -> dict[str, Any]:
        interface = wanted.record.interface
        link = world.look(LinkNamed(interface, "sandbox"))
        if link is None:
            raise CniError(f"there is no interface {interface} in {wanted.record.netns}")
        side = sides.side_of(wanted.kept)
        patience = Patience(_PATIENCE, wanted.abandoned)
        try:
            with world.inside():
                known = side.learn(link, patience)
            client = side.client(wanted.kept, known, self._limits)
            with closing(Talk(side, client, world, interface, patience)) as talk:
                talk.act(client.start(monotonic()))
                lease = self._answered(wanted, talk)
        except OSError as error:
            raise TryLater(f"DHCP on {interface}: {error}") from error
        return sides.answer(side, lease, known, link.mtu)

    def _answered(self, wanted: Wanted, talk: Talk) -> Any:
        """The lease. Raises `TryLater` where there is none in time, or nobody waits any more."""
        end = min(wanted.deadline - _MARGIN, monotonic() + self._limits.asking)
        silent = monotonic() + self._limits.timeout
        while True:
            for event in talk.events():
                if isinstance(event, Bound):
                    return event.lease
            now = monotonic()
            if talk.heard or talk.is_over:  # it has answered; or it is not its turn
                talk.heard, silent = False, now + self._limits.timeout
            if wanted.abandoned():
                raise TryLater("the caller has hung up")
            if now >= min(end, silent):
                raise TryLater(_no_lease(wanted, talk))
            talk.wait(min(_LOOK, end - now, silent - now))

    # --- DEL ----------------------------------------------------------------------------------

    def release(self, wanted: Wanted) -> None:
        """Where the namespace, or the interface, is gone nothing can be said: it runs out."""
        answer = self._take_given(wanted.kept) or wanted.answer
        if answer is None or not answer["address"]:
            return
        with _released(wanted, self._limits) as world:
            if world is None:
                return
            side, interface = sides.side_of(wanted.kept), wanted.record.interface
            client = side.client(wanted.kept, answer["link"], self._limits)
            client.hold(sides.lease_in(answer), monotonic(), time())
            with suppress(OSError, CniError), world.inside():
                side.give_back(interface, client)

    def _take_given(self, kept: Kept) -> dict[str, Any] | None:
        """What it was answered here, the first time that this is asked."""
        with self._lock:
            return self._given.pop(_place(kept), None)


def _place(kept: Kept) -> _Place:
    """Numbers alone begin anew with a store that is made anew."""
    record = kept.record
    return record.id, record.attachment, record.sandbox, kept.resource.key


def _is_young(answer: dict[str, Any]) -> bool:
    lease = sides.lease_in(answer)
    return time() < lease.since + lease.renew_after


def _no_lease(wanted: Wanted, talk: Talk) -> str:
    where = f"on {wanted.record.interface} of container {wanted.record.container}"
    silence = "no server answers; see that one, or a relay, is on that network"
    return f"DHCP {where}: {talk.client.trouble or silence}"


@contextmanager
def _asked_for(wanted: Wanted) -> Iterator[KernelWorld]:
    """The world of the ADD that asks. Raises `NamespaceError`."""
    record = wanted.record
    if wanted.host is None or wanted.sandbox is None:
        raise NamespaceError(f"DHCP needs the network namespace {record.netns}, which is gone")
    with KernelWorld(wanted.host, wanted.sandbox, netns=record.netns, our_plugins=()) as world:
        if world.sandbox != record.sandbox:
            raise NamespaceError(f"{record.netns} is another network namespace by now")
        yield world


@contextmanager
def _released(wanted: Wanted, limits: Limits) -> Iterator[KernelWorld | None]:
    """The namespace that the record is of: as it was sent along, or where its path leads."""
    with ExitStack() as opened:
        yield _sent(wanted, opened) or opened.enter_context(reached(wanted.record, limits))


def _sent(wanted: Wanted, opened: ExitStack) -> KernelWorld | None:
    record, host = wanted.record, namespaces.own()
    opened.callback(os.close, host)
    try:
        world = opened.enter_context(
            KernelWorld(host, wanted.sandbox, netns=record.netns, our_plugins=())
        )
    except (CniError, OSError):
        return None
    return world if world.sandbox == record.sandbox else None
