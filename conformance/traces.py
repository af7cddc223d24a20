"""What is in a host and in a container, one line a thing, asked of `ip`, `nft` and the files.

What the kernel changes by itself is left out: counters, timers, carriers, link-local addresses.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..testnets.lab.host import plain_environment

PROGRAMS = ("ip", "nft", "nsenter", "sysctl", "tc")
"""What is run to look, and to do damage."""
_ATTRIBUTES = ("address", "mtu", "txqlen", "master", "promiscuity", "allmulti")
_FLAGS = ("UP", "PROMISC", "ALLMULTI")
_PASSING = {"handle", "index", "packets", "bytes", "used", "expires"}
_STATE = ("/run", "/var/lib/cni", "/var/lib/pynet", "/etc/cni")
_OPEN_ONLY = ("-wal", "-shm", "-journal", ".sock", ".pid", ".lock")
"""Files that are there only while somebody works, or lives."""
_WIDTH = 120
"""Characters of a line that a message has."""
SETTLING = 3.0
"""Seconds in which the kernel ends what hung on a namespace."""


def host() -> set[str]:
    """Everything but the insides of containers."""
    return {*network(), *_files()}


def network(netns: str = "") -> Iterator[str]:
    """Links, addresses, routes and rules of this network namespace, or of the container NETNS."""
    for link in ip("-d addr show", netns):
        name = link["ifname"]
        flags = [flag for flag in _FLAGS if flag in link["flags"]]
        yield f"link {name} {_text({key: link.get(key) for key in _ATTRIBUTES})} {flags}"
        for address in link["addr_info"]:
            if not address.get("local", "fe80").startswith("fe80") and name != "lo":
                yield f"address {name} {address['local']}/{address['prefixlen']}"
    for family in ("-4", "-6"):
        for route in ip(f"{family} route show table all", netns):
            if route.get("table") != "local" and not route["dst"].startswith(("fe80", "ff", "mul")):
                where = f"via {route.get('gateway')} dev {route.get('dev')}"
                yield f"route {route['dst']} {where} table {route.get('table', 'main')}"
        for rule in ip(f"{family} rule show", netns):
            yield f"routing rule {family} {_text(rule)}"
    yield from rules(netns)
    for queue in _json(_inside(["tc", "-j", "qdisc", "show"], netns)):
        if queue["kind"] not in ("noqueue", "pfifo_fast", "mq", "fq_codel"):
            yield f"qdisc {queue['dev']} {queue['kind']}"


def rules(netns: str = "") -> Iterator[str]:
    """nftables, those of iptables among them: a rule, a chain, an element a line."""
    listed: Any = _json(_inside(["nft", "-j", "list", "ruleset"], netns)) or {}
    seen: dict[str, int] = {}
    for line in _entries(listed.get("nftables", [])):
        seen[line] = seen.get(line, 0) + 1
        yield line if seen[line] == 1 else f"{line} ({seen[line]} times)"
    yield from _legacy(netns)


def _entries(listed: list[Any]) -> Iterator[str]:
    for entry in listed:
        for kind, thing in entry.items():
            if kind == "metainfo":
                continue
            keys = ("family", "table", "chain", "name")
            where = " ".join(str(thing.pop(key)) for key in keys if key in thing)
            if kind in ("set", "map"):
                for element in thing.pop("elem", []):
                    yield f"element {where} {_text(element)}"
            yield f"{kind} {where} {_text(thing)}"


def _legacy(netns: str) -> Iterator[str]:
    """What `iptables-legacy` made; nftables does not show it."""
    for program, names in (("iptables", "ip_tables_names"), ("ip6tables", "ip6_tables_names")):
        known = Path("/proc/thread-self/net", names)
        with suppress(OSError, subprocess.CalledProcessError):
            if not netns and known.read_text():
                for line in _output([f"{program}-legacy-save"]).splitlines():
                    if not line.startswith("#"):
                        yield f"{program} {line.partition(' [')[0]}"


def state_files() -> Iterator[Path]:
    """Regular files in the places where plugins keep state; those are the host's own."""
    for top in _STATE:
        for folder, folders, files in os.walk(top):
            if folder == "/run":
                folders[:] = [each for each in folders if each not in ("machine", "conformance")]
            for file in files:
                path = Path(folder, file)
                if folder != "/run/netns" and path.is_file() and not path.is_symlink():
                    yield path


def _files() -> Iterator[str]:
    for path in state_files():
        if not path.name.endswith(_OPEN_ONLY):
            yield f"file {path}"


def settings(netns: str) -> dict[str, str]:
    """The sysctls of a container that can be read, by path."""
    script = "grep -rs . /proc/sys/net 2>/dev/null; true"
    found = _output(_inside(["sh", "-c", script], netns))
    pairs = (line.partition(":") for line in found.splitlines())
    return {path: value for path, _, value in pairs if "conntrack_count" not in path}


def unchanged(before: set[str], now: Callable[[], set[str]] = host) -> list[str]:
    """What has come and gone since, once the kernel has had its time; empty where nothing has."""
    return _settled(lambda: differences(before, now()))


def left_over(before: set[str], now: Callable[[], set[str]] = host) -> list[str]:
    """What has come only."""
    return _settled(lambda: sorted(now() - before))


def missing() -> list[str]:
    """Those of `PROGRAMS` that are not here."""
    path = plain_environment()["PATH"]
    return [name for name in PROGRAMS if shutil.which(name, path=path) is None]


def few(lines: list[str], most: int = 4) -> str:
    """Some of them, in one line: what is left of a rule can be long."""
    lines = [line if len(line) <= _WIDTH else f"{line[:_WIDTH]}..." for line in lines]
    more = f"; and {len(lines) - most} more" if len(lines) > most else ""
    return "; ".join(lines[:most]) + more


def differences(before: set[str], now: set[str]) -> list[str]:
    return [*sorted(now - before), *(f"gone: {line}" for line in sorted(before - now))]


def _settled(look: Callable[[], list[str]]) -> list[str]:
    end = time.monotonic() + SETTLING
    while found := look():
        if time.monotonic() > end:
            break
        time.sleep(0.05)
    return found


def ip(words: str, netns: str = "") -> list[Any]:
    """`ip -j WORDS`, in this network namespace or in a container's.

    Nothing where it fails without a word: it does where there is no table of routes yet.
    """
    argv = ["ip", *(["-n", netns] if netns else []), "-j", *words.split()]
    try:
        return [each for each in _json(argv) if each]
    except subprocess.CalledProcessError as error:
        if str(error.stderr).strip():
            raise
        return []


def run(words: str, netns: str = "") -> None:
    """A command of plain words. Raises `subprocess.CalledProcessError`."""
    _output(_inside(words.split(), netns))


def _inside(argv: list[str], netns: str) -> list[str]:
    return ["nsenter", f"--net=/run/netns/{netns}", *argv] if netns else argv


def _json(argv: list[str]) -> list[Any]:
    found: list[Any] = json.loads(_output(argv) or "[]")
    return found


def _output(argv: list[str]) -> str:
    done = subprocess.run(
        argv, env=plain_environment(), check=True, capture_output=True, text=True, errors="replace"
    )
    return done.stdout


def _text(thing: Any) -> str:
    return json.dumps(_lasting(thing), sort_keys=True)


def _lasting(thing: Any) -> Any:
    if isinstance(thing, dict):
        return {key: _lasting(value) for key, value in thing.items() if key not in _PASSING}
    return [_lasting(each) for each in thing] if isinstance(thing, list) else thing
