"""What is in a host: its kernel's part in `kernel_lines`, store rows, lock files.

Asked of `ip`, `tc`, `nft` and SQLite themselves, not of pynet, so that a mistake of ours in
looking can't hide a mistake in removing. Judged is both: what is left that was not there
before, and what is gone that was.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from kernel_lines import kernel, ruleset
from kernel_lines import links as links

from pynet.testnets.lab import syscalls

STATE = Path("/run/pynet")
_BOOKS = {"meta", "cursor", "freed", "taken_over", "sqlite_sequence"}
"""Tables that go on where they were: which address is next, which file was read."""
_OF_THE_ATTACHED = {"record", "step", "lease", "kept"}
GONE = "gone: "


def rest() -> set[str]:
    """One line a thing, in the namespaces of the calling process."""
    return {*kernel(), *stored(), *locks()}


def nothing_left(baseline: set[str], now: set[str]) -> list[str]:
    """What is there now and was not before; and what was, and is gone."""
    return [*left(baseline, now), *(GONE + line for line in sorted(baseline - now))]


def left(baseline: set[str], now: set[str]) -> list[str]:
    """Too much only: where some of what was there goes by itself, or by right."""
    return sorted(now - baseline)


def but_idle_bridge(differences: list[str], name: str = "cni0") -> list[str]:
    """All but the bridge of that name itself: one that nobody uses stays until a GC removes it.

    With the store goes who made it, and who turned forwarding on. Addresses on it, ports and
    elements do count.
    """
    of_it = ("link", "attributes", "qdisc", "vlan", "forwarding", "sysctl", "route")
    return [
        line
        for line in differences
        if not (name in line and line.removeprefix(GONE).startswith(of_it))
        and not _says_who_made(line.removeprefix(GONE), f"bridge\\t{name}", "'forwarding'")
    ]


def but_remembered(differences: list[str]) -> list[str]:
    """All but whether forwarding was on before us: each host and store remembers its own."""
    return [
        line for line in differences if not _says_who_made(line.removeprefix(GONE), "'forwarding'")
    ]


def _says_who_made(line: str, *things: str) -> bool:
    return line.startswith("row shared") and any(thing in line for thing in things)


def but_kept(differences: list[str]) -> list[str]:
    """All but what is made once for all, with the first container, and stays.

    Forwarding, by what the host goes by router advertisements though it forwards, and our tables
    but for the elements in them.
    """
    return [
        line
        for line in differences
        if not (
            _is_forwarding(line.removeprefix(GONE))
            or _is_of_our_tables(line)
            or _is_of_routers(line.removeprefix(GONE))
        )
    ]


def _is_of_routers(line: str) -> bool:
    return (line.startswith("row shared") and "router-advertisements" in line) or (
        line.startswith("sysctl") and "accept_ra = " in line
    )


def _is_of_our_tables(line: str) -> bool:
    kind, _, rest = line.partition(" ")
    where = rest.partition("{")[0].split()
    return kind in ("table", "chain", "rule", "set", "map") and "pynet" in where


def _is_forwarding(line: str) -> bool:
    """With what the kernel itself changes then, and that we have found it off."""
    if line.startswith("row shared"):
        return "'forwarding'" in line
    name = line.removeprefix("sysctl ").partition(" ")[0]
    return name in ("net/ipv4/ip_forward", "net/ipv4/conf/all/accept_redirects") or (
        name.startswith(("net/ipv4/conf/", "net/ipv6/conf/")) and name.endswith("/forwarding")
    )


def inside(netns: str) -> set[str]:
    """All there is in a container's namespace."""
    with entered(netns):
        return {f"inside {netns} {line}" for line in kernel() if not _is_of_loopback(line)}


def _is_of_loopback(line: str) -> bool:
    """The kernel gives lo its address when it is first set up, and leaves it."""
    return line == "address lo 127.0.0.1/8"


@contextmanager
def entered(netns: str) -> Iterator[None]:
    """This thread is inside the container NETNS; "" is where it is already."""
    if not netns:
        yield
        return
    with Path("/proc/thread-self/ns/net").open("rb") as home:
        with Path("/run/netns", netns).open("rb") as there:
            syscalls.setns(there.fileno(), syscalls.CLONE_NEWNET)
        try:
            yield
        finally:
            syscalls.setns(home.fileno(), syscalls.CLONE_NEWNET)


def elements() -> set[str]:
    """Of sets and maps; and the rules."""
    return {line for line in ruleset() if line.startswith(("element ", "rule "))}


def rows(state: Path = STATE) -> set[str]:
    """What the store holds for those who are attached."""
    return {row for row in stored(state) if row.split()[1] in _OF_THE_ATTACHED}


def stored(state: Path = STATE) -> set[str]:
    """All of it that is not to be forgotten."""
    if not (state / "pynet.db").exists():
        return set()
    with closing(sqlite3.connect(state / "pynet.db")) as store:
        known = store.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        tables = [name for (name,) in known if name not in _BOOKS]
        return {
            f"row {table} {row!r}"
            for table in tables
            for row in store.execute(f"SELECT * FROM {table}")
        }


def locks(state: Path = STATE) -> set[str]:
    return {f"lock {path.name}" for path in (state / "locks").rglob("*") if path.is_file()}
