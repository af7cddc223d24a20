"""The DHCPv4 client and a server that misbehaves, on a real link."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from dhcp4_answers import ADDRESS, SERVER, answer, seconds
from dhcp4_lab import LAN, Driver
from dhcp4_rogue import Manners, politely, rogue
from dhcp_driving import INTERFACE

from pynet.dhcp import options4
from pynet.dhcp.client import Action, Bound, Lease, Lost, Probe, Send
from pynet.dhcp.client4 import State
from pynet.dhcp.message4 import ACK, DISCOVER, NAK, OFFER, REQUEST, Message
from pynet.testnets.fixtures.marks import topology
from pynet.testnets.fixtures.net import Net

NOBODY, EVERYBODY = "0.0.0.0", "255.255.255.255"
WRONG = "10.20.0.66"


def wrong_xid(asked: Message, number: int, to: str) -> list[bytes]:
    kind = OFFER if asked.kind == DISCOVER else ACK
    return [answer(kind, asked, WRONG, xid=asked.xid ^ 1), *politely(asked)]


def to_somebody_else(asked: Message, number: int, to: str) -> list[bytes]:
    kind = OFFER if asked.kind == DISCOVER else ACK
    return [answer(kind, asked, WRONG, mac="02:00:00:00:00:77"), *politely(asked)]


def outside(asked: Message, number: int, to: str) -> list[bytes]:
    if asked.kind != DISCOVER:
        return politely(asked)
    return [
        answer(OFFER, asked, "10.20.0.0"),
        answer(OFFER, asked, "10.20.0.255"),
        answer(OFFER, asked, "192.168.1.5"),
        answer(OFFER, asked, WRONG, options={options4.SERVER: None}),
        answer(OFFER, asked, WRONG, options={options4.LIFETIME: None}),
        b"",
        b"\xff" * 600,
        *politely(asked),
    ]


def silent_at_first(asked: Message, number: int, to: str) -> list[bytes]:
    return politely(asked) if number else []


def nak_at_first(asked: Message, number: int, to: str) -> list[bytes]:
    if asked.kind == REQUEST and number < 2:
        return [answer(NAK, asked)]
    return politely(asked)


def chattering(asked: Message, number: int, to: str) -> list[bytes]:
    """All that there is to say, twice and out of order."""
    kinds = (ACK, NAK, OFFER) if asked.kind == DISCOVER else (OFFER, ACK, NAK)
    return [answer(kind, asked) for kind in (*kinds, *kinds)]


def bound(**wishes: Any) -> tuple[Lease, list[str]]:
    """What it ends with, and what it did; where nothing comes, time is put forward."""
    driver = Driver(**wishes)
    driver.start()
    while not any(isinstance(action, Bound) for action in driver.log):
        assert len(driver.log) < 30, driver.client.trouble
        try:
            driver.until(Bound, within=0.5)
        except AssertionError:
            driver.put_forward()
    return driver.log[-1].lease, [type(action).__name__ for action in driver.log]  # type: ignore[union-attr]


@topology(LAN)
@pytest.mark.parametrize(
    "manners", [wrong_xid, to_somebody_else, outside, silent_at_first, nak_at_first, chattering]
)
def test_it_ends_with_what_is_good(net: Net, tmp_path: Path, manners: Manners) -> None:
    with rogue(net, tmp_path, manners):
        lease, _ = net.client.call(bound)
        assert lease.address == f"{ADDRESS}/24"


@topology(LAN)
def test_one_that_offers_nothing_good_is_not_believed(net: Net, tmp_path: Path) -> None:
    def ask() -> tuple[list[Action], str]:
        driver = Driver()
        driver.start()
        driver.spin(lambda: bool(driver.client.trouble))
        return driver.log, driver.client.trouble

    def only_bad(asked: Message, number: int, to: str) -> list[bytes]:
        return [answer(OFFER, asked, "192.168.1.5")]

    with rogue(net, tmp_path, only_bad):
        log, trouble = net.client.call(ask)
    assert [type(action) for action in log] == [Send]
    assert "192.168.1.5/24 is not in the subnet of its gateway 10.20.0.1" in trouble


@topology(LAN)
def test_who_asks_whom_from_where(net: Net, tmp_path: Path) -> None:
    """RFC 2131, tables 4 and 5."""

    def live() -> None:
        driver = Driver(broadcast=True)
        driver.start()
        lease = driver.until(Bound).lease
        driver.configure(lease)
        # Another address that it has is not one to speak from.
        subprocess.run(["ip", "addr", "add", "10.20.0.200/32", "dev", INTERFACE], check=True)
        driver.put_forward()
        lease = driver.until(Bound).lease
        while driver.client.state is not State.REBINDING:
            driver.put_forward()
        driver.until(Bound)
        driver.release()

    def manners(asked: Message, number: int, to: str) -> list[bytes]:
        return [] if to == SERVER and number > 1 else politely(asked)

    with rogue(net, tmp_path, manners) as heard:
        net.client.call(live)
        net.wait(lambda: heard()[-1]["kind"] == 7)
        notes = [(note["kind"], note["from"], note["to"]) for note in heard()]
    assert notes[:3] == [
        (DISCOVER, NOBODY, EVERYBODY),
        (REQUEST, NOBODY, EVERYBODY),
        (REQUEST, ADDRESS, SERVER),
    ]
    assert set(notes[3:-1]) == {(REQUEST, ADDRESS, SERVER), (REQUEST, ADDRESS, EVERYBODY)}
    assert notes[-1] == (7, ADDRESS, SERVER)
    assert all(note["broadcast"] for note in heard()[:2])


@topology(LAN)
def test_a_lease_of_five_seconds_is_kept_for_long(net: Net, tmp_path: Path) -> None:
    short = {options4.LIFETIME: seconds(5)}

    def live() -> list[Action]:
        driver = Driver()
        driver.start()
        driver.configure(driver.until(Bound).lease)
        for _ in range(20):
            driver.put_forward()
            if driver.client.listening:
                driver.until(Bound)
        return driver.log

    with rogue(net, tmp_path, lambda asked, *_: politely(asked, options=short)):
        log = net.client.call(live)
    assert len([action for action in log if isinstance(action, Bound)]) == 21
    assert not any(isinstance(action, Lost) for action in log)
    assert len([action for action in log if isinstance(action, Probe)]) == 1


@topology(LAN)
def test_a_nak_that_is_broadcast_is_heard_by_who_has_an_address(net: Net, tmp_path: Path) -> None:
    def live() -> str:
        driver = Driver()
        driver.start()
        driver.configure(driver.until(Bound).lease)
        driver.put_forward()
        why: str = driver.until(Lost).why
        return why

    def manners(asked: Message, number: int, to: str) -> list[bytes]:
        return [answer(NAK, asked)] if asked.ciaddr else politely(asked)

    with rogue(net, tmp_path, manners):
        assert f"{SERVER} refuses {ADDRESS}" in net.client.call(live)
