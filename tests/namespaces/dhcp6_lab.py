"""A DHCPv6 client driven on a wire, and the servers it is tried with.

What is here runs in a node of a lab, in a fork of the test, as that of `dhcp4_lab`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dhcp_driving import INTERFACE, Driven, wait_for_server

from pynet.dhcp import options6
from pynet.dhcp.client import Action, Send
from pynet.dhcp.client6 import Client6
from pynet.dhcp.exchange6 import Settings
from pynet.dhcp.message6 import Kind, unpack
from pynet.dhcp.probe6 import NeighbourProbe
from pynet.dhcp.wire6 import Wire6
from pynet.testnets import Topo

DUID = options6.duid("c" * 64, "web", INTERFACE)
IAID = options6.iaid("c" * 64, "web", INTERFACE)
WIRED = Topo("wired").switch("sw").underlay(ipv4="", ipv6="fd00:99::/64")
"""In each node eth0 is up, with fd00:99::1/64 and so on; none is a router."""
for _node in ("server", "client", "bystander"):
    WIRED = WIRED.external(_node, sysctls={"net.ipv6.conf.all.forwarding": 0}).link(_node, "sw")
PREFIX = "fd00:99::/64"
"""Of which servers give away ::100 to ::1ff."""
DNS, DOMAINS = "fd00:99::53", "lab.example"


class Driver(Driven):
    """`sent` are the kinds of messages that went out, in order."""

    def __init__(self, duid: bytes = DUID, **wishes: Any) -> None:
        self.client6 = Client6(Settings(duid=duid, iaid=IAID, **wishes))
        super().__init__(self.client6)
        self.sent: list[Kind] = []

    def release(self) -> None:
        """Until it is answered."""
        self.do(self.client.release())
        self.spin(lambda: self.client6.released)
        self.close()

    def do(self, actions: list[Action]) -> None:
        messages = (unpack(each.payload) for each in actions if isinstance(each, Send))
        self.sent += [Kind(message.kind) for message in messages]
        super().do(actions)

    def open_wire(self) -> Wire6:
        return Wire6(INTERFACE, seconds=5.0)

    def open_probe(self, address: str) -> NeighbourProbe:
        return NeighbourProbe(INTERFACE, address, self.now())


@contextmanager
def dnsmasq(node: Any, folder: Path, *more: str) -> Iterator[Path]:
    """One that answers at `node`'s eth0, until the block ends; yields its log."""
    log = folder / "dnsmasq.log"
    argv = [
        "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--interface=eth0",
        "--user=root", "--log-dhcp", f"--log-facility={log}", f"--pid-file={folder}/dnsmasq.pid",
        f"--dhcp-leasefile={folder}/dnsmasq.leases", f"--dhcp-option=option6:dns-server,[{DNS}]",
        f"--dhcp-option=option6:domain-search,{DOMAINS}", *more,
    ]  # fmt: skip
    log.unlink(missing_ok=True)
    with node.place.popen(argv) as process:
        try:
            wait_for_server(lambda: "DHCPv6" in log.read_text(), process)
            yield log
        finally:
            process.terminate()


@contextmanager
def kea(
    node: Any, folder: Path, prefix: str = PREFIX, more: Sequence[Any] = (), **subnet: Any
) -> Iterator[Path]:
    """The same of Kea, with `more` options; `subnet` are keys of its one subnet."""
    log, config = folder / "kea.log", folder / "kea.conf"
    config.write_text(json.dumps(_kea_config(folder, log, prefix, more, subnet)))
    log.unlink(missing_ok=True)
    environment = {"KEA_PIDFILE_DIR": str(folder), "KEA_LOCKFILE_DIR": str(folder)}
    with node.place.popen(["kea-dhcp6", "-c", str(config)], env=environment) as process:
        try:
            wait_for_server(lambda: "DHCP6_STARTED" in log.read_text(), process)
            yield log
        finally:
            process.terminate()


def _kea_config(
    folder: Path, log: Path, prefix: str, more: Sequence[Any], subnet: dict[str, Any]
) -> dict[str, Any]:
    start = prefix.partition("/")[0]
    known = {
        "subnet": prefix,
        "interface": "eth0",
        "pools": [{"pool": f"{start}100 - {start}1ff"}],
        "option-data": [
            {"name": "dns-servers", "data": DNS},
            {"name": "domain-search", "data": DOMAINS},
            *more,
        ],
    }
    logger = {
        "name": "kea-dhcp6",
        "severity": "INFO",
        "output_options": [{"output": str(log)}],
    }
    return {
        "Dhcp6": {
            "interfaces-config": {"interfaces": ["eth0"]},
            "server-id": {"type": "LL", "persist": False},
            "lease-database": {"type": "memfile", "name": f"{folder}/kea.leases"},
            "subnet6": [{**known, **subnet}],
            "loggers": [logger],
        }
    }
