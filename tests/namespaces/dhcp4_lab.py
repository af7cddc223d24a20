"""A DHCPv4 client driven on a wire, and the servers it is tried with.

What is here runs in a node of a lab, in a fork of the test.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dhcp_driving import INTERFACE, Driven, wait_for_server

from pynet.dhcp import options4
from pynet.dhcp.asking4 import Settings
from pynet.dhcp.client4 import Client4
from pynet.dhcp.packets import mac_of
from pynet.dhcp.probe4 import ArpProbe
from pynet.dhcp.wire4 import Wire4
from pynet.testnets.fixtures.net import Node
from pynet.testnets.spec.builder import Topo

LAN = (
    Topo("lan")
    .host("server", addresses={"eth0": "10.20.0.1/24"})
    .host("client")
    .host("third")
    .switch("sw")
    .link("server:eth0", "sw")
    .link("client:eth0", "sw")
    .link("third:eth0", "sw")
)
CLIENT_ID = options4.client_id("c" * 64, "web", INTERFACE)


class Driver(Driven):
    def __init__(self, client_id: bytes = CLIENT_ID, **wishes: Any) -> None:
        settings = Settings(mac=mac_of(INTERFACE), client_id=client_id, **wishes)
        super().__init__(Client4(settings))

    def open_wire(self) -> Wire4:
        return Wire4(INTERFACE, self.client.address)

    def open_probe(self, address: str) -> ArpProbe:
        return ArpProbe(INTERFACE, address, self.now())

    def release(self) -> None:
        self.do(self.client.release())
        if self._wire is not None:
            self._wire.flush(2)
        self.close()


@contextmanager
def dnsmasq(node: Node, folder: Path, first: str, last: str, *more: str) -> Iterator[Path]:
    """One that answers at `node`'s eth0, until the block ends; yields its log."""
    log = folder / "dnsmasq.log"
    argv = [
        "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--no-ping",
        "--interface=eth0", "--user=root", "--log-dhcp", f"--log-facility={log}",
        f"--pid-file={folder}/dnsmasq.pid", f"--dhcp-leasefile={folder}/dnsmasq.leases",
        "--dhcp-authoritative", f"--dhcp-range={first},{last},2h", *more,
    ]  # fmt: skip
    with _running(node, argv, log, "IP range"):
        yield log


@contextmanager
def kea(node: Node, folder: Path, pool: str, **subnet: Any) -> Iterator[Path]:
    """The same of Kea; `subnet` are keys of its one subnet."""
    log, config = folder / "kea.log", folder / "kea.conf"
    config.write_text(json.dumps(_kea_config(folder, log, pool, subnet)))
    environment = {"KEA_PIDFILE_DIR": str(folder), "KEA_LOCKFILE_DIR": str(folder)}
    argv = ["kea-dhcp4", "-c", str(config)]
    with _running(node, argv, log, "DHCP4_STARTED", env=environment):
        yield log


@contextmanager
def _running(node: Node, argv: list[str], log: Path, started: str, **more: Any) -> Iterator[None]:
    """From when its log, which begins anew, says that it has `started`."""
    log.write_text("")
    silent = subprocess.DEVNULL
    with node.place.popen(argv, stdout=silent, stderr=silent, **more) as process:
        try:
            wait_for_server(lambda: started in log.read_text(), process)
            yield
        finally:
            process.terminate()


def _kea_config(folder: Path, log: Path, pool: str, subnet: dict[str, Any]) -> dict[str, Any]:
    known = {
        "subnet": "10.20.0.0/24",
        "pools": [{"pool": pool}],
        "valid-lifetime": 3600,
        "authoritative": True,
    }
    logger = {
        "name": "kea-dhcp4",
        "severity": "INFO",
        "output_options": [{"output": str(log)}],
    }
    return {
        "Dhcp4": {
            "interfaces-config": {"interfaces": ["eth0"], "dhcp-socket-type": "raw"},
            "lease-database": {"type": "memfile", "name": f"{folder}/kea.leases"},
            "subnet4": [{**known, **subnet}],
            "loggers": [logger],
        }
    }
