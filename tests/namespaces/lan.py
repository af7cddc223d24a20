"""What is wired to the host beside its containers: interfaces of it, and neighbours there."""

from __future__ import annotations

import subprocess
from pathlib import Path

PARENT = "nic0"
NEIGHBOUR = "lan"
"""The namespace of who has the first addresses of 10.6.0.0/24 and fd00:6::/64."""


def wire() -> None:
    """The host's interface, up, without addresses of its own; where there is none yet."""
    if Path(f"/run/netns/{NEIGHBOUR}").exists():
        return
    for words in (
        f"netns add {NEIGHBOUR}",
        f"link add {PARENT} type veth peer name eth0 netns {NEIGHBOUR}",
        f"link set {PARENT} up",
        f"-n {NEIGHBOUR} link set eth0 up",
        f"-n {NEIGHBOUR} addr add 10.6.0.1/24 dev eth0",
        f"-n {NEIGHBOUR} addr add fd00:6::1/64 dev eth0 nodad",
    ):
        _ip(words)


CARDS = ("card0", "card1")
RACKS = {"card0": "rack0", "card1": "rack1"}
"""Who a card is wired to: a namespace with 10.7.0.1/24 and fd00:7::1/64."""


def insert_cards() -> None:
    """Two interfaces of the host's to be lent: down, each with a MAC and a neighbour of its own.

    As the container that has one may end with it, one that is gone, with both ends, is made anew.
    """
    for card, rack in RACKS.items():
        if not Path(f"/run/netns/{rack}").exists():
            _ip(f"netns add {rack}")
        if subprocess.run(["ip", "-n", rack, "link", "show", "eth0"], capture_output=True).stdout:
            continue
        number = CARDS.index(card)
        macs = f"02:00:00:00:70:0{number}", f"02:00:00:00:71:0{number}"
        _ip(f"link add {card} address {macs[0]} type veth peer name eth0 address {macs[1]}"
            f" netns {rack}")  # fmt: skip
        _ip(f"-n {rack} link set eth0 up")
        _ip(f"-n {rack} addr add 10.7.0.1/24 dev eth0")
        _ip(f"-n {rack} addr add fd00:7::1/64 dev eth0 nodad")


def _ip(words: str) -> None:
    subprocess.run(["ip", *words.split()], check=True)
