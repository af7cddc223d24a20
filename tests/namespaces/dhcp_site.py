"""A host with containers, a DHCP server on the network beside it, and the agent between."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import drive
import lan
import pytest
from agents import pid_of_agent, serving
from drive import Outcome, Runtime
from evidence import but_remembered, nothing_left, rest
from executables import in_host, until

import pynet
from pynet.daemon.serve import Services
from pynet.daemon.settings import Mode
from pynet.engine import faults
from pynet.store.store import Store
from pynet.testnets.lab.lab import Forked, Host, Process

SOURCES = Path(pynet.__file__).resolve().parent / "src"
LAN = "lan0"
"""A bridge of the host's, of which `lan.PARENT` is a port where a test asks for it."""
MACVLAN: dict[str, Any] = {
    "cniVersion": "1.1.0",
    "name": "office",
    "type": "macvlan",
    "master": lan.PARENT,
    "ipam": {"type": "dhcp"},
}
BRIDGE: dict[str, Any] = {
    "cniVersion": "1.1.0",
    "name": "office",
    "type": "bridge",
    "bridge": LAN,
    "ipam": {"type": "dhcp"},
}
NETWORKS = {"bridge": BRIDGE, "macvlan": MACVLAN}


@dataclass
class Site:
    """`folder` holds the servers' files."""

    host: Host
    folder: Path

    def wire(self, *, bridge: bool = False) -> None:
        """The network that the servers are on; with `bridge` the host's bridge on it."""
        self.host.call(lan.wire)
        if bridge:
            self.ip("link", "add", LAN, "address", "02:00:00:00:10:01", "type", "bridge")
            self.ip("link", "set", LAN, "up")
            self.ip("link", "set", lan.PARENT, "master", LAN)

    def ip(self, *words: str, netns: str | None = None) -> bytes:
        return bytes(self.host.run(["ip", *words], netns=netns).stdout)

    # --- servers ------------------------------------------------------------------------

    @contextmanager
    def dnsmasq(
        self,
        *more: str,
        first: str = "10.6.0.100",
        last: str = "10.6.0.150",
        lasts: str = "2h",
    ) -> Iterator[Dnsmasq]:
        """One that gives these addresses for so long, and the next one knows its leases."""
        server = Dnsmasq(self.folder)
        server.log.unlink(missing_ok=True)
        argv = [
            "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--no-ping",
            "--interface=eth0", "--user=root", "--log-dhcp", f"--log-facility={server.log}",
            f"--pid-file={self.folder}/pid", f"--dhcp-leasefile={server.leases}",
            "--dhcp-authoritative", f"--dhcp-range={first},{last},{lasts}",
            "--dhcp-option=option:router,10.6.0.1", *more,
        ]  # fmt: skip
        with self.host.popen(argv, netns=lan.NEIGHBOUR) as process:
            try:
                until(lambda: "DHCP" in server.said(), "dnsmasq does not start")
                yield server
            finally:
                process.kill()

    # --- the agent ----------------------------------------------------------------------

    @contextmanager
    def agent(self, **environ: str) -> Iterator[Process]:
        """It is killed at the end."""
        argv = [sys.executable, "-P", "-m", "pynet.agent"]
        known = {"PYTHONPATH": str(SOURCES), "PATH": os.environ["PATH"], **environ}
        log = (self.folder / "agent.log").open("ab")
        with log, serving(self.host, self.host.popen(argv, env=known, stderr=log)) as process:
            yield process

    def agent_pid(self) -> int | None:
        return pid_of_agent(self.host)

    def agent_said(self) -> str:
        return (self.folder / "agent.log").read_text()

    def end_agent(self) -> None:
        if (pid := self.agent_pid()) is not None:
            os.kill(pid, signal.SIGKILL)
        until(lambda: self.agent_pid() is None, "it can't be killed")

    # --- calls --------------------------------------------------------------------------

    def call(self, command: str, config: Mapping[str, Any], *container: str, **how: Any) -> Outcome:
        """What comes of a call that was begun."""
        return self.begin(command, config, *container, **how).wait()

    def begin(
        self,
        command: str,
        config: Mapping[str, Any],
        container: str = "c1",
        *,
        interface: str = "eth0",
        mode: Mode = Mode.NEVER,
        fault: int = 0,
        **environ: str,
    ) -> Forked[Outcome]:
        environment = {"PYNET_DAEMON": mode.value, **environ}
        runtime = Runtime(container, f"/run/netns/{container}", interface, environment)

        def work() -> Outcome:
            os.environ["PYTHONPATH"] = str(SOURCES)
            if fault:
                faults.arm(fault)
            return drive.call(command, dict(config), runtime, Services(drive.STATE))

        return self.host.fork_call(work)

    def add(self, config: Mapping[str, Any], container: str = "c1", **how: Any) -> Any:
        """The result, in a container of that name, made where there is none."""
        if not in_host(self.host, f"/run/netns/{container}").exists():
            self.host.container(container)
        outcome = self.call("ADD", config, container, **how)
        assert outcome.status == 0, outcome.stdout
        return outcome.document

    def good(self, command: str, config: Mapping[str, Any], *who: str, **how: Any) -> None:
        outcome = self.call(command, config, *who, **how)
        assert outcome.status == 0, outcome.stdout

    def assert_nothing_left(self, before: set[str]) -> None:
        """The kernel lets go of a master some time after the namespace of who had it has gone."""

        def left() -> list[str]:
            found = but_remembered(nothing_left(before, self.host.call(rest)))
            return [line for line in found if f"bridge\\t{LAN}" not in line]  # it was found there

        with suppress(AssertionError):
            until(lambda: not left(), "it is told below")
        assert left() == []

    # --- what there is --------------------------------------------------------------------

    def answers(self) -> dict[str, Any]:
        """By container and interface, what is on record of its lease."""

        def read() -> dict[str, Any]:
            with closing(Store.open(drive.STATE)) as store, store.read() as tx:
                kept = tx.kept("dhcp")
            return {
                f"{one.record.container} {one.record.interface}": json.loads(one.answer or "{}")
                for one in kept
            }

        return self.host.call(read)

    def addresses(self, container: str = "c1", interface: str = "eth0") -> dict[str, int]:
        """Of the interface, each with its valid lifetime in seconds, link-local ones left out."""
        shown = json.loads(self.ip("-j", "addr", "show", "dev", interface, netns=container))
        return {
            f"{one['local']}/{one['prefixlen']}": one["valid_life_time"]
            for one in shown[0]["addr_info"]
            if one["scope"] != "link"
        }


@pytest.fixture
def unwired(host: Host, tmp_path: Path) -> Iterator[Site]:
    """A host that is on no network yet."""
    made = Site(host, tmp_path)
    yield made
    made.end_agent()


@pytest.fixture
def site(unwired: Site) -> Site:
    """A host on a network that DHCP servers can be on."""
    unwired.wire()
    return unwired


@dataclass
class Dnsmasq:
    folder: Path

    @property
    def log(self) -> Path:
        return self.folder / "dnsmasq.log"

    @property
    def leases(self) -> Path:
        return self.folder / "dnsmasq.leases"

    def said(self) -> str:
        return self.log.read_text() if self.log.exists() else ""

    def count(self, message: str) -> int:
        """How often such a message is in its log, as DHCPREQUEST."""
        return self.said().count(f"{message}(")

    def holders(self) -> dict[str, str]:
        """Client identifiers (hexadecimal, with colons) by address."""
        lines = self.leases.read_text().splitlines() if self.leases.exists() else []
        return {line.split()[2]: line.split()[4] for line in lines if len(line.split()) == 5}
