"""A DHCPv6 client at real servers: dnsmasq's and Kea's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import pytest
from dhcp6_lab import DNS, DOMAINS, PREFIX, WIRED, Driver, dnsmasq, kea
from dhcp_driving import INTERFACE

from pynet.dhcp import options6
from pynet.dhcp.client import Bound, Lease, Lost
from pynet.dhcp.message6 import Kind

MOVED = "fd00:98::/64"
"""Another prefix for the link."""


class Serve(Protocol):
    def __call__(self, prefix: str = PREFIX) -> AbstractContextManager[Path]: ...


@pytest.fixture
def net(net_factory: Any) -> Any:
    return net_factory(WIRED)


@pytest.fixture(params=["dnsmasq", "kea"])
def serve(request: pytest.FixtureRequest, net: Any, tmp_path: Path) -> Serve:
    """Starts a server with addresses."""
    if request.param == "kea":
        return partial(kea, net.server, tmp_path)

    def started(prefix: str = PREFIX) -> AbstractContextManager[Path]:
        start = prefix.partition("/")[0]
        return dnsmasq(net.server, tmp_path, f"--dhcp-range={start}100,{start}1ff,64,2h")

    return started


@pytest.fixture
def server(serve: Serve) -> Iterator[Path]:
    """One that runs; its log."""
    with serve() as log:
        yield log


def taken(**wishes: Any) -> Lease:
    """A lease from nothing."""
    driver = Driver(**wishes)
    driver.start()
    lease: Lease = driver.until(Bound).lease
    return lease


def move(node: Any) -> None:
    """The link has another prefix from now on."""
    start = MOVED.partition("/")[0]
    node.place.run(["ip", "addr", "flush", "dev", INTERFACE, "scope", "global"])
    node.place.run(["ip", "addr", "add", f"{start}1/64", "dev", INTERFACE, "nodad"])


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("rapid_commit", [False, True])
def test_it_gets_an_address_and_what_goes_with_it(net: Any, rapid_commit: bool) -> None:
    def scene() -> None:
        driver = Driver(rapid_commit=rapid_commit)
        driver.start()
        lease = driver.until(Bound).lease
        assert lease.address.startswith("fd00:99::1") and lease.address.endswith("/128")
        said = options6.decoded(lease)
        assert (said.nameservers, said.search) == ((DNS,), (DOMAINS,))
        assert 0 < lease.renew_after < lease.rebind_after < lease.lifetime == 7200
        assert 0 < options6.preferred(lease) <= 7200
        asked = [Kind.SOLICIT, Kind.REQUEST]
        assert driver.sent in ([asked, asked[:1]] if rapid_commit else [asked])

    net.client.call(scene)


def test_kea_commits_rapidly(net: Any, tmp_path: Path) -> None:
    def scene() -> None:
        driver = Driver()
        driver.start()
        driver.until(Bound)
        assert driver.sent == [Kind.SOLICIT]

    with kea(net.server, tmp_path, **{"rapid-commit": True}):
        net.client.call(scene)


@pytest.mark.usefixtures("server")
def test_the_same_container_gets_the_same_address(net: Any) -> None:
    first, again, other = (
        net.client.call(partial(taken, duid=options6.duid(*who)))
        for who in (("c1", "web", "eth0"), ("c1", "web", "eth0"), ("c2", "web", "eth0"))
    )
    assert first.address == again.address != other.address


def test_a_server_is_told_who_asks(net: Any, tmp_path: Path) -> None:
    say = options6.fqdn("web"), options6.user_class(b"blue")
    with dnsmasq(
        net.server, tmp_path, "--dhcp-range=fd00:99::100,fd00:99::1ff,64,2h",
        "--dhcp-userclass=set:blue,blue", "--dhcp-option=tag:blue,option6:dns-server,[fd00:99::b]",
    ) as log:  # fmt: skip
        lease = net.client.call(partial(taken, say=say))
        assert options6.decoded(lease).nameservers == ("fd00:99::b",)
        assert "client provides name: web" in log.read_text()


@pytest.mark.usefixtures("server")
def test_it_is_renewed_and_rebound(net: Any) -> None:
    def scene() -> None:
        driver = Driver()
        driver.start()
        first = driver.until(Bound).lease
        driver.put_forward()
        renewed = driver.until(Bound).lease
        assert renewed.address == first.address
        assert renewed.since > first.since + first.renew_after - 1
        # A restart of the machine, late.
        driver = Driver()
        driver._ahead = first.rebind_after + 10
        driver.resume(first)
        assert driver.until(Bound).lease.address == first.address
        assert driver.sent == [Kind.REBIND]

    net.client.call(scene)


def test_a_short_lease_is_renewed_again_and_again(net: Any, tmp_path: Path) -> None:
    def scene() -> None:
        driver = Driver()
        driver.start()
        leases = [driver.until(Bound).lease for _ in range(4)]
        assert {lease.lifetime for lease in leases} == {4}
        assert len({lease.address for lease in leases}) == 1
        assert Lost not in map(type, driver.log)

    lifetimes = {"valid-lifetime": 4, "preferred-lifetime": 3, "renew-timer": 1, "rebind-timer": 2}
    with kea(net.server, tmp_path, **lifetimes):
        net.client.call(scene)


@pytest.mark.usefixtures("server")
def test_it_is_confirmed_after_a_restart(net: Any) -> None:
    def scene() -> None:
        lease = taken()
        driver = Driver()
        driver.resume(lease)
        assert driver.until(Bound).lease == lease
        assert driver.sent == [Kind.CONFIRM]

    net.client.call(scene)


@pytest.mark.usefixtures("server")
def test_it_is_given_back(net: Any, server: Path) -> None:
    def scene() -> None:
        driver = Driver()
        driver.start()
        driver.until(Bound)
        driver.release()

    net.client.call(scene)
    net.wait(lambda: "RELEASE" in server.read_text())


@pytest.mark.usefixtures("server")
def test_an_address_that_a_neighbour_has_is_declined(net: Any, server: Path) -> None:
    wanted = net.client.call(taken).address.partition("/")[0]
    net.bystander.place.run(["ip", "addr", "add", f"{wanted}/64", "dev", INTERFACE, "nodad"])

    def scene() -> str:
        driver = Driver()
        driver.start()
        lease: Lease = driver.until(Bound).lease
        assert driver.sent.count(Kind.DECLINE) == 1
        return lease.address.partition("/")[0]

    other = net.client.call(scene)
    assert other.startswith("fd00:99::1") and other != wanted
    assert "DECLINE" in server.read_text()


def test_a_server_that_came_up_with_another_prefix(net: Any, serve: Serve, tmp_path: Path) -> None:
    with serve():
        lease = net.client.call(taken)
    (tmp_path / "kea.leases").unlink(missing_ok=True)
    (tmp_path / "dnsmasq.leases").unlink(missing_ok=True)
    move(net.server)

    def confirming() -> None:
        driver = Driver()
        driver.resume(lease)
        assert "not of this link" in driver.until(Lost).why
        assert driver.until(Bound).lease.address.startswith("fd00:98::1")

    def rebinding() -> None:
        """At T1 another server, as which dnsmasq comes up, would not answer."""
        driver = Driver()
        driver._ahead = lease.rebind_after
        driver.do(driver.client.hold(lease, driver.now(), driver.clock()))
        driver.put_forward()
        assert driver.sent[0] == Kind.REBIND
        driver.spin(lambda: driver.client.address.startswith("fd00:98::1"))
        assert [type(each) for each in driver.log].count(Lost) == 1

    with serve(MOVED):
        net.client.call(confirming)
        net.client.call(rebinding)


@pytest.mark.parametrize("name", ["dnsmasq", "kea"])
def test_configuration_alone(net: Any, tmp_path: Path, name: str) -> None:
    def scene() -> None:
        driver = Driver(stateless=True)
        driver.start()
        lease = driver.until(Bound).lease
        said = options6.decoded(lease)
        assert (said.nameservers, said.search) == ((DNS,), (DOMAINS,))
        assert (lease.address, lease.renew_after) == ("", 86400 if name == "dnsmasq" else 7200)
        driver.put_forward()
        driver.until(Bound)
        assert driver.sent == 2 * [Kind.INFORMATION_REQUEST]

    refresh = {"name": "information-refresh-time", "data": "7200"}
    if name == "kea":
        served = kea(net.server, tmp_path, pools=[], more=[refresh])
    else:
        served = dnsmasq(net.server, tmp_path, "--dhcp-range=::,constructor:eth0,ra-stateless")
    with served:
        net.client.call(scene)
