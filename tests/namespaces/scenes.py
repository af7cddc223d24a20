"""Scenes that play wholly inside one fake host: containers, commands, and what `ip` shows.

A test marked `@in_host` runs as one forked child in a fresh fake host, so that it may call
plugins and commands as often as it likes.
"""

from __future__ import annotations

import inspect
import json
import os
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from drive import Outcome, Runtime, call
from evidence import entered, nothing_left, rest
from kernel_lines import batch

from pynet.testnets.lab.lab import Host


def in_host(scene: Callable[..., None]) -> Callable[..., None]:
    """`scene` as a test that runs inside a fresh fake host."""

    def test(host: Host, **arguments: Any) -> None:
        host.call(lambda: scene(**arguments))

    given = inspect.signature(scene).parameters.values()
    host = inspect.Parameter("host", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    test.__signature__ = inspect.Signature([host, *given])  # type: ignore[attr-defined]
    test.__name__, test.__doc__ = scene.__name__, scene.__doc__
    test.__module__ = scene.__module__
    return test


def run(command: str, *, netns: str = "") -> str:
    """A command of plain words; what it prints. Fails the test where it fails."""
    argv = command.split()
    if netns:
        argv = ["nsenter", f"--net=/run/netns/{netns}", *argv]
    done = subprocess.run(argv, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


def ip(words: str, netns: str = "") -> Any:
    """`ip -j WORDS` as JSON; None where it prints nothing."""
    where = f"-n {netns} " if netns else ""
    return json.loads(run(f"ip {where}-j {words}") or "null")


def reaches(netns: str, address: str, options: str = "") -> bool:
    """Whether NETNS, "" for the host, has an answer to one ping."""
    where = ["nsenter", f"--net=/run/netns/{netns}"] if netns else []
    ping = ["ping", "-c1", "-W1", *options.split(), address]
    return subprocess.run([*where, *ping], capture_output=True).returncode == 0


def container(name: str, **fields: Any) -> Runtime:
    """A new container NAME in a namespace of its own."""
    run(f"ip netns add {name}")
    return Runtime(name, f"/run/netns/{name}", **fields)


def add(config: Mapping[str, Any], runtime: Runtime) -> Any:
    """The result of an ADD, which must succeed."""
    return succeed("ADD", config, runtime).document


def succeed(command: str, config: Mapping[str, Any], runtime: Runtime | None = None) -> Outcome:
    outcome = call(command, config, runtime)
    assert outcome.status == 0, outcome.stdout
    if command not in ("ADD", "VERSION"):
        assert outcome.stdout == b""
    return outcome


def refused(
    code: int, words: str, command: str, config: Any, runtime: Runtime | None = None
) -> Any:
    """The error of a call that fails with `code`, says `words` (by "|") and changes nothing."""
    before = whole()
    outcome = call(command, config, runtime)
    error = the_error(outcome)
    assert error["code"] == code, error
    for word in words.split("|"):
        assert word in error["msg"], (word, error)
    changed = nothing_left(before, whole())
    assert changed == [], changed
    return error


def the_error(outcome: Outcome) -> Any:
    """The one error document of a failed call."""
    assert outcome.status == 1, outcome.stdout
    error = outcome.document
    assert set(error) <= {"cniVersion", "code", "msg", "details"}, error
    assert error["cniVersion"] and error["msg"], error
    assert "Traceback" not in str(error)
    return error


def stderr_of(work: Callable[[], Any]) -> str:
    """What `work` says on this process's stderr."""
    reading, writing = os.pipe()
    kept = os.dup(2)
    os.dup2(writing, 2)
    os.close(writing)
    try:
        work()
    finally:
        os.dup2(kept, 2)
        os.close(kept)
    with os.fdopen(reading, "rb") as pipe:
        return pipe.read().decode()


def wait_for(condition: Callable[[], bool]) -> None:
    """Until what the kernel does in its own time is done; fails the test if it never is."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it has not come about"
        time.sleep(0.005)


def whole() -> set[str]:
    """The host with its store, and every container's inside."""
    found = rest() | lines()
    for path in sorted(Path("/run/netns").glob("*")):
        found |= {f"{path.name}: {line}" for line in lines(path.name)}
    return found


def lines(netns: str = "") -> set[str]:
    """What `ip` shows, a line a thing: links with state, MAC, MTU and bridge, addresses, routes."""
    found = set()
    with entered(netns):
        links, routes = batch("ip", "addr show", "route show table all")
    for link in links:
        state = "up" if "UP" in link["flags"] else "down"
        shown = (state, link.get("address"), link["mtu"], link.get("master", ""))
        found.add(f"link {link['ifname']} {shown}")
        for address in link["addr_info"]:
            if address["scope"] != "link":
                found.add(f"address {link['ifname']} {address['local']}/{address['prefixlen']}")
    for route in routes:
        if route.get("table") != "local" and not route["dst"].startswith(("fe80", "multi")):
            found.add(f"route {route['dst']} {route.get('gateway')} {route.get('dev')}")
    return found


# --- packets --------------------------------------------------------------------

ETHERTYPE = 0x88B5  # IEEE 802: for local experiments
BROADCAST = "ff:ff:ff:ff:ff:ff"
PATIENCE = 20.0
"""Seconds until what has not arrived never will: a busy machine is late."""


def wire(interface: str, netns: str = "") -> socket.socket:
    """A raw socket on INTERFACE for frames of our own kind."""
    with entered(netns):
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETHERTYPE))
        sock.bind((interface, ETHERTYPE))
    sock.settimeout(PATIENCE)
    return sock


def frame(source: str, target: str, text: bytes) -> bytes:
    def mac(written: str) -> bytes:
        return bytes.fromhex(written.replace(":", ""))

    return mac(target) + mac(source) + ETHERTYPE.to_bytes(2) + text.ljust(46, b"\0")


def heard(sock: socket.socket) -> list[bytes]:
    """The texts of the frames that came in, up to one that says b"end"."""
    texts: list[bytes] = []
    while not texts or texts[-1] != b"end":
        texts.append(sock.recv(2000)[14:].rstrip(b"\0"))
    return texts[:-1]
