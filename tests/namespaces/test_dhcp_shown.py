"""What the command line says of a network whose addresses are a DHCP server's."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

from dhcp_site import MACVLAN, SOURCES, Site
from executables import until

CONFLIST = {
    "cniVersion": "1.1.0",
    "name": "office",
    "plugins": [{**MACVLAN, "ipam": {"type": "dhcp", "request": [{"option": "42"}]}}],
}


def pynet(site: Site, *words: str, status: int = 0) -> str:
    environ = {"PYTHONPATH": str(SOURCES), "PATH": os.environ["PATH"], "PYNET_DAEMON": "never"}
    argv = [sys.executable, "-P", "-m", "pynet.cli", *words]
    done = site.host.run(argv, env=environ, check=False)
    said = done.stdout.decode() + done.stderr.decode()
    assert done.returncode == status, said
    return said


def write(site: Site, document: dict[str, Any]) -> None:
    def work() -> None:
        Path("/etc/cni/net.d").mkdir(parents=True, exist_ok=True)
        Path("/etc/cni/net.d/office.conflist").write_text(json.dumps(document))

    site.host.call(work)


def test_inspect_says_whose_lease_it_is_and_until_when(site: Site) -> None:
    with site.dnsmasq(), site.agent():
        site.add(MACVLAN)
        said = pynet(site, "inspect")
        assert re.search(r"leased until 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d [A-Z+-]", said)
        assert "by 10.6.0.1" in said
        [attached] = json.loads(pynet(site, "inspect", "--json"))["attachments"]
        [lease] = attached["leases"]
        assert (lease["family"], lease["server"], lease["lost"]) == ("ipv4", "10.6.0.1", None)
        assert lease["until"].startswith("20")
    site.end_agent()
    # What there is, is taken.
    site.ip("addr", "add", "10.6.0.200/24", "dev", "eth0", netns="lan")
    with site.dnsmasq(first="10.6.0.200", last="10.6.0.200"), site.agent():
        until(lambda: site.answers()["c1 eth0"]["lost"], "the lease is not lost")
        said = pynet(site, "inspect", status=1)
        assert "the lease of" in said and "another is asked for" in said
        site.good("DEL", MACVLAN)


def test_an_address_that_the_server_took_back_is_not_put_back(site: Site) -> None:
    with site.dnsmasq(), site.agent():
        result = site.add(MACVLAN)
        [address] = site.addresses()
    site.end_agent()
    site.ip("addr", "add", "10.6.0.200/24", "dev", "eth0", netns="lan")
    with site.dnsmasq(first="10.6.0.200", last="10.6.0.200"), site.agent():
        until(lambda: site.answers()["c1 eth0"]["lost"], "the lease is not lost")
        said = pynet(site, "inspect", status=1)
        assert "the DHCP lease (ipv4): state is lost" in said
        assert f"address {address}" not in said and "pynet reload" not in said
        failed = site.call("CHECK", {**MACVLAN, "prevResult": result})
        assert "the DHCP lease (ipv4): state is lost" in failed.document["msg"]
        assert "missing" not in failed.document["msg"]
        assert "detach it and attach it anew" in pynet(site, "reload", status=1)
        assert site.addresses() == {}
        site.good("DEL", MACVLAN)


def test_an_address_that_came_instead_is_the_one_that_is_put_back(site: Site) -> None:
    with site.dnsmasq(), site.agent():
        site.add(MACVLAN)
        [old] = site.addresses()
    site.end_agent()
    with site.dnsmasq(first="10.6.0.200", last="10.6.0.210"), site.agent():
        until(lambda: site.answers()["c1 eth0"]["address"] != old, "it has no other")
        until(lambda: len(site.addresses()) == 1 and old not in site.addresses(), "not there")
        [new] = site.addresses()
        said = pynet(site, "inspect", status=1)
        assert f"address is {new}, should be {old}" in said
        assert "missing" not in said
        site.ip("addr", "flush", "dev", "eth0", netns="c1")
        assert f"address {new} is missing" in pynet(site, "inspect", status=1)
        said = pynet(site, "reload", status=1)
        assert f"address is {new}, should be {old}" in said
        [(address, seconds)] = site.addresses().items()
        assert address == new and seconds <= 7200
        assert b"default via 10.6.0.1" in site.ip("route", netns="c1")
        site.good("DEL", MACVLAN)


def test_an_address_that_is_put_back_stays_as_long_as_its_lease(site: Site) -> None:
    with site.dnsmasq(), site.agent():
        site.add(MACVLAN)
        [address] = site.addresses()
        until(lambda: site.addresses()[address] <= 7200, "its lifetime is not set")
        site.ip("addr", "flush", "dev", "eth0", netns="c1")
        assert f"address {address} was missing" in pynet(site, "reload")
        assert site.addresses()[address] <= 7200
        assert "all as made" in pynet(site, "inspect")
        site.good("DEL", MACVLAN)


def test_a_lease_that_nobody_keeps_is_a_finding(site: Site) -> None:
    with site.dnsmasq():
        with site.agent():
            result = site.add(MACVLAN)
        site.end_agent()
        said = pynet(site, "inspect", status=1)
        assert "the DHCP lease (ipv4): agent is missing; put it back: `pynet agent`" in said
        assert "`pynet agent`" in pynet(site, "reload", status=1)
        failed = site.call("CHECK", {**MACVLAN, "prevResult": result})
        assert "the DHCP lease (ipv4): agent is missing" in failed.document["msg"]
        with site.agent():
            assert "all as made" in pynet(site, "inspect")
            site.good("CHECK", {**MACVLAN, "prevResult": result})
            site.good("DEL", MACVLAN)


def test_without_an_agent_nobody_says_that_an_add_would_work(site: Site) -> None:
    write(site, CONFLIST)
    site.host.container("c1")
    asked = site.call("STATUS", MACVLAN)
    assert asked.code == 50
    assert "the DHCP lease (ipv4) needs the agent" in asked.document["msg"]
    assert "`pynet agent`" in pynet(site, "cni", "status", "office", status=1)
    assert "`pynet agent`" in pynet(site, "cni", "add", "office", "c1", "--dry-run", status=1)
    with site.agent():
        site.good("STATUS", MACVLAN)
        pynet(site, "cni", "status", "office")
        pynet(site, "cni", "add", "office", "c1", "--dry-run")


def test_an_mtu_of_the_servers_is_as_made(site: Site) -> None:
    with site.dnsmasq("--dhcp-option=option:mtu,1400"), site.agent():
        site.add(MACVLAN)
        assert "all as made" in pynet(site, "inspect")
        site.ip("link", "set", "eth0", "mtu", "1300", netns="c1")
        assert "MTU is 1300, should be 1400" in pynet(site, "inspect", status=1)
        site.good("DEL", MACVLAN)


def test_validate_knows_its_keys(site: Site) -> None:
    write(site, CONFLIST)
    assert "is not" not in pynet(site, "network", "validate")
    wrong = {**MACVLAN, "ipam": {"type": "dhcp", "request": [{"option": "frobnicate"}]}}
    write(site, {**CONFLIST, "plugins": [wrong]})
    assert "ipam.request[0].option" in pynet(site, "network", "validate", status=1)


def test_a_dry_run_leases_nothing(site: Site) -> None:
    write(site, CONFLIST)
    with site.dnsmasq() as server, site.agent():
        site.host.container("c1")
        said = pynet(site, "cni", "add", "office", "c1", "--dry-run")
        assert "only an ADD can tell" in said
        assert server.count("DHCPDISCOVER") == 0
        assert site.answers() == {}
