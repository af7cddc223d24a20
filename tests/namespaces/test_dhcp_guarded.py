"""dhcp behind bridge: what is in force while the address is asked for, and whose the gateway is."""

from __future__ import annotations

import sys

import lan
import pytest
from dhcp_site import BRIDGE, LAN, Site
from executables import until

_LISTEN = """
import socket
heard = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x88b5))
heard.bind(("eth0", 0x88b5))
print("listening", flush=True)
print(heard.recv(200)[6:12].hex(":"))
"""
_SEND = """
import socket
link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
link.bind(("eth0", 0))
for source in (bytes.fromhex("020000006666"), link.getsockname()[4]):
    link.send(b"\\xff" * 6 + source + b"\\x88\\xb5" + bytes(46))
"""
"""A frame from a MAC that is not the container's, then one from its own."""


@pytest.fixture
def site(unwired: Site) -> Site:
    unwired.wire(bridge=True)
    return unwired


def test_the_mac_is_checked_before_there_is_a_lease(site: Site) -> None:
    """There is no server: all that the neighbour hears, it hears during the ADD."""
    site.host.container("c1")
    network = {**BRIDGE, "macspoofchk": True}
    notes = site.folder / "heard"
    argv = [sys.executable, "-c", _LISTEN]
    with (
        site.agent(),
        notes.open("wb") as out,
        site.host.popen(argv, netns=lan.NEIGHBOUR, stdout=out) as listener,
    ):
        until(lambda: "listening" in notes.read_text(), "nobody listens")
        adding = site.begin("ADD", network)
        until(lambda: _is_up(site), "the interface does not come up")
        until(lambda: _sent(site) and listener.poll() is not None, "nothing is heard")
        own = site.ip("-br", "link", "show", "eth0", netns="c1").decode().split()[2]
        adding.wait()
    assert notes.read_text().split()[1] == own


def _is_up(site: Site) -> bool:
    shown = site.host.run(["ip", "-br", "link"], netns="c1").stdout.decode()
    return any(line.split()[0].startswith("eth0") and " UP " in line for line in shown.splitlines())


def _sent(site: Site) -> bool:
    site.host.run([sys.executable, "-c", _SEND], netns="c1")
    return True


@pytest.mark.parametrize("key", ["isGateway", "isDefaultGateway"])
def test_a_host_that_takes_the_routers_address_says_so(
    site: Site, capfd: pytest.CaptureFixture[str], key: str
) -> None:
    plain, network = BRIDGE, {**BRIDGE, key: True}
    with site.dnsmasq(), site.agent():
        site.add(plain)
        assert "isGateway" not in capfd.readouterr().err
        site.good("DEL", plain)
        site.add(network)
        assert f"this host has 10.6.0.1 on {LAN} now" in capfd.readouterr().err
        assert b"10.6.0.1/24" in site.ip("-br", "addr", "show", LAN)
        site.good("DEL", network)
