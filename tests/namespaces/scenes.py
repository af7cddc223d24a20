"""Scenes that play wholly inside one fake host: containers, commands, and what `ip` shows.

A test marked `@in_host` runs as one forked child in a fresh fake host, so that it may call
plugins and commands as often as it likes.
"""

from __future__ import annotations

import inspect
import json
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from drive import Outcome, Runtime, call
from evidence import rest

from pynet.testnets.lab import Host


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
    assert whole() == before
    return error


def the_error(outcome: Outcome) -> Any:
    """The one error document of a failed call."""
    assert outcome.status == 1, outcome.stdout
    error = outcome.document
    assert set(error) <= {"cniVersion", "code", "msg", "details"}, error
    assert error["cniVersion"] and error["msg"], error
    assert "Traceback" not in str(error)
    return error


def whole() -> set[str]:
    """The host with its store, and every container's inside."""
    found = rest() | lines()
    for path in sorted(Path("/run/netns").glob("*")):
        found |= {f"{path.name}: {line}" for line in lines(path.name)}
    return found


def lines(netns: str = "") -> set[str]:
    """What `ip` shows, a line a thing: links with state, MAC, MTU and bridge, addresses, routes."""
    found = set()
    for link in ip("addr", netns):
        state = "up" if "UP" in link["flags"] else "down"
        shown = (state, link.get("address"), link["mtu"], link.get("master", ""))
        found.add(f"link {link['ifname']} {shown}")
        for address in link["addr_info"]:
            if address["scope"] != "link":
                found.add(f"address {link['ifname']} {address['local']}/{address['prefixlen']}")
    for family in ("-4", "-6"):
        for route in ip(f"{family} route show table all", netns) or ():
            if route.get("table") != "local" and not route["dst"].startswith(("fe80", "multi")):
                found.add(f"route {route['dst']} {route.get('gateway')} {route.get('dev')}")
    return found
