"""Networks with `sbr` for tests, and what `ip` shows of rules and routes."""

from __future__ import annotations

from typing import Any

import drive
from scenes import run

WEB = drive.BRIDGE
SBR = drive.SBR
LIST = [WEB, SBR]
DB: dict[str, Any] = {
    **WEB,
    "name": "db",
    "bridge": "cni1",
    "ipam": {
        "type": "host-local",
        "ranges": [[{"subnet": "10.2.0.0/24"}], [{"subnet": "fd00:2::/64"}]],
    },
}
SECOND = [DB, {**SBR, "name": "db"}]


def shown(words: str, netns: str = "c1") -> list[str]:
    """What `ip WORDS` prints, without what the kernel leaves to itself."""
    lines = run(f"ip -n {netns} {words}").splitlines()
    return [" ".join(line.replace(" pref medium", "").split()) for line in lines]


def rules(family: int) -> list[str]:
    """Those that are not the kernel's own."""
    listed = (line.partition(": ") for line in shown(f"-{family} rule show"))
    return [rule for priority, _, rule in listed if priority not in ("0", "32766", "32767")]
