"""What passes an interface, in a file that others read."""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pynet.testnets.checks.capturing import capture
from pynet.testnets.lab.forked import LabError
from pynet.testnets.lab.lab import Lab
from pynet.testnets.lab.place import Place


@pytest.fixture
def pair(lab: Lab) -> Iterator[tuple[Place, Place]]:
    one, other = lab.host("h1"), lab.host("h2")
    ends = (["10.9.0.1/24"], ["10.9.0.2/24"])
    lab.wire(one, "eth1", other, "eth1", addresses=ends)
    near, far = (
        Place(host.name, "host", host, None, {"eth1": (text,)})
        for host, (text,) in zip((one, other), ends, strict=True)
    )
    yield near, far


def records(data: bytes) -> list[tuple[int, int, bytes]]:
    """Seconds, nanoseconds, frame: a pcap file by its own definition, read independently."""
    magic, major, minor, _, _, longest, link = struct.unpack_from("=IHHiIII", data)
    assert (magic, major, minor, link) == (0xA1B23C4D, 2, 4, 1)
    found, at = [], 24
    while at < len(data):
        seconds, nanoseconds, here, whole = struct.unpack_from("=IIII", data, at)
        assert here == whole <= longest
        found.append((seconds, nanoseconds, data[at + 16 : at + 16 + here]))
        at += 16 + here
    return found


def test_all_that_passes_is_written(pair: tuple[Place, Place], tmp_path: Path) -> None:
    near, _ = pair
    near.run(["ping", "-c", "1", "10.9.0.2"])
    path = tmp_path / "ping.pcap"
    with capture(near, "eth1", path) as taken:
        near.run(["ping", "-c", "3", "-i", "0.01", "-s", "1000", "10.9.0.2"])
    found = records(path.read_bytes())
    assert taken.packets == len(found)
    echoes = [frame for _, _, frame in found if frame[12:14] == b"\x08\x00" and frame[23] == 1]
    assert [frame[34] for frame in echoes] == [8, 0] * 3
    assert {len(frame) for frame in echoes} == {14 + 20 + 8 + 1000}
    times = [(seconds, nanoseconds) for seconds, nanoseconds, _ in found]
    assert times == sorted(times)
    assert all(nanoseconds < 1_000_000_000 for _, nanoseconds in times)
    # It becomes another user, which root of a user namespace can't.
    if shutil.which("tcpdump") and Path("/proc/self/setgroups").read_text() == "allow\n":
        done = subprocess.run(
            ["tcpdump", "-nr", path, "icmp"],
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.count("10.9.0.1 > 10.9.0.2: ICMP echo request") == 3
        assert done.stdout.count("10.9.0.2 > 10.9.0.1: ICMP echo reply") == 3


def test_what_passed_before_and_after_is_not(pair: tuple[Place, Place], tmp_path: Path) -> None:
    near, _ = pair
    near.run(["ping", "-c", "1", "10.9.0.2"])
    with capture(near, "lo", tmp_path / "none.pcap") as taken:
        near.run(["ping", "-c", "1", "10.9.0.2"])
    near.run(["ping", "-c", "1", "127.0.0.1"])
    assert taken.packets == 0
    assert records((tmp_path / "none.pcap").read_bytes()) == []


def test_an_interface_that_is_not_there(pair: tuple[Place, Place], tmp_path: Path) -> None:
    with (
        pytest.raises(LabError, match=r"'eth7': No such device; there is lo, eth1"),
        capture(pair[0], "eth7", tmp_path / "none.pcap"),
    ):
        pass


def test_an_error_inside_ends_the_capture(pair: tuple[Place, Place], tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), capture(pair[0], "eth1", tmp_path / "some.pcap"):
        raise ZeroDivisionError
