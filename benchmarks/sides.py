"""The two sides of a comparison: pynet, and the reference plugins as Debian packages them."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pynet.testnets.lab.lab import Container, Host, Lab, Process
from pynet.testnets.live.installed import BIN_DIR, install, start_daemon
from pynet.testnets.live.runtime import Ended, Runtime, execute

T = TypeVar("T")

REFERENCE_DIR = "/usr/lib/cni"
LOOPBACK: dict[str, Any] = {"type": "loopback"}


def bridge(*subnets: str) -> dict[str, Any]:
    """The common configuration of a bridge network: a gateway, host-local, masquerade."""
    subnets = subnets or ("10.88.0.0/16",)
    return {
        "type": "bridge",
        "bridge": "bench0",
        "isGateway": True,
        "ipMasq": True,
        "ipam": {
            "type": "host-local",
            "ranges": [[{"subnet": subnet}] for subnet in subnets],
            "routes": [{"dst": "::/0" if ":" in subnet else "0.0.0.0/0"} for subnet in subnets],
        },
    }


FIREWALL: dict[str, Any] = {"type": "firewall", "backend": "iptables"}


def published(*ports: int) -> dict[str, Any]:
    """portmap with these ports of the host leading to port 80, as a runtime gives them."""
    mappings = [{"hostPort": port, "containerPort": 80, "protocol": "tcp"} for port in ports]
    return {
        "type": "portmap",
        "capabilities": {"portMappings": True},
        "runtimeConfig": {"portMappings": mappings},
    }


@dataclass
class Side:
    """One implementation on a fake host of its own."""

    name: str
    host: Host
    directory: str
    environment: Mapping[str, str] = field(default_factory=dict)
    daemon: Process | None = None
    _count: int = 0
    _spent: float = 0.0

    def has(self, plugin: str) -> bool:
        """Debian 12's reference plugins, 1.1.1, have no tap."""
        return self.host.call(lambda: Path(self.directory, plugin).exists())

    def runtime(self, *plugins: Mapping[str, Any], name: str = "bench") -> Runtime:
        """Its plugins for the network `name`."""
        return Runtime(
            name, plugins, (self.directory,), environment=self.environment, execute=self._execute
        )

    def timed(self, work: Callable[[], T]) -> tuple[float, T]:
        """The milliseconds that its plugins take in `work()`, and what that gives.

        From the start of each to its end: what their caller does in between is the caller's.
        """
        self._spent = 0.0
        result = work()
        return self._spent, result

    def _execute(self, binary: str, stdin: bytes, environ: Mapping[str, str]) -> Ended:
        begin = time.perf_counter()
        try:
            return execute(binary, stdin, environ)
        finally:
            self._spent += 1000 * (time.perf_counter() - begin)

    def container(self) -> Container:
        """A container nobody has seen yet."""
        self._count += 1
        return self.host.container(f"c{self._count}")


def pynet(lab: Lab, *, name: str = "pynet", daemon: bool = True) -> Side:
    """pynet on a new host, by its daemon or, without, one Python process a call."""
    host = lab.host(name)
    install(host)
    if not daemon:
        return Side(name, host, BIN_DIR, {"PYNET_DAEMON": "never"})
    process = start_daemon(host)
    # A daemon that fell out of use would be measured as something else.
    return Side(name, host, BIN_DIR, {"PYNET_DAEMON": "require"}, process)


def reference(lab: Lab, *, name: str = "reference") -> Side | None:
    """The reference plugins on a new host; None where they aren't installed."""
    if shutil.which("bridge", path=REFERENCE_DIR) is None:
        return None
    return Side(name, lab.host(name), REFERENCE_DIR)


def both(lab: Lab) -> list[Side]:
    """pynet first; then the reference, where it is installed."""
    return [side for side in (pynet(lab), reference(lab)) if side is not None]
