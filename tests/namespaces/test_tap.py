"""`tap`: programs at its other end, what CHECK sees of it, DEL whatever became of it, bad input."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import tapping
from drive import TAP, Runtime
from evidence import entered
from scenes import PATIENCE, add, container, frame, in_host, ip, refused, run, succeed, wait_for

RANGES = [[{"subnet": "10.3.0.0/24"}], [{"subnet": "fd00:3::/64"}]]
DUAL = {**TAP, "ipam": {"type": "host-local", "ranges": RANGES}}
PLAIN = {key: value for key, value in TAP.items() if key in ("cniVersion", "name", "type")}
FAR = "02:00:00:00:33:01"
TEXT = b"by way of a program"


class Program:
    """One at the other end of tap NAME in the container c1, under user id `uid`."""

    def __init__(self, name: str, *, uid: int = 0, queues: bool = False) -> None:
        words = ["nsenter", "--net=/run/netns/c1", "setpriv", f"--reuid={uid}", "--regid=7"]
        words += ["--clear-groups", "--inh-caps=-all", sys.executable, "-I", tapping.__file__]
        self._process = subprocess.Popen(
            [*words, name, *(["queues"] if queues else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert self._process.stdout and self._process.stdin
        self._in, self._out = self._process.stdin, self._process.stdout
        self.is_open = self._out.readline() == b"open\n"

    @property
    def pid(self) -> int:
        return self._process.pid

    def write(self, data: bytes) -> None:
        self._in.write(data.hex().encode() + b"\n")
        self._in.flush()

    def read(self, wanted: Callable[[bytes], bool]) -> bytes:
        """The first frame of that sort; the kernel sends some of its own."""
        while line := self._out.readline():
            if wanted(found := bytes.fromhex(line.decode())):
                return found
        raise AssertionError("it has ended")

    def end(self) -> str:
        self._in.close()
        assert self._process.stderr
        said = self._process.stderr.read().decode()
        self._process.wait()
        return said


@contextmanager
def programs(*names: str, **how: Any) -> Iterator[list[Program]]:
    started = [Program(name, **how) for name in names]
    assert all(each.is_open for each in started), [each.end() for each in started]
    yield started
    for each in started:
        each.end()


def open_to_all() -> None:
    """A device node that its owner alone is not needed for, where this host sees it."""
    os.mknod("/run/tun", 0o600 | 0o020000, os.makedev(10, 200))
    Path("/run/tun").chmod(0o666)
    run("mount --bind /run/tun /dev/net/tun")


def attached(config: dict[str, Any], **fields: Any) -> tuple[Runtime, dict[str, Any]]:
    runtime = container("c1", **fields)
    return runtime, add(config, runtime)


def mac(name: str) -> str:
    return str(ip(f"link show {name}", "c1")[0]["address"])


@in_host
def test_two_programs_exchange_frames_by_a_bridge_of_the_container() -> None:
    runtime = container("c1")
    run("ip -n c1 link add br0 type bridge")
    run("ip -n c1 link set br0 up")
    config = {**PLAIN, "bridge": "br0", "mtu": 1400}
    results = {
        name: add(config, Runtime("c1", runtime.netns, interface=name)) for name in ("eth0", "eth1")
    }
    with programs("eth0", "eth1") as (one, other):
        there, back = frame(FAR, "02:00:00:00:33:02", b"there"), frame("02:00:00:00:33:02", FAR,
                                                                        b"back")  # fmt: skip
        one.write(there)
        assert other.read(there.__eq__) == there
        other.write(back)
        assert one.read(back.__eq__) == back
    for name, result in results.items():
        (link,) = ip(f"-d link show {name}", "c1")
        assert (link["master"], link["mtu"]) == ("br0", 1400)
        assert result["interfaces"] == [
            {"name": name, "mac": link["address"], "mtu": 1400, "sandbox": runtime.netns}
        ]
        assert result.get("ips", []) == []
        each = Runtime("c1", runtime.netns, interface=name)
        succeed("CHECK", {**config, "prevResult": result}, each)
        succeed("DEL", config, each)
    assert {each["ifname"] for each in ip("link", "c1")} == {"lo", "br0"}


@pytest.mark.parametrize("queues", [False, True])
@pytest.mark.parametrize(
    ("source", "target"), [("10.3.0.2", "10.3.0.9"), ("fd00:3::2", "fd00:3::9")]
)
@in_host
def test_a_program_exchanges_packets_with_the_container(
    source: str, target: str, queues: bool
) -> None:
    runtime, result = attached({**DUAL, "multiQueue": queues})
    assert [each["address"] for each in result["ips"]] == ["10.3.0.2/24", "fd00:3::2/64"]
    run(f"ip -n c1 neigh add {target} lladdr {FAR} dev eth0 nud permanent")
    family = socket.AF_INET6 if ":" in source else socket.AF_INET
    with programs("eth0", queues=queues) as (program,), entered("c1"):
        sock = socket.socket(family, socket.SOCK_DGRAM)
        sock.settimeout(PATIENCE)
        sock.bind((source, 9))
        wait_for(lambda: ip("link show eth0", "c1")[0]["operstate"] == "UP")
        sock.sendto(TEXT, (target, 9))
        sent = program.read(lambda found: TEXT in found)
        assert sent[:12].hex(":") == f"{FAR}:{mac('eth0')}"
        assert ip_address(source).packed + ip_address(target).packed in sent
        # Back to where it came from: the sums of both headers stay what they are.
        packet = sent[12:].replace(
            ip_address(source).packed + ip_address(target).packed,
            ip_address(target).packed + ip_address(source).packed,
        )
        program.write(sent[6:12] + sent[:6] + packet)
        assert sock.recvfrom(100)[0] == TEXT
    succeed("CHECK", {**DUAL, "multiQueue": queues, "prevResult": result}, runtime)
    succeed("DEL", DUAL, runtime)
    assert [each["ifname"] for each in ip("link", "c1")] == ["lo"]


@pytest.mark.parametrize(
    ("who", "uid"),
    [({"owner": 1234}, 1234), ({"owner": 2**32 - 2}, 2**32 - 2), ({"group": 7}, 99)],
)
@in_host
def test_it_is_its_owners_and_its_groups(who: dict[str, int], uid: int) -> None:
    open_to_all()
    config = {**PLAIN, **who}
    runtime, result = attached(config)
    with programs("eth0", uid=uid):
        pass
    stranger = Program("eth0", uid=4321) if "owner" in who else None
    assert stranger is None or not stranger.is_open
    assert stranger is None or "Operation not permitted" in stranger.end()
    succeed("CHECK", {**config, "prevResult": result}, runtime)


@in_host
def test_several_queues() -> None:
    attached({**PLAIN, "multiQueue": True})
    with programs("eth0", "eth0", queues=True):
        (link,) = ip("-d link show eth0", "c1")
        assert link["linkinfo"]["info_data"]["numqueues"] == 2


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        ({}, "02:00:00:00:33:03"),
        ({"environ": {"CNI_ARGS": "MAC=02:00:00:00:33:04"}}, "02:00:00:00:33:04"),
        ({"args": {"cni": {"mac": "02:00:00:00:33:05"}}}, "02:00:00:00:33:05"),
        ({"runtimeConfig": {"mac": "02:00:00:00:33:06"}}, "02:00:00:00:33:06"),
    ],
)
@in_host
def test_whose_mac_it_has(last: dict[str, Any], expected: str) -> None:
    """Also where both owner and group are given: the reference has none of it then."""
    changes = {key: value for key, value in last.items() if key != "environ"}
    config = {**PLAIN, "mac": "02:00:00:00:33:03", "owner": 0, "group": 0, **changes}
    _, result = attached(config, environ=last.get("environ", {}))
    assert mac("eth0") == result["interfaces"][0]["mac"] == expected


@in_host
def test_without_selinux_its_context_has_no_effect() -> None:
    attached({**PLAIN, "selinuxContext": "system_u:system_r:container_t:s0"})


def _enforcing() -> None:
    run("mount -t tmpfs tmpfs /sys/fs")
    Path("/sys/fs/selinux").mkdir()
    Path("/sys/fs/selinux/enforce").write_text("1")


@in_host
def test_with_selinux_its_context_is_refused() -> None:
    _enforcing()
    config = {**PLAIN, "selinuxContext": "system_u:system_r:container_t:s0"}
    refused(2, "selinuxContext system_u:system_r:container_t:s0", "ADD", config, container("c1"))


# --- what CHECK sees --------------------------------------------------------------------------


def goes_down() -> None:
    run("ip -n c1 link set eth0 down")


def takes_less() -> None:
    run("ip -n c1 link set eth0 mtu 1300")


def is_gone() -> None:
    run("ip -n c1 link del eth0")


def leaves_its_bridge() -> None:
    run("ip -n c1 link set eth0 nomaster")


def is_anybodys() -> None:
    is_gone()
    run("ip -n c1 tuntap add eth0 mode tap multi_queue")
    run("ip -n c1 link set eth0 address 02:00:00:00:33:03 mtu 1400 master br0 up")


def is_a_tun() -> None:
    is_gone()
    run("ip -n c1 tuntap add eth0 mode tun user 0 multi_queue")


@pytest.mark.parametrize(
    ("happens", "words"),
    [
        (goes_down, "eth0: state is down, should be up"),
        (takes_less, "eth0: MTU is 1300, should be 1400"),
        (is_gone, "eth0 is missing"),
        (leaves_its_bridge, "eth0: master is none, should be br0"),
        (is_anybodys, "eth0: owner is none, should be 0"),
        (is_a_tun, "eth0: mode is tun, should be tap"),
    ],
)
@in_host
def test_check_sees_what_becomes_of_it(happens: Callable[[], None], words: str) -> None:
    runtime = container("c1")
    run("ip -n c1 link add br0 type bridge")
    config = {**TAP, "mac": "02:00:00:00:33:03", "mtu": 1400, "bridge": "br0"}
    result = add(config, runtime)
    given = {**config, "prevResult": result}
    succeed("CHECK", given, runtime)
    happens()
    refused(101, words, "CHECK", given, runtime)
    succeed("DEL", given, runtime)


def is_renamed() -> None:
    run("ip -n c1 link set eth0 down name up7")


def is_renamed_and_has_another_mac() -> None:
    run("ip -n c1 link set eth0 down name up7 address 02:00:00:00:33:77")


@pytest.mark.parametrize(
    "happens",
    [
        leaves_its_bridge, takes_less, is_gone, is_renamed, is_renamed_and_has_another_mac,
        is_anybodys,
    ],
)  # fmt: skip
@in_host
def test_reload_makes_it_what_it_was(happens: Callable[[], None]) -> None:
    runtime = container("c1")
    run("ip -n c1 link add br0 type bridge")
    config = {**TAP, "mac": "02:00:00:00:33:03", "mtu": 1400, "bridge": "br0"}
    given = {**config, "prevResult": add(config, runtime)}
    happens()
    if happens is is_anybodys:
        is_gone()  # what is another's is not made over
    subprocess.run([sys.executable, "-I", "-m", "pynet.cli", "reload"], capture_output=True)
    succeed("CHECK", given, runtime)
    assert {each["ifname"] for each in ip("link", "c1")} == {"lo", "br0", "eth0"}


@pytest.mark.parametrize("happens", [is_renamed, is_renamed_and_has_another_mac])
@in_host
def test_one_that_was_renamed_is_deleted_and_another_of_its_mac_stays(
    happens: Callable[[], None],
) -> None:
    runtime = container("c1")
    configs = [{**PLAIN, "mac": "02:00:00:00:33:03", "name": name} for name in ("web", "other")]
    elsewhere = Runtime("c1", runtime.netns, interface="eth1")
    add(configs[0], runtime)
    result = add(configs[1], elsewhere)
    happens()
    succeed("DEL", configs[0], runtime)
    assert [each["ifname"] for each in ip("link", "c1")] == ["lo", "eth1"]
    succeed("CHECK", {**configs[1], "prevResult": result}, elsewhere)


@in_host
def test_it_is_deleted_while_a_program_has_it_open() -> None:
    runtime, _ = attached(TAP)
    with programs("eth0", queues=True) as (program,):
        succeed("DEL", TAP, runtime)
        assert [each["ifname"] for each in ip("link", "c1")] == ["lo"]
        program.end()


@in_host
def test_it_is_deleted_in_a_namespace_that_only_a_program_keeps() -> None:
    """By its number: no path leads there, and nobody is entered."""
    attached(TAP)
    kept = Program("eth0", queues=True)
    assert kept.is_open
    run("ip netns del c1")
    assert "eth0" in run(f"nsenter --net=/proc/{kept.pid}/ns/net ip -br link")
    succeed("DEL", TAP)
    assert "File descriptor in bad state" in kept.end()


# --- bad input ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"bridge": "br7"}, 7, 'bridge: there is no bridge "br7" in /run/netns/c1'),
        ({"bridge": "lo"}, 7, 'bridge: there is no bridge "lo"'),
        ({"bridge": "a/b"}, 7, "bridge"),
        ({"mtu": 20}, 7, "mtu: 20 is not within 68..65535"),
        ({"mtu": 65535}, 102, "mtu"),
        ({"mac": "01:00:00:00:00:01"}, 7, "is not a unicast MAC address"),
        ({"owner": -1}, 7, "owner"),
        ({"group": 2**32}, 7, "group"),
        ({"owner": "root"}, 7, "owner"),
        ({"multiQueue": 1}, 7, "multiQueue"),
    ],
)
@in_host
def test_what_can_not_be_is_refused_by_its_key(
    changes: dict[str, Any], code: int, words: str
) -> None:
    refused(code, words, "ADD", {**TAP, **changes}, container("c1"))


@pytest.mark.parametrize("kind", ["tap", "veth"])
@in_host
def test_an_interface_of_that_name_stands_in_the_way(kind: str) -> None:
    runtime = container("c1")
    make = "tuntap add eth0 mode tap" if kind == "tap" else "link add eth0 type veth peer name x"
    run(f"ip -n c1 {make}")
    refused(100, "container interface eth0 already exists", "ADD", TAP, runtime)


@in_host
def test_without_the_device_of_taps() -> None:
    run("mount -t tmpfs tmpfs /dev/net")
    refused(102, "/dev/net/tun: No such file or directory; `modprobe tun`", "ADD", TAP,
            container("c1"))  # fmt: skip
