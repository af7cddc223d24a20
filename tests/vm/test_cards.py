"""`host-device` with real interface cards, in the machine's first network namespace.

`scripts/vm` gives the emulated machine two on one wire: one of virtio, one of Intel's.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cards import shown
from drive import HOST_DEVICE
from scenes import add, container, ip, reaches, refused, run, succeed, wait_for

CARDS = {"virtio_net": "card0", "e1000": "card1"}
NAMELESS = {key: value for key, value in HOST_DEVICE.items() if key != "device"}


def path_of(card: str) -> Path:
    """Of its PCI device in sysfs: a virtio card stands on a device of its own on that."""
    found = Path(f"/sys/class/net/{card}/device").resolve()
    return found.parent if found.name.startswith("virtio") else found


@pytest.fixture
def alone() -> Iterator[None]:
    """The machine has one pair of cards: tests of another worker wait for it."""
    with Path("/run/cards.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture
def cards(alone: None) -> Iterator[dict[str, dict[str, Any]]]:
    """How they are."""
    run("modprobe -a virtio_net e1000")
    for link in ip("link"):
        driver = Path(f"/sys/class/net/{link['ifname']}/device/driver")
        if driver.exists() and link["ifname"] not in CARDS.values():
            name = CARDS[driver.resolve().name]
            run(f"ip link set {link['ifname']} down")
            run(f"ip link set {link['ifname']} name {name}")
    for card in CARDS.values():
        run(f"ip link set {card} mtu 1400 up")
    yield {card: shown(card) for card in CARDS.values()}
    for path in Path("/run/netns").iterdir():
        run(f"ip netns del {path.name}")
    wait_for(lambda: set(CARDS.values()) <= {each["ifname"] for each in ip("link")})


def wired(other: str) -> None:
    run("ip netns add far")
    run(f"ip link set {other} netns far")
    run(f"ip -n far addr add 10.7.0.1/24 dev {other}")
    run(f"ip -n far link set {other} up")


@pytest.mark.parametrize(("card", "other"), [("card0", "card1"), ("card1", "card0")])
def test_a_card_is_lent_by_each_of_its_names(card: str, other: str, cards: Any) -> None:
    path = path_of(card)
    wired(other)
    ways: list[dict[str, Any]] = [
        {"device": card},
        {"hwaddr": cards[card]["address"]},
        {"pciBusID": path.name},
        {"kernelpath": str(path)},
        {"runtimeConfig": {"deviceID": path.name}},
    ]
    for number, way in enumerate(ways):
        config = {**NAMELESS, **way}
        runtime = container(f"c{number}")
        result = add(config, runtime)
        wait_for(lambda name=f"c{number}": reaches(name, "10.7.0.1"))  # type: ignore[misc]
        interface = result["interfaces"][0]
        assert interface["mac"] == cards[card]["address"]
        assert interface.get("pciID") == (
            path.name if "PCI" in str(way) or "ID" in str(way) else None
        )
        succeed("CHECK", {**config, "prevResult": result}, runtime)
        succeed("DEL", config, runtime)
        assert shown(card) == cards[card]


@pytest.mark.parametrize("card", CARDS.values())
@pytest.mark.parametrize("command", ["DEL", "GC", "ADD"])
def test_a_card_comes_back_from_a_namespace_that_is_gone(
    card: str, command: str, cards: Any
) -> None:
    config = {**HOST_DEVICE, "device": card}
    runtime = container("c1")
    result = add(config, runtime)
    run("ip netns del c1")
    if command == "ADD":  # of somebody else: nobody has told of the end of the first
        wait_for(lambda: not run("ip netns list-id"))
        second = container("c2")
        add(config, second)
        succeed("DEL", config, second)
    elif command == "GC":
        wait_for(lambda: not run("ip netns list-id"))
        succeed("GC", config)
    else:
        succeed("DEL", {**config, "prevResult": result}, runtime)
    assert shown(card) == cards[card]


def test_a_card_in_another_namespace_is_told_with_its_driver(cards: Any) -> None:
    config = {**NAMELESS, "pciBusID": path_of("card1").name}
    wired("card1")
    refused(7, "(driver: e1000) has no interface on the host", "ADD", config, container("c1"))
