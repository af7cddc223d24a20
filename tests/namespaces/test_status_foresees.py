"""`pynet status` says beforehand what an ADD would be refused for, whatever version a file has."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from test_mtu_mended import pynet

from pynet.testnets.lab.lab import Host

CONF = Path("/etc/cni/net.d/web.conflist")


def refused(host: Host, part: str) -> None:
    """An ADD is, and status says why before."""
    status, said = pynet(host, "status")
    findings = [line for line in said.splitlines() if line.startswith("! ") and part in line]
    assert findings, said
    assert status == 1
    status, said = pynet(host, "attach", "c2", "web")
    assert status == 1
    assert part in said


def test_a_range_that_is_full(host: Host) -> None:
    _web(host, "10.9.9.0/30")
    assert "no IP addresses available" not in pynet(host, "status")[1]
    _attach(host)
    refused(host, "no IP addresses available in pool web")


def test_a_subnet_that_was_edited_while_somebody_is_attached(host: Host) -> None:
    _web(host, "10.9.9.0/24")
    _attach(host)
    assert "already has an IP address" not in pynet(host, "status")[1]
    text = host.call(CONF.read_text)
    host.call(CONF.write_text, text.replace("10.9.9", "10.9.8"))
    refused(host, '"pn-web" already has an IP address different from 10.9.8.1/24')


def test_an_ipv6_subnet_that_overlaps_what_is_there(host: Host) -> None:
    _web(host, "fd00:9::/64")
    _attach(host)
    text = host.call(CONF.read_text)
    host.call(CONF.write_text, text.replace("fd00:9::/64", "fd00:9::8000:0:0:0/65"))
    refused(host, '"pn-web" already has an IP address different from fd00:9::8000:0:0:1/65')


def fill() -> None:
    """Leaves nothing but the room that is kept for a DEL."""
    with Path("/run/pynet/somebodys").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 4096)
        except OSError:
            return


def test_a_state_directory_that_is_full(host: Host) -> None:
    script = "mkdir -p -m 700 /run/pynet; mount -t tmpfs -o size=2m,mode=700 tmpfs /run/pynet"
    host.run(["sh", "-c", script])
    _web(host, "10.9.9.0/24")
    _attach(host)
    assert "is full" not in pynet(host, "status")[1]
    # As a daemon does: who opens a store that nobody has open makes files first.
    holds = "from pynet.store.store import Store; from pathlib import Path; import sys;"
    holds += "store = Store.open(Path('/run/pynet')); print(flush=True); sys.stdin.read()"
    holder = host.popen(
        [sys.executable, "-c", holds], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with holder:
        assert holder.stdout is not None and holder.stdin is not None
        holder.stdout.readline()
        host.call(fill)
        refused(host, "the file system is full")
        holder.stdin.close()


def test_a_state_directory_that_others_can_write_to(host: Host) -> None:
    _web(host, "10.9.9.0/24")
    host.run(["sh", "-c", "mkdir -p /run/pynet; chmod 777 /run/pynet"])
    refused(host, "others can write to state directory /run/pynet")


def test_a_bridge_that_is_none(host: Host) -> None:
    _web(host, "10.9.9.0/24")
    _attach(host)
    pynet(host, "detach", "c1", "web")
    host.run(["sh", "-c", "ip link del pn-web; ip link add pn-web type veth peer name x0"])
    refused(host, '"pn-web" already exists but is not a bridge')


def _web(host: Host, subnet: str) -> None:
    for name in ("c1", "c2"):
        host.container(name)
    assert pynet(host, "network", "create", "web", "--subnet", subnet)[0] == 0
    assert '"cniVersion": "1.0.0"' in host.call(CONF.read_text)


def _attach(host: Host) -> None:
    status, said = pynet(host, "attach", "c1", "web")
    assert status == 0, said
