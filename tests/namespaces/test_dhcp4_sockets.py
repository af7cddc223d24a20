"""The sockets of a DHCPv4 client: what they hear, and what they hold."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from dhcp4_answers import SERVER, answer
from dhcp4_lab import LAN
from dhcp4_rogue import frame
from pair import Pair

from pynet.dhcp import options4
from pynet.dhcp.client import Send
from pynet.dhcp.message4 import OFFER, Message, build, parse
from pynet.dhcp.packets import mac_of
from pynet.dhcp.probe4 import ArpProbe
from pynet.dhcp.wire4 import Wire4
from pynet.kernel.namespaces import entered
from pynet.testnets.fixtures.marks import topology
from pynet.testnets.fixtures.net import Net


@topology(LAN)
def test_only_whole_answers_to_this_client_are_heard(net: Net, tmp_path: Path) -> None:
    def listen() -> list[int]:
        with Wire4("eth0") as wire:
            (tmp_path / "mac").write_text(mac_of("eth0"))
            (tmp_path / "ready").touch()
            heard: list[int] = []
            end = time.monotonic() + 20
            while LAST not in heard:
                assert time.monotonic() < end
                if (payload := wire.receive()) is not None:
                    heard.append(parse(payload).xid)
            return heard

    def speak() -> None:
        mine, mac = (tmp_path / "mac").read_text(), mac_of("eth0")
        frames = [
            frame(offer(1, mine), mac, damage=1),
            frame(offer(2, mine), mac, fragment=0x2000),
            frame(offer(3, mine), mac, fragment=0x0010),
            frame(offer(4, "02:00:00:00:00:77"), mac),
            frame(build(Message(kind=1, xid=5, mac=mine)), mac),
            frame(offer(6, mine), mac),
            frame(offer(LAST, mine), mac),
        ]
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
            for each in frames:
                sock.sendto(each, ("eth0", 0))

    with net.client.place.fork_call(listen) as listening:
        net.wait((tmp_path / "ready").exists)
        net.server.call(speak)
        assert listening.wait() == [6, LAST]


LAST = 99


def offer(xid: int, mac: str) -> bytes:
    return answer(OFFER, Message(kind=1, xid=xid, mac=mac))


@topology(LAN)
def test_a_neighbour_who_has_an_address_is_found_however_he_shows_it(
    net: Net, tmp_path: Path
) -> None:
    """He answers, sends from it, or is about to take it too."""

    def probe(address: str) -> tuple[bool, str]:
        with ArpProbe("eth0", address, time.monotonic()) as arp:
            (tmp_path / address).touch()
            while not arp.done:
                arp.receive()
                arp.tick(time.monotonic())
            return arp.done, arp.taken_by

    def probe_without_end(address: str) -> None:
        while True:
            probe(address)

    net.third.run("ip addr add 10.20.0.30/24 dev eth0")
    mac = net.third.run("cat /sys/class/net/eth0/address").stdout.decode().strip()
    assert net.client.call(probe, "10.20.0.30") == (True, mac)
    assert net.client.call(probe, "10.20.0.31") == (True, "")
    with net.third.place.fork_call(probe_without_end, "10.20.0.32"):
        net.wait((tmp_path / "10.20.0.32").exists)
        net.wait(lambda: net.client.call(probe, "10.20.0.32") == (True, mac))


def raw() -> Wire4:
    return Wire4("eth0")


def with_address() -> Wire4:
    return Wire4("eth0", "10.20.0.9")


def probing() -> ArpProbe:
    return ArpProbe("eth0", "10.20.0.10", time.monotonic())


@pytest.mark.parametrize("opened", [raw, with_address, probing])
def test_a_namespace_lives_on_no_longer_than_its_socket(
    pair: Pair, opened: Callable[[], Wire4 | ArpProbe]
) -> None:
    there = f"/proc/{os.getpid()}/fd/{pair.host}"
    link = f"link add eth0 type veth peer name host0 netns {there}"
    pair.run(pair.sandbox, "ip", *link.split())
    pair.run(pair.host, "ip", "link", "set", "host0", "up")
    pair.run(pair.sandbox, "ip", "link", "set", "eth0", "up")
    pair.run(pair.sandbox, "ip", "addr", "add", "10.20.0.9/24", "dev", "eth0")
    with entered(pair.sandbox):
        wire = opened()
    pair.replace_sandbox()
    assert host_end(pair)
    wire.close()
    end = time.monotonic() + 20
    while host_end(pair):
        assert time.monotonic() < end
        time.sleep(0.01)


def host_end(pair: Pair) -> bool:
    return any(link["ifname"] == "host0" for link in pair.ip(pair.host, "link"))


@topology(LAN)
def test_a_client_inside_may_have_the_port_too(net: Net, tmp_path: Path) -> None:
    """A container's own DHCP client, on another interface."""

    def both() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as theirs:
            theirs.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            theirs.bind(("", 68))
            theirs.setblocking(False)
            with Wire4("eth0", "10.20.0.9") as wire:
                (tmp_path / "mac").write_text(mac_of("eth0"))
                wire.send(Send(build(Message(kind=3, xid=1, mac=mac_of("eth0"))), to=SERVER))
                end = time.monotonic() + 20
                while (payload := wire.receive()) is None:
                    assert time.monotonic() < end
                assert parse(payload).option(options4.SERVER) == options4.packed(SERVER)
                with pytest.raises(BlockingIOError):
                    theirs.recv(4096)

    def reply() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("", 67))
            (tmp_path / "ready").touch()
            data, (source, port) = sock.recvfrom(4096)
            assert (source, port) == ("10.20.0.9", 68)
            sock.sendto(answer(5, parse(data)), (source, port))

    net.client.run("ip addr add 10.20.0.9/24 dev eth0")
    with net.server.place.fork_call(reply):
        net.wait((tmp_path / "ready").exists)
        net.client.call(both)


@topology(LAN)
def test_what_was_sent_has_left_when_it_is_flushed(net: Net, tmp_path: Path) -> None:
    """The server answers who asks for his MAC late, and the interface goes at once."""

    def give_back() -> None:
        with Wire4("eth0", "10.20.0.9") as wire:
            wire.send(Send(build(Message(kind=7, xid=1, mac=mac_of("eth0"))), to=SERVER))
            (tmp_path / "sent").touch()
            wire.flush(20)
        subprocess.run(["ip", "link", "del", "eth0"], check=True)

    def receive() -> int:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("", 67))
            sock.settimeout(20)
            (tmp_path / "ready").touch()
            return parse(sock.recv(4096)).kind

    net.client.run("ip addr add 10.20.0.9/24 dev eth0")
    net.server.run("ip link set eth0 arp off")
    with net.server.place.fork_call(receive) as receiving:
        net.wait((tmp_path / "ready").exists)
        with net.client.place.fork_call(give_back) as giving:
            net.wait((tmp_path / "sent").exists)
            net.server.run("ip link set eth0 arp on")
            giving.wait()
        assert receiving.wait() == 7
