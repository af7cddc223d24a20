"""The DHCPv4 client against dnsmasq and Kea: a whole life of a lease with each."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from dhcp4_lab import CLIENT_ID, LAN, Driver, dnsmasq, kea
from dhcp_driving import INTERFACE, wait_for_server
from drive import Runtime
from references import REFERENCE, VERSION, by_reference, needs_reference

from pynet.dhcp import options4
from pynet.dhcp.client import Action, Bound, Lease, Lost, Send
from pynet.dhcp.client4 import State
from pynet.dhcp.message4 import DECLINE, parse
from pynet.testnets.fixtures.marks import topology
from pynet.testnets.fixtures.net import Net

FIRST_RANGE, OTHER_RANGE = ("10.20.0.50", "10.20.0.51"), ("10.20.0.150", "10.20.0.151")
Serving = Callable[..., AbstractContextManager[Path]]


@pytest.fixture(params=["dnsmasq", "kea"])
def serving(request: pytest.FixtureRequest, net: Net, tmp_path: Path) -> Serving:
    """A server at 10.20.0.1 with that range, knowing what it gave the last time.

    Where `reserved` is given, the client is to have that address and no other.
    """

    def serve(
        addresses: tuple[str, str] = FIRST_RANGE, reserved: str = ""
    ) -> AbstractContextManager[Path]:
        more: dict[str, Any] = {}
        if request.param == "dnsmasq":
            hosts = [f"--dhcp-host=id:{CLIENT_ID.hex(':')},{reserved}"] if reserved else []
            return dnsmasq(net.server, tmp_path, *addresses, *hosts)
        if reserved:
            host = {"client-id": CLIENT_ID.hex(), "ip-address": reserved}
            more["reservations"] = [host]
        return kea(net.server, tmp_path, " - ".join(addresses), **more)

    return serve


def leased() -> Lease:
    """A fresh client's lease, which it has on its interface."""
    driver = Driver()
    driver.start()
    lease: Lease = driver.until(Bound).lease
    driver.configure(lease)
    return lease


def in_range(lease: Lease, addresses: tuple[str, str]) -> bool:
    return lease.address.partition("/")[0] in addresses


@topology(LAN)
def test_it_is_given_renewed_confirmed_and_released(net: Net, serving: Serving) -> None:
    def live() -> None:
        driver = Driver()
        driver.start()
        lease = driver.until(Bound).lease
        assert in_range(lease, FIRST_RANGE)
        assert lease.address.endswith("/24")
        driver.configure(lease)

        driver.put_forward()
        assert driver.client.state is State.RENEWING
        renewed = driver.until(Bound).lease
        assert renewed.address == lease.address
        assert renewed.since > lease.since

        again = Driver()
        again.resume(renewed)
        assert again.until(Bound).lease.address == lease.address
        assert [action.to for action in again.log if isinstance(action, Send)] == [""]
        # However long it takes to find the server, what was sent has left when it is released.
        subprocess.run(["ip", "neigh", "flush", "dev", INTERFACE], check=True)
        again.release()
        subprocess.run(["ip", "link", "del", INTERFACE], check=True)

    with serving() as log:
        net.client.call(live)
        net.wait(lambda: "RELEASE" in log.read_text())


@topology(LAN)
def test_a_lease_whose_address_is_gone_already_is_released(net: Net, serving: Serving) -> None:
    def live() -> None:
        lease = leased()
        driver = Driver()
        driver.client.hold(lease, driver.now(), driver.clock())
        subprocess.run(["ip", "addr", "flush", "dev", INTERFACE], check=True)
        driver.release()

    with serving() as log:
        net.client.call(live)
        net.wait(lambda: "RELEASE" in log.read_text())


@topology(LAN)
def test_a_server_that_is_back_in_time_is_asked_with_all_others(net: Net, serving: Serving) -> None:
    def outlast(lease: Lease) -> None:
        driver = Driver()
        driver.client.hold(lease, driver.now(), driver.clock())
        while driver.client.state is not State.REBINDING:
            driver.put_forward()
        assert driver.until(Bound).lease.address == lease.address
        assert [action.to for action in driver.log if isinstance(action, Send)][-1] == ""

    with serving():
        lease = net.client.call(leased)
    with serving():
        net.client.call(outlast, lease)


@pytest.mark.parametrize("way", ["renewing", "rebooting"])
@topology(LAN)
def test_a_server_that_has_another_address_for_it_now_takes_the_first_back(
    net: Net, serving: Serving, way: str
) -> None:
    with serving():
        lease = net.client.call(leased)
    with serving(reserved="10.20.0.77"):
        assert net.client.call(refused, lease, way).address == "10.20.0.77/24"


@pytest.mark.parametrize("way", ["renewing", "rebooting"])
@topology(LAN)
def test_a_server_that_serves_another_range_now_takes_it_back(
    net: Net, tmp_path: Path, way: str
) -> None:
    """Of dnsmasq; Kea says nothing to who asks for an address outside its pools."""
    with dnsmasq(net.server, tmp_path, *FIRST_RANGE):
        lease = net.client.call(leased)
    with dnsmasq(net.server, tmp_path, *OTHER_RANGE):
        assert in_range(net.client.call(refused, lease, way), OTHER_RANGE)


def refused(lease: Lease, way: str) -> Lease:
    """The lease that comes after it."""
    driver = Driver()
    if way == "rebooting":
        driver.resume(lease)
    else:
        driver.client.hold(lease, driver.now(), driver.clock())
        driver.put_forward()
    assert "refuses" in driver.until(Lost).why
    subprocess.run(["ip", "addr", "flush", "dev", INTERFACE], check=True)
    found: Lease = driver.until(Bound).lease
    return found


@topology(LAN)
def test_an_address_that_somebody_has_is_declined(net: Net, serving: Serving) -> None:
    """The client forgets what it was given, so that it is offered the same again."""

    def forget() -> Lease:
        lease = leased()
        subprocess.run(["ip", "addr", "flush", "dev", INTERFACE], check=True)
        return lease

    def ask() -> tuple[list[int], Lease]:
        driver = Driver()
        driver.start()
        driver.spin(lambda: DECLINE in kinds(driver))
        assert mac in driver.client.trouble
        driver.put_forward()
        found = driver.until(Bound).lease
        return kinds(driver), found

    with serving() as log:
        lease = net.client.call(forget)
        net.third.run(f"ip addr add {lease.address} dev eth0")
        mac = net.third.run("cat /sys/class/net/eth0/address").stdout.decode().strip()
        sent, found = net.client.call(ask)
        assert sent.count(DECLINE) == 1
        assert found.address != lease.address
        assert in_range(found, FIRST_RANGE)
        assert "DECLINE" in log.read_text()


def kinds(driver: Driver) -> list[int]:
    return [parse(action.payload).kind for action in driver.log if isinstance(action, Send)]


@topology(LAN)
def test_all_that_dnsmasq_says_of_the_network(net: Net, tmp_path: Path) -> None:
    said = (
        "--dhcp-option=option:router,10.20.0.254",
        "--dhcp-option=option:static-route,192.168.7.0,10.20.0.3",
        "--dhcp-option=option:dns-server,10.20.0.53,10.20.0.54",
        "--dhcp-option=option:mtu,1400",
        "--domain=example.org",
        "--dhcp-option=option:domain-search,a.example.org,example.org",
        "--dhcp-option=option:T1,100",
        "--dhcp-option=option:T2,200",
    )
    routes = "--dhcp-option=option:classless-static-route,0.0.0.0/0,10.20.0.9,10.9.0.0/16,10.20.0.8"
    with dnsmasq(net.server, tmp_path, *FIRST_RANGE, *said):
        lease = net.client.call(leased)
    found = options4.decoded(lease)
    assert (lease.renew_after, lease.rebind_after, lease.lifetime) == (100, 200, 7200)
    assert found.gateway == "10.20.0.254"
    assert found.routes == (("0.0.0.0/0", "10.20.0.254"), ("192.168.7.0/24", "10.20.0.3"))
    assert found.nameservers == ("10.20.0.53", "10.20.0.54")
    assert (found.mtu, found.domain) == (1400, "example.org")
    assert found.search == ("a.example.org", "example.org")
    with dnsmasq(net.server, tmp_path, *FIRST_RANGE, *said, routes):
        found = options4.decoded(net.client.call(leased))
    assert found.gateway == "10.20.0.9"
    assert found.routes == (("0.0.0.0/0", "10.20.0.9"), ("10.9.0.0/16", "10.20.0.8"))


@topology(LAN)
def test_a_lease_of_five_seconds_is_renewed_again_and_again(net: Net, tmp_path: Path) -> None:
    def live() -> list[Action]:
        driver = Driver()
        driver.start()
        driver.configure(driver.until(Bound).lease)
        for _ in range(5):
            driver.put_forward()
            assert driver.until(Bound).lease.lifetime == 5
        return driver.log

    with kea(net.server, tmp_path, " - ".join(FIRST_RANGE), **{"valid-lifetime": 5}):
        log = net.client.call(live)
    assert not any(isinstance(action, Lost) for action in log)
    assert len([action for action in log if isinstance(action, Bound)]) == 6


@topology(LAN)
def test_a_list_of_routes_longer_than_an_option(net: Net, tmp_path: Path) -> None:
    """RFC 3396: dnsmasq fails at 255 bytes, Kea sends fragments."""
    many = [f"10.{number}.0.0/16 - 10.20.0.1" for number in range(100)]
    option: dict[str, Any] = {"code": 121, "space": "dhcp4", "csv-format": False}
    option["data"] = "".join(f"100a{number:02x}0a140001" for number in range(100))
    with kea(net.server, tmp_path, " - ".join(FIRST_RANGE), **{"option-data": [option]}):
        found = options4.decoded(net.client.call(leased))
    assert [f"{destination} - {gateway}" for destination, gateway in found.routes] == many


@needs_reference("dhcp")
@topology(LAN)
def test_reservations_for_the_reference_s_identifier_carry_over(net: Net, tmp_path: Path) -> None:
    """dnsmasq reserves for the identifier of ours, and both are given the address."""
    reserved = f"--dhcp-host=id:{CLIENT_ID.hex(':')},10.20.0.77"
    with dnsmasq(net.server, tmp_path, *FIRST_RANGE, reserved):
        assert net.client.call(leased_by_reference, tmp_path) == "10.20.0.77/24"
        net.client.run("ip addr flush dev eth0")
        assert net.client.call(leased).address == "10.20.0.77/24"


def leased_by_reference(folder: Path) -> str:
    path = folder / "dhcp.sock"
    ipam = {"type": "dhcp", "daemonSocketPath": str(path)}
    network = {"cniVersion": VERSION, "name": "web", "type": "dhcp", "ipam": ipam}
    runtime = Runtime("c" * 64, f"/proc/{os.getpid()}/ns/net", INTERFACE)
    daemon = [REFERENCE / "dhcp", "daemon", "-socketpath", path]
    with subprocess.Popen(daemon, stderr=subprocess.DEVNULL) as process:
        try:
            wait_for_server(path.exists, process)
            address: str = by_reference("ADD", network, runtime)["ips"][0]["address"]
            return address
        finally:
            process.terminate()
