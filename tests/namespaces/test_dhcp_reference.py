"""Beside the reference's `dhcp`: the same configuration, the same identifier, the same address."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from dhcp_site import MACVLAN, Site
from drive import Runtime
from evidence import but_remembered, nothing_left, rest
from executables import in_host, until
from references import REFERENCE, VERSION, by_reference, inherited, needs_reference

from pynet.testnets.lab.lab import Host

pytestmark = needs_reference("dhcp")


@pytest.fixture
def site(host: Host, tmp_path: Path) -> Iterator[Site]:
    made = Site(host, tmp_path)
    yield made
    made.end_agent()


@contextmanager
def reference_daemon(site: Site) -> Iterator[None]:
    argv = [f"{REFERENCE}/dhcp", "daemon", "-socketpath", "/run/cni/dhcp.sock"]
    with site.host.popen(argv) as daemon:
        try:
            socket = in_host(site.host, "/run/cni/dhcp.sock")
            until(socket.exists, "the reference's daemon does not come up")
            yield
        finally:
            daemon.kill()


def test_the_same_configuration_gives_the_same_address(site: Site) -> None:
    """By a reservation for option 61; and what the reference does not tell is told beside."""
    site.wire()
    said = "--dhcp-option=option:dns-server,10.6.0.53"
    identifier = "00:" + b"c1/office/eth0".hex(":")
    config = {**MACVLAN, "cniVersion": VERSION}
    with site.dnsmasq(said, f"--dhcp-host=id:{identifier},10.6.0.77"), reference_daemon(site):
        site.host.container("c1")
        theirs = site.host.call(by_reference, "ADD", config, Runtime())
        site.host.call(by_reference, "DEL", config, Runtime())
        with site.agent():
            ours = site.add(config)
            site.good("DEL", config)
    assert theirs["dns"] == {} and ours["dns"] == {"nameservers": ["10.6.0.53"]}
    for result in (theirs, ours):
        assert [ip["address"] for ip in result["ips"]] == ["10.6.0.77/24"]
    assert {**theirs, "dns": 0, "interfaces": 0} == {**ours, "dns": 0, "interfaces": 0}
    names = [[each["name"], each["sandbox"]] for each in theirs["interfaces"]]
    assert names == [[each["name"], each["sandbox"]] for each in ours["interfaces"]]


def test_a_container_of_the_reference_is_inherited(site: Site) -> None:
    site.wire()
    with site.dnsmasq(), reference_daemon(site):
        inherited(site.host, MACVLAN)


def test_their_main_plugin_over_our_ipam(site: Site) -> None:
    """It is run as an executable then, in a container whose interface is there."""
    site.wire()
    config = {**MACVLAN, "cniVersion": VERSION}
    before = site.host.call(rest)
    with site.dnsmasq() as server, site.agent():
        site.host.container("c1")
        link = "link add eth0 netns c1 link nic0 type macvlan mode bridge"
        site.ip(*link.split())
        added = site.call("ADD", {**config, "type": "dhcp"})
        assert added.status == 0, added.stdout
        [ip] = added.document["ips"]
        assert ip["gateway"] == "10.6.0.1" and "interfaces" not in added.document
        [_] = server.holders()
        site.good("CHECK", {**config, "type": "dhcp", "prevResult": added.document})
        site.good("DEL", {**config, "type": "dhcp"})
        until(lambda: server.holders() == {}, "it is not given back")
        site.host.delete_container("c1")
    assert_nothing_left(before, site.host.call(rest))


def assert_nothing_left(before: set[str], after: set[str]) -> None:
    assert but_remembered(nothing_left(before, after)) == []
