"""What a container costs whose address is a DHCP server's, on a macvlan interface."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from mains import PARENT, come_and_go
from measure import Row, alternate, by_side
from sides import REFERENCE_DIR, Side, both

from pynet.testnets.lab.lab import Lab, Process

SERVER = "server"
CONFIG: dict[str, Any] = {"master": PARENT, "ipam": {"type": "dhcp"}}
BUDGETS = {"ADD": "1", "DEL": "1"}
_SECONDS = 20.0


def leased(rounds: int) -> Iterator[Row]:
    """ADD and DEL, the sides in turns, each with a server of its own."""
    with Lab() as lab, ExitStack() as ended:
        sides = both(lab)
        for side in sides:
            folder = Path(ended.enter_context(tempfile.TemporaryDirectory()))
            for process in (*_serve(side, folder), *_keep(side)):
                ended.callback(process.kill)
        takers = {each.name: partial(come_and_go, each, "macvlan", CONFIG) for each in sides}
        samples = alternate(rounds, takers)
        for command, budget in BUDGETS.items():
            yield by_side(f"macvlan with dhcp: {command}", samples, command, budget)


def _serve(side: Side, folder: Path) -> Iterator[Process]:
    side.host.container(SERVER)
    side.host.call(_wire)
    argv = [
        "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--no-ping",
        "--interface=eth0", "--user=root", f"--pid-file={folder}/pid",
        f"--dhcp-leasefile={folder}/leases", "--dhcp-range=10.68.1.1,10.68.9.1,2h",
    ]  # fmt: skip
    yield side.host.popen(argv, netns=SERVER)


def _wire() -> None:
    for words in (
        f"link add {PARENT} type veth peer name eth0 netns {SERVER}",
        f"link set {PARENT} up",
        f"-n {SERVER} link set eth0 up",
        f"-n {SERVER} addr add 10.68.0.1/16 dev eth0",
    ):
        subprocess.run(["ip", *words.split()], check=True)


def _keep(side: Side) -> Iterator[Process]:
    """Who asks the server: `dhcp daemon` of either side, which the same unit starts."""
    yield side.host.popen([f"{side.directory}/dhcp", "daemon"], stderr=subprocess.DEVNULL)
    socket = "/run/cni/dhcp.sock" if side.directory == REFERENCE_DIR else "/run/pynet/agent.sock"
    side.host.call(_wait_for, socket)


def _wait_for(path: str) -> None:
    end = time.monotonic() + _SECONDS
    while not Path(path).exists():
        if time.monotonic() > end:
            raise TimeoutError(f"nobody listens at {path}")
        time.sleep(0.01)
