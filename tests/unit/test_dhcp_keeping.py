"""Kept leases, without a kernel: whose turn it is, and what happens to what can't be recorded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from time import time
from typing import Any

import pytest
from dhcp4_answers import ADDRESS, SERVER, answer
from dhcp4_peer import MAC

from pynet.agent import dhcp_keeping, dhcp_sides
from pynet.agent.dhcp_keeping import Keeping
from pynet.agent.dhcp_sides import Limits, Side4
from pynet.dhcp.client import Lease, Send
from pynet.dhcp.message4 import ACK, DISCOVER, REQUEST, Message, parse
from pynet.model.errors import TryLater
from pynet.model.resources import KeptLease
from pynet.store.keeping import Kept
from pynet.store.records import Record, State

AT_ONCE = 32


class Desk:
    """What is kept, and what is put on record; `locked` while nothing can be."""

    stopping = False

    def __init__(self) -> None:
        self.there: list[tuple[Kept, Any]] = []
        self.recorded: list[Any] = []
        self.locked = False

    def keep(self, container: str, lost: str = "") -> None:
        number = len(self.there) + 1
        record = Record(
            id=number, host="h", network="office", container=container, interface="eth0",
            plugin="macvlan", digest="", state=State.READY, claim=1, sandbox="s", netns="/n",
            request="", result="", created=0.0,
        )  # fmt: skip
        asked = (("ask", ""), ("say", ""))
        resource = KeptLease(keeper="dhcp", name="ipv4", lapses=True, parameters=asked)
        lease = Lease(f"{ADDRESS}/24", SERVER, time(), 1800, 3150, 3600)
        given = dhcp_sides.answer(Side4(), lease, {"mac": MAC, "broadcast": False}, 1500)
        self.there.append((Kept("dhcp", record, 0, resource, "{}"), {**given, "lost": lost}))

    def kept(self) -> list[Kept]:
        return [kept for kept, _ in self.there]

    def answer(self, kept: Kept) -> Any:
        return next(given for each, given in self.there if each is kept)

    def renew(self, kept: Kept, given: Any) -> Kept:
        if self.locked:
            raise TryLater("the store is locked")
        self.recorded.append(given)
        return kept


class Container:
    """A world, its wire, and what was sent there."""

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.comes: list[bytes] = []
        self.limited: list[int] = []

    def look(self, _: Any) -> None:
        return None

    def inside(self) -> Any:
        return nullcontext()

    def exists(self, _: Any) -> bool:
        return True

    def delete(self, _: Any) -> None: ...

    def limit(self, _: Any, valid: int, preferred: int) -> None:
        self.limited.append(valid)

    def send(self, message: Send) -> None:
        self.sent.append(parse(message.payload))

    def receive(self) -> bytes | None:
        return self.comes.pop() if self.comes else None

    def close(self) -> None: ...


@pytest.fixture
def container(monkeypatch: pytest.MonkeyPatch) -> Container:
    made = Container()

    @contextmanager
    def reached(*_: Any) -> Iterator[Any]:
        yield made

    monkeypatch.setattr(dhcp_keeping, "reached", reached)
    monkeypatch.setattr(Side4, "wire", lambda *_: made)
    monkeypatch.setattr(dhcp_keeping, "_SOON", 0.0)
    return made


def kept_by(desk: Any) -> Keeping:
    keeping = Keeping(desk, Limits(), lambda _: None)
    begin(keeping)
    return keeping


def begin(keeping: Keeping) -> None:
    keeping._look()
    keeping._begin_due()


def kinds(container: Container) -> list[int]:
    return [message.kind for message in container.sent]


def test_what_can_t_be_recorded_is_recorded_later(container: Container) -> None:
    desk = Desk()
    desk.keep("c1")
    keeping = kept_by(desk)
    [request] = container.sent
    container.comes = [answer(ACK, request)]
    desk.locked = True
    [charge] = keeping._talking
    assert charge.talk
    keeping._attend(charge, charge.talk.step)
    assert (desk.recorded, container.limited, keeping._talking) == ([], [], [])
    desk.locked = False
    begin(keeping)
    [given] = desk.recorded
    assert given["address"] == f"{ADDRESS}/24"
    assert len(container.limited) == 1
    begin(keeping)
    assert len(desk.recorded) == 1


def test_who_has_something_to_lose_does_not_wait_for_who_has_lost_it(
    container: Container,
) -> None:
    desk = Desk()
    for number in range(AT_ONCE):
        desk.keep(f"c{number}", lost="a server has said so")
    keeping = kept_by(desk)
    assert kinds(container) == [DISCOVER] * AT_ONCE
    desk.keep("more", lost="so it has")
    begin(keeping)
    assert len(container.sent) == AT_ONCE
    desk.keep("holding")
    begin(keeping)
    assert kinds(container)[AT_ONCE:] == [REQUEST]
    assert len(keeping._talking) == AT_ONCE


def test_who_can_t_be_reached_is_tried_again(
    container: Container, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def unreached(*_: Any) -> Iterator[Any]:
        raise OSError(24, "Too many open files")
        yield

    with monkeypatch.context() as less:
        less.setattr(dhcp_keeping, "reached", unreached)
        less.setattr(dhcp_keeping, "_AGAIN", 0.0)
        desk = Desk()
        desk.keep("c1")
        keeping = kept_by(desk)
    assert container.sent == []
    begin(keeping)
    assert kinds(container) == [REQUEST]
