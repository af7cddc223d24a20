"""What tests do with a runtime's containers, whichever it is: configure, ask, wait."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pytest

from pynet.testnets.lab.lab import CommandFailed, Host, Process

T = TypeVar("T")

PATIENCE = 20.0
"""Seconds until a test that waits gives up; nothing is expected to take so long."""

BRIDGE: dict[str, Any] = {
    "type": "bridge",
    "bridge": "cni0",
    "isDefaultGateway": True,
    "ipMasq": True,
    "hairpinMode": True,
    "ipam": {
        "type": "host-local",
        "ranges": [[{"subnet": "10.1.0.0/24"}], [{"subnet": "fd00:1::/64"}]],
    },
}


class Answer(NamedTuple):
    """What the server of a container says (image.py)."""

    name: str
    caller: str


def need(**packages: str) -> None:
    """Skip where a command is not there; the reason names the Debian package that has it."""
    for command, package in packages.items():
        if shutil.which(command, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is None:
            pytest.skip(f"there is no {command} here: apt-get install {package}")


def in_host(host: Host, path: str) -> Path:
    """A file of the host's, as this process reaches it."""
    return Path(f"/proc/{host.pid}/root{path}")


def write(host: Host, path: str, content: str) -> None:
    """A file in the host, with the folders on the way to it."""
    place = in_host(host, path)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(content)


def network(host: Host, *plugins: dict[str, Any], name: str = "web") -> None:
    """A configuration where every runtime looks for one; the first by name is ctr's and CRI's."""
    document = {"cniVersion": "1.0.0", "name": name, "plugins": plugins}
    write(host, f"/etc/cni/net.d/10-{name}.conflist", json.dumps(document))


def eventually(attempt: Callable[[], T]) -> T:
    """What `attempt` returns once it raises neither `OSError` nor `CommandFailed`."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return attempt()
        except (OSError, CommandFailed):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def url(address: str, port: int = 80) -> str:
    """Of the server of the container at `address`, without prefix length."""
    return f"http://{f'[{address}]' if ':' in address else address}:{port}/cgi-bin/who"


def answer(said: str) -> Answer:
    """busybox's server writes IPv4 callers as mapped IPv6, in brackets."""
    name, caller = said.split()
    return Answer(name, caller.strip("[]").removeprefix("::ffff:"))


def ask_from_host(host: Host, address: str, port: int = 80) -> Answer:
    """Ask a container's server from the host itself, or from what stands for the outside."""
    return eventually(lambda: answer(host.call(_get, address, port)))


def _get(address: str, port: int) -> str:
    connection = HTTPConnection(address, port, timeout=3)
    connection.request("GET", "/cgi-bin/who")
    return connection.getresponse().read().decode()


def end(process: Process) -> None:
    """kill -9, and wait for it."""
    with process:
        process.kill()


class Client:
    """What both runtimes' containers can be asked."""

    def __init__(self, host: Host) -> None:
        self.host = host

    def inside(self, container: str, *argv: str) -> str:
        """Run a command in a container; what it prints. Raises `CommandFailed`."""
        raise NotImplementedError

    def address(self, container: str, interface: str = "eth0", family: int = 4) -> str:
        """The container's address, without prefix length."""
        shown = self.inside(container, "ip", f"-{family}", "-o", "addr", "show", "dev", interface)
        texts = [line.split()[3] for line in shown.splitlines() if "scope global" in line]
        assert len(texts) == 1, f"{container} has at {interface}: {shown}"
        return texts[0].partition("/")[0]

    def ask(self, container: str, address: str, port: int = 80) -> Answer:
        """Ask a server from inside a container."""
        argv = ["timeout", "3", "wget", "-q", "-O", "-", url(address, port)]
        return eventually(lambda: answer(self.inside(container, *argv)))

    def outside_sees(self, container: str, address: str) -> str:
        """Where a connection of the container to `address`, out there, seems to come from."""
        return eventually(lambda: self.inside(container, "nc", "-w", "3", address, "80")).strip()
