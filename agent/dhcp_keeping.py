"""The leases that are kept: confirmed after a restart, renewed in time, by one thread for all.

Rules that hold here:
- Nothing is open, and no time is spent, until something is due.
- The namespace is that of the record's cookie, or nothing is done: another one at its path is not
  touched.
- What has become of a lease is on record before it is acted upon anew, and is not forgotten until
  it is; what is being undone is let alone.
- Whenever a lease is confirmed the interface is made what the record says: whoever was killed
  between the two, or has lost its address since, has it again.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from heapq import heappop, heappush
from math import inf
from time import monotonic, time
from typing import Any

from msgspec import Struct, field

from ..dhcp.client import FOREVER, Bound, Client, Lease, Lost
from ..engine.lapsing import end_of
from ..kernel import namespaces
from ..kernel.world import KernelWorld
from ..model.errors import CniError, StoreError, TryLater
from ..model.query import LinkNamed
from ..model.request import Attachment
from ..model.resources import InterfaceAddress, InterfaceRoute
from ..model.shown import short_id
from ..store.keeping import Kept
from ..store.records import ClaimLost, Record
from . import dhcp_sides as sides
from .dhcp_sides import Limits, Side
from .dhcp_talk import Talk, wait_for
from .service import Desk

_MOST_TALKS = 32
"""At once: each has descriptors, and its server only one wire."""
_LOOK = 0.05
"""Seconds between looks at what is kept, at least: it may change with each ADD, and until it is
looked at an address has no end ..."""
_SHARE = 20
"""... and so many times as long as a look takes: it costs no more than a twentieth of the time."""
_TALK = 0.5
"""Seconds for which nothing but talks is waited for."""
_AGAIN = 30.0
"""Seconds until what can't be reached is tried again, or ..."""
_LEFT = 1 / 8
"""... so much of what is left of its lease, where that is less ..."""
_SOON = 3.0
"""... and not less than this; it is also the pause of what could not be put on record."""
_INSTEAD_OF = "instead_of"
"""Of an answer that has replaced another, until it is confirmed: the address there was before."""


_Place = tuple[int, int, int, float, Attachment, str]


def _place(kept: Kept) -> _Place:
    """What tells it from all others; numbers alone begin anew with a store that is made anew."""
    record = kept.record
    return record.id, record.claim, kept.position, kept.since, record.attachment, record.sandbox


class _Charge(Struct, eq=False):
    """One lease that is kept. `fresh` is one that this process has given, a moment ago.

    Its `client` has not `begun` until it has been told of the lease.
    """

    kept: Kept
    answer: dict[str, Any]
    side: Side
    client: Client
    fresh: bool
    begun: bool = False
    talk: Talk | None = None
    due: float = 0.0
    open: ExitStack | None = None
    gone: bool = False
    bare: bool = False
    """Whether the interface is to have the address and its routes, or what it lacks of them."""
    settled: bool = False
    """Whether the interface has been made what `answer` says, since there is another."""
    untold: list[Bound | Lost] = field(default_factory=list)
    """What has become of it, and is not on record, or not on the interface, yet."""

    @property
    def end(self) -> float:
        """When what it has is over, in seconds since 1970; never where it has nothing."""
        return inf if self.answer["lost"] else end_of(self.answer["lease"]) or inf

    @property
    def record(self) -> Record:
        return self.kept.record


class Keeping:
    """`given` tells, once, what this process itself has answered for a lease."""

    def __init__(
        self, desk: Desk, limits: Limits, given: Callable[[Kept], dict[str, Any] | None]
    ) -> None:
        self._desk = desk
        self._limits = limits
        self._given = given
        self._charges: dict[_Place, _Charge] = {}
        self._heap: list[tuple[float, int, _Charge]] = []
        self._turn = 0
        self._waiting: list[tuple[float, int, _Charge]] = []
        """Those that are due, a heap by the ends of their leases."""
        self._talking: list[_Charge] = []
        self._next_look = -inf
        """When it may be looked at, in `monotonic` seconds."""
        self._stale = True
        """What is kept may be another than was looked at."""

    def run(self) -> None:
        """Until the desk says that it is over."""
        try:
            while not self._desk.stopping:
                if self._stale and monotonic() >= self._next_look:
                    self._look()
                self._begin_due()
                if not self._wait():
                    return
                for charge in list(self._talking):
                    self._attend(charge, charge.talk.step if charge.talk else _nothing)
        finally:
            for charge in list(self._talking):
                self._end_talk(charge)

    def _wait(self) -> bool:
        """Until something comes in, is due, or may have changed. False once it is over."""
        wake = self._heap[0][0] if self._heap else inf
        if self._stale:  # it is told of each commit, and a hundred of them are looked at together
            wake = min(wake, self._next_look)
        left = max(0.0, wake - monotonic())
        if self._talking:
            wait_for([each.talk for each in self._talking if each.talk], min(left, _TALK))
            left = 0.0
        going_on = self._desk.wait(None if left == inf else left)
        self._stale = True
        return going_on

    # --- what there is ------------------------------------------------------------------------

    def _look(self) -> None:
        began, self._stale = monotonic(), False
        try:
            kept = {_place(each): each for each in self._desk.kept()}
        except (CniError, OSError) as error:
            print(f"pynet-agent: dhcp: {error}", file=sys.stderr, flush=True)
            self._stale, self._next_look = True, began + _SOON
            return
        for key in self._charges.keys() - kept.keys():
            self._let_go(self._charges[key])
        for key, each in kept.items():
            if key not in self._charges and each.answer and sides.is_known(each):
                answer, side = self._desk.answer(each), sides.side_of(each)
                client = side.client(each, answer["link"], self._limits)
                fresh = self._given(each) is not None
                charge = self._charges[key] = _Charge(each, answer, side, client, fresh)
                self._schedule(charge, 0.0)
        took = monotonic() - began
        self._next_look = monotonic() + max(_LOOK, _SHARE * took)

    def _let_go(self, charge: _Charge) -> None:
        charge.gone = True
        self._end_talk(charge)
        self._charges.pop(_place(charge.kept), None)

    def _schedule(self, charge: _Charge, due: float) -> None:
        self._turn += 1
        charge.due = due
        heappush(self._heap, (due, self._turn, charge))

    def _begin_due(self) -> None:
        """Of those that are due, the one first whose lease ends first."""
        while self._heap and self._heap[0][0] <= monotonic():
            due, _, charge = heappop(self._heap)
            if not charge.gone and due == charge.due and charge.talk is None:
                charge.due = inf
                self._turn += 1
                heappush(self._waiting, (charge.end, self._turn, charge))
        while self._waiting:
            charge = self._waiting[0][2]
            if not charge.gone and not self._has_room(charge):
                return
            heappop(self._waiting)
            if not charge.gone:
                self._begin(charge)

    def _has_room(self, charge: _Charge) -> bool:
        """One that has something to lose has room before those that have lost it."""
        if len(self._talking) < _MOST_TALKS:
            return True
        lost = next((each for each in self._talking if each.answer["lost"]), None)
        if lost is None or charge.answer["lost"]:
            return False
        self._end_talk(lost)
        self._schedule(lost, lost.client.due or monotonic() + _AGAIN)
        return True

    # --- one of them ----------------------------------------------------------------------------

    def _begin(self, charge: _Charge) -> None:
        interface = charge.record.interface
        try:
            with ExitStack() as opened:
                world = opened.enter_context(reached(charge.record, self._limits))
                if world is None:
                    self._schedule(charge, monotonic() + _AGAIN)
                    return
                link = world.look(LinkNamed(interface, "sandbox"))
                if link is not None:
                    charge.side.meet(charge.client, link)
                charge.talk = Talk(charge.side, charge.client, world, interface)
                charge.open = opened.pop_all()
        except (CniError, OSError) as error:
            self._say(charge, str(error))
            self._schedule(charge, monotonic() + _pause(charge))
            return
        self._talking.append(charge)
        self._attend(charge, charge.talk.step if charge.begun else lambda: self._welcome(charge))

    def _welcome(self, charge: _Charge) -> None:
        """The first time: confirmed with the server, if it is not of this moment."""
        talk, client = charge.talk, charge.client
        assert talk is not None
        lease, now = sides.lease_in(charge.answer), monotonic()
        if charge.fresh:
            _limit(talk.world, charge.record.interface, charge.side, lease)
            actions = client.hold(lease, now, time())
        elif charge.answer["lost"]:
            _settle(talk.world, charge)
            actions = client.start(now)
        else:
            actions = client.resume(lease, now, time())
        charge.begun = True
        talk.act(actions)

    def _attend(self, charge: _Charge, work: Callable[[], object]) -> None:
        """Do it, and what follows from it; where it can't be done, again later."""
        talk = charge.talk
        if talk is None:
            return
        failed = 0.0
        try:
            work()
        except (CniError, OSError) as error:
            self._say(charge, str(error))
            failed = _pause(charge)
        charge.untold += talk.events()
        try:
            while charge.untold:
                self._has_become(charge, talk.world, charge.untold[0])
                del charge.untold[0]
        except ClaimLost:
            self._let_go(charge)
            return
        except (CniError, OSError) as error:
            self._say(charge, str(error))
            failed = _SOON if isinstance(error, (TryLater, StoreError)) else _pause(charge)
        if failed or talk.is_over:
            self._end_talk(charge)
            due = charge.client.due if charge.client.due is not None else inf
            again = monotonic() + failed
            if charge.untold:
                self._schedule(charge, again)
            elif failed:
                self._schedule(charge, again if due == inf else max(again, due))
            else:
                self._schedule(charge, due)

    def _end_talk(self, charge: _Charge) -> None:
        if charge.talk is not None:
            charge.talk.close()
            self._talking.remove(charge)
        if charge.open is not None:
            charge.open.close()
        charge.talk = charge.open = None

    def _has_become(self, charge: _Charge, world: KernelWorld, event: Bound | Lost) -> None:
        """Raises `ClaimLost`, `CniError`."""
        before = charge.answer
        if isinstance(event, Lost):
            after = {**before, "lost": event.why}
            self._say(charge, event.why)
        else:
            after = sides.answer(charge.side, event.lease, before["link"], 0)
            after["mtu"] = before["mtu"]
            if before["lost"] or after["address"] != before["address"]:
                after[_INSTEAD_OF] = before["address"]
                charge.settled = False
            elif _INSTEAD_OF in before and not charge.settled:
                after[_INSTEAD_OF] = before[_INSTEAD_OF]
        charge.kept = self._desk.renew(charge.kept, after)
        charge.answer = after
        _settle(world, charge)
        if _INSTEAD_OF in after and not (charge.settled or after["lost"]):
            self._say(charge, f"it has {after['address']} now")
        charge.settled = True

    def _say(self, charge: _Charge, what: str) -> None:
        record = charge.record
        who = f"{short_id(record.container)} ({record.interface} on {record.network})"
        print(f"pynet-agent: dhcp: {who}: {what}", file=sys.stderr, flush=True)


def _pause(charge: _Charge) -> float:
    """Seconds until it is tried again, after an error."""
    return min(_AGAIN, max(_SOON, (charge.end - time()) * _LEFT))


def _nothing() -> None:
    """There is no talk any more."""


# --- the interface --------------------------------------------------------------------------------


def _address(interface: str, address: str) -> InterfaceAddress:
    return InterfaceAddress(name=interface, place="sandbox", address=address)


def _settle(world: KernelWorld, charge: _Charge) -> None:
    """The interface as its answer says. Raises `CniError`.

    Routes are made with an address only: others of its chain may have moved them since (`sbr`).
    """
    answer, interface = charge.answer, charge.record.interface
    has = "" if answer["lost"] else answer["address"]
    over = {answer["address"], answer.get(_INSTEAD_OF, "")} - {has, ""}
    if over:
        world.delete([(_address(interface, each), None) for each in sorted(over)])
    if not has:
        return
    charge.bare |= _INSTEAD_OF in answer or not world.exists(_address(interface, has))
    if charge.bare:
        world.create([_address(interface, has)])
    _limit(world, interface, charge.side, sides.lease_in(answer))
    if charge.bare:
        _lead(world, interface, answer["routes"], sides.priority_of(charge.kept))
        charge.bare = False


def _lead(world: KernelWorld, interface: str, routes: Any, priority: int) -> None:
    """Those that came with an address. Raises `CniError`, once all are tried."""
    failed: CniError | None = None
    for dst, gw in routes:
        route = InterfaceRoute(name=interface, place="sandbox", dst=dst, gw=gw, priority=priority)
        try:
            world.create([route])
        except CniError as error:
            failed = failed or error
    if failed is not None:
        raise failed


def _limit(world: KernelWorld, interface: str, side: Side, lease: Lease) -> None:
    """Nobody uses an address for longer than it was given for, whatever becomes of the agent."""
    if lease.address and lease.lifetime < FOREVER:
        passed = max(0.0, time() - lease.since)  # the clock may have been set back
        valid, preferred = (
            min(FOREVER, max(0, int(seconds - passed))) if seconds < FOREVER else FOREVER
            for seconds in (lease.lifetime, side.preferred(lease))
        )
        world.limit(_address(interface, lease.address), max(1, valid), min(preferred, valid))


@contextmanager
def reached(record: Record, limits: Limits) -> Iterator[KernelWorld | None]:
    """The world of the record's own namespace; None where its path leads there no more."""
    path = limits.host_prefix + record.netns if record.netns else ""
    host = namespaces.own()
    try:
        with (
            KernelWorld(host, None, netns="", our_plugins=()) as outside,
            outside.visiting(path, record.sandbox, record.nsid) as world,
        ):
            yield world if world.sandbox == record.sandbox else None
    finally:
        os.close(host)
