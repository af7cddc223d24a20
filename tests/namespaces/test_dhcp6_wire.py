"""What a DHCPv6 client does on a link: its address there, its socket, probes, and routers."""

from __future__ import annotations

import socket
from contextlib import suppress
from itertools import groupby
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from dhcp6_lab import DUID, IAID, WIRED, Driver, dnsmasq
from dhcp_driving import INTERFACE
from evidence import entered
from scenes import ip, run, wait_for

from pynet.dhcp import advertised, options6
from pynet.dhcp.advertised import Advertised
from pynet.dhcp.client import Bound, Probe
from pynet.dhcp.message6 import Kind, Message, pack, unpack
from pynet.dhcp.options6 import Address, Association
from pynet.dhcp.packets import mac_of
from pynet.dhcp.probe6 import NeighbourProbe
from pynet.dhcp.wire6 import Wire6
from pynet.model.errors import KernelError, TryLater

ENDLESS = f"net.ipv6.neigh.{INTERFACE}.retrans_time_ms=600000"
"""Ten minutes until the kernel has found out whether an address is taken."""
TAKEN, FREE = "fd00:99::7", "fd00:99::8"


@pytest.fixture
def net(net_factory: Any) -> Any:
    return net_factory(WIRED)


def restarted(*settings: str) -> None:
    """The interface goes down and up, as one that has just been made: the kernel looks whether its
    link-local address is taken.
    """
    run(f"ip link set {INTERFACE} down")
    run(f"ip -6 addr flush dev {INTERFACE}")
    for setting in (f"net.ipv6.conf.{INTERFACE}.accept_dad=1", *settings):
        run(f"sysctl -qw {setting}")
    run(f"ip link set {INTERFACE} up")


def own() -> Any:
    """Its link-local address as `ip` shows it."""
    (link,) = (each for each in ip(f"-6 addr show dev {INTERFACE}") if each)
    return next(each for each in link["addr_info"] if each["scope"] == "link")


# --- the link-local address -------------------------------------------------------------


def test_it_waits_for_its_address(net: Any, tmp_path: Path) -> None:
    def scene() -> None:
        restarted()
        driver = Driver()
        driver.start()
        driver.until(Bound)
        assert not own().get("tentative")

    with dnsmasq(net.server, tmp_path, "--dhcp-range=fd00:99::100,fd00:99::1ff,64,2h"):
        net.client.call(scene)


def test_it_need_not_wait_for_its_address(net: Any, tmp_path: Path) -> None:
    def scene() -> None:
        restarted(ENDLESS, f"net.ipv6.conf.{INTERFACE}.optimistic_dad=1")
        driver = Driver()
        driver.start()
        driver.until(Bound)
        assert own()["tentative"] and own()["optimistic"]

    with dnsmasq(net.server, tmp_path, "--dhcp-range=fd00:99::100,fd00:99::1ff,64,2h"):
        net.client.call(scene)


def test_an_address_that_can_t_be_had_is_waited_for_no_longer_than_told(net: Any) -> None:
    def scene() -> None:
        restarted(ENDLESS)
        with pytest.raises(TryLater, match="still looking"):
            Wire6(INTERFACE, seconds=0.1)
        with pytest.raises(TryLater, match="still looking"):
            Wire6(INTERFACE, seconds=600, abandoned=lambda: True)
        restarted(f"net.ipv6.conf.{INTERFACE}.disable_ipv6=1")
        with pytest.raises(TryLater, match=r"no link-local address.*disable_ipv6"):
            Wire6(INTERFACE, seconds=0.1)
        with pytest.raises(OSError, match="No such device"):
            Wire6("none")

    net.client.call(scene)


def test_an_address_that_a_neighbour_has_is_said(net: Any) -> None:
    address = net.client.call(own)["local"]
    net.bystander.place.run(["ip", "addr", "add", f"{address}/64", "dev", INTERFACE, "nodad"])

    def scene() -> None:
        restarted()
        with pytest.raises(KernelError, match=f"{address}.*the same MAC"):
            Wire6(INTERFACE, seconds=30)

    net.client.call(scene)


# --- sockets ----------------------------------------------------------------------------


def test_nothing_keeps_the_namespace_once_all_is_closed(net: Any) -> None:
    def scene() -> None:
        run("ip netns add gone")
        run("sysctl -qw net.ipv6.conf.default.accept_dad=0", netns="gone")
        run("ip link add left type veth peer name eth0 netns gone")
        run("ip link set left up")
        run("ip link set eth0 up", netns="gone")
        with entered("gone"):
            wire = Wire6("eth0", seconds=10)
            probe = NeighbourProbe("eth0", FREE, monotonic())
        run("ip netns del gone")
        wire.send(Driver().client.start(0.0)[0])  # type: ignore[arg-type]
        probe.tick(monotonic())
        assert ip("link show left")
        wire.close()
        probe.close()
        wait_for(lambda: not Path("/sys/class/net/left").exists() and not _there("left"))

    net.client.call(scene)


def _there(interface: str) -> bool:
    with suppress(OSError):
        return bool(socket.if_nametoindex(interface))
    return False


def test_a_client_inside_the_container_is_in_nobody_s_way(net: Any, tmp_path: Path) -> None:
    def scene() -> None:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            other.bind(("::", 546))
            driver = Driver()
            driver.start()
            driver.until(Bound)

    with dnsmasq(net.server, tmp_path, "--dhcp-range=fd00:99::100,fd00:99::1ff,64,2h"):
        net.client.call(scene)


# --- probes -----------------------------------------------------------------------------


def owner(address: str) -> str:
    with NeighbourProbe(INTERFACE, address, monotonic()) as probe:
        while not probe.done:
            probe.tick(monotonic())
            probe.receive()
        return probe.taken_by


def test_who_has_an_address_is_found(net: Any) -> None:
    net.bystander.place.run(["ip", "addr", "add", f"{TAKEN}/64", "dev", INTERFACE, "nodad"])
    assert net.client.call(owner, TAKEN) == net.bystander.call(mac_of, INTERFACE)
    assert net.client.call(owner, FREE) == ""
    assert net.bystander.call(owner, TAKEN) == ""  # its own


def test_of_two_who_probe_at_once_both_see_it(net: Any) -> None:
    def scene() -> str:
        # Its time begins when the other's has, whatever the machine does meanwhile.
        with NeighbourProbe(INTERFACE, FREE, monotonic()) as probe:
            while not probe.done:
                probe.ask()
                probe.receive()
            probe.ask()  # the other may not have been there for the last
            return probe.taken_by

    both = net.client.place.fork_call(scene), net.bystander.place.fork_call(scene)
    found = [each.wait() for each in both]
    assert found == [node.call(mac_of, INTERFACE) for node in (net.bystander, net.client)]


# --- routers ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        ("fd00:99::100,fd00:99::1ff,64", Advertised(managed=True, other=True)),
        ("::,constructor:eth0,ra-stateless", Advertised(managed=False, other=True)),
        ("::,constructor:eth0,ra-only", Advertised(managed=False, other=False)),
    ],
)
@pytest.mark.parametrize("accept", [0, 1], ids=["none accepted", "accepted"])
def test_what_a_router_advertises(
    net: Any, tmp_path: Path, mode: str, said: Advertised, accept: int
) -> None:
    def scene() -> None:
        run(f"sysctl -qw net.ipv6.conf.{INTERFACE}.accept_ra={accept}")
        assert advertised.asked(INTERFACE, 20) == said

    with dnsmasq(net.server, tmp_path, f"--dhcp-range={mode}", "--enable-ra"):
        net.client.call(scene)


def test_where_no_router_is_none_answers(net: Any) -> None:
    assert net.client.call(advertised.asked, INTERFACE, 0.1) is None


def test_what_the_kernel_has_taken_is_not_asked_for(net: Any, tmp_path: Path) -> None:
    def advertising() -> None:
        run(f"sysctl -qw net.ipv6.conf.{INTERFACE}.accept_ra=1")
        assert advertised.asked(INTERFACE, 20) == Advertised(managed=False, other=True)

    with dnsmasq(net.server, tmp_path, "--dhcp-range=::,constructor:eth0,ra-stateless"):
        net.client.call(advertising)
    # Nobody answers any more.
    assert net.client.call(advertised.asked, INTERFACE, 0.0) == Advertised(False, True)


# --- a server that misbehaves -----------------------------------------------------------


def test_a_server_that_misbehaves(net: Any) -> None:
    """Of all that it says only what is right is believed; then it gives for five seconds each."""

    def serve() -> None:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as server:
            server.bind(("::", 547))
            index = socket.if_nametoindex(INTERFACE)
            group = socket.inet_pton(socket.AF_INET6, "ff02::1:2") + index.to_bytes(4, "little")
            server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, group)
            while True:
                payload, client = server.recvfrom(4096)
                for answer in nonsense(unpack(payload)):
                    server.sendto(answer, client)

    def scene() -> None:
        driver = Driver()
        driver.start()
        leases = [driver.until(Bound).lease for _ in range(3)]
        assert {lease.address for lease in leases} == {f"{FREE}/128"}
        assert {lease.lifetime for lease in leases} == {5}
        # What a busy server answers late is sent twice.
        kinds = [kind for kind, _ in groupby(driver.sent)]
        assert kinds == [Kind.SOLICIT, Kind.REQUEST, Kind.RENEW]
        assert [each for each in driver.log if isinstance(each, Probe)] == [Probe(FREE)]

    serving = net.server.place.fork_call(serve)
    net.client.call(scene)
    serving.kill()


def nonsense(asked: Message) -> list[bytes]:
    """Answers to it, the right one the last."""
    kind = Kind.ADVERTISE if asked.kind == Kind.SOLICIT else Kind.REPLY
    server, client = (options6.SERVER_ID, b"\0\3\0\1bad"), (options6.CLIENT_ID, DUID)
    right = ia(FREE, 5)

    def say(*options: tuple[int, bytes], transaction: int = asked.transaction) -> bytes:
        return pack(Message(kind, transaction, options))

    whole = say(server, client, right)
    return [
        b"", b"\2", bytes(2000), whole[:-1], whole[:20], whole + b"\0",
        say(server, client, ia("fd00:99::66", 5), transaction=asked.transaction ^ 1),
        say(client, ia("fd00:99::66", 5)), say(server, ia("fd00:99::66", 5)),
        say(server, (options6.CLIENT_ID, b"\0\4somebody"), ia("fd00:99::66", 5)),
        *(
            say(server, client, ia(address, 5))
            for address in (("ff02::1", "::", "::1", "fe80::1") if kind == Kind.ADVERTISE else ())
        ),
        whole, whole,
    ]  # fmt: skip


def ia(address: str, seconds: int) -> tuple[int, bytes]:
    given = Association(IAID, 0, 0, (Address(address, seconds, seconds),))
    return options6.IA_NA, options6.pack_association(given)
