"""What is in a host: links, addresses, routes, nftables elements, store rows, lock files.

Asked of `ip`, `nft` and SQLite themselves, not of pynet, so that a mistake of ours in
looking can't hide a mistake in removing.
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
from pathlib import Path
from typing import Any

STATE = Path("/run/pynet")
TABLES = ("record", "step", "lease")


def rest() -> set[str]:
    """One line a thing, in the namespaces of the calling process."""
    return {*links(), *localnet(), *routes(), *elements(), *rows(), *locks()}


def nothing_left(baseline: set[str], now: set[str]) -> list[str]:
    """What is there now and was not before."""
    return sorted(now - baseline)


def inside(netns: str) -> set[str]:
    """What plugins may change of a container's interfaces that they have not made."""
    found = set()
    for link in _json("ip", "-n", netns, "-j", "-d", "link"):
        shown = [link.get(key) for key in ("flags", "address", "mtu", "txqlen", "group")]
        found.add(f"inside {netns} {link['ifname']} {shown}")
    keys = ("net/core/somaxconn", "net/ipv4/conf/all/arp_filter", "net/ipv4/conf/eth0/arp_filter")
    argv = ["nsenter", f"--net=/run/netns/{netns}", "grep", "", *(f"/proc/sys/{k}" for k in keys)]
    # A key of an interface that is not there is passed over.
    texts = subprocess.run(argv, capture_output=True).stdout.decode()
    return found | {f"inside {netns} {line}" for line in texts.splitlines()}


def _json(*argv: str) -> Any:
    output = subprocess.run(argv, check=True, capture_output=True).stdout
    return json.loads(output or b"[]")


def links() -> set[str]:
    found = set()
    for link in _json("ip", "-j", "addr"):
        found.add(f"link {link['ifname']}")
        for address in link["addr_info"]:
            if address["scope"] != "link":
                found.add(f"address {link['ifname']} {address['local']}/{address['prefixlen']}")
    return found


def localnet() -> set[str]:
    """The interfaces on which 127.0.0.0/8 is routed."""
    places = Path("/proc/sys/net/ipv4/conf").glob("*/route_localnet")
    return {f"route_localnet {each.parent.name}" for each in places if each.read_text() != "0\n"}


def routes() -> set[str]:
    return {
        f"route {route['dst']} dev {route.get('dev')}"
        for family in ("-4", "-6")
        for route in _json("ip", "-j", family, "route", "show", "table", "main")
        if not route["dst"].startswith("fe80")
    }


def elements() -> set[str]:
    found = set()
    for entry in _json("nft", "-j", "list", "ruleset").get("nftables", []):
        for kind in ("set", "map"):
            for element in entry.get(kind, {}).get("elem", []):
                found.add(f"element {entry[kind]['name']} {json.dumps(element)}")
        if "rule" in entry:
            found.add(f"rule {entry['rule']['chain']} {entry['rule']['handle']}")
    return found


def rows(state: Path = STATE) -> set[str]:
    if not (state / "pynet.db").exists():
        return set()
    with sqlite3.connect(state / "pynet.db") as store:
        return {
            f"row {table} {row!r}"
            for table in TABLES
            for row in store.execute(f"SELECT * FROM {table}")
        }


def locks(state: Path = STATE) -> set[str]:
    return {f"lock {path.name}" for path in (state / "locks").glob("*")}
