"""Labs: what a fake host has of its own, that labs leave nothing, and that they need no root."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lab_census import lab_processes

from pynet.testnets.lab import holder
from pynet.testnets.lab.internet import HOST_ADDRESSES, Internet
from pynet.testnets.lab.lab import CommandFailed, DiedBySignal, Forked, Host, Lab, LabError

PR_SET_DUMPABLE = 4
SOURCES = Path(__file__).parents[2] / "src"


def census(processes: frozenset[int]) -> tuple[set[str], list[str], set[int], set[str]]:
    """Our mounts and links, the processes that descend from us or are in `processes`, and the
    network namespaces they are in."""
    alive = {pid for pid in processes if Path(f"/proc/{pid}").exists()} | children(os.getpid())
    namespaces = set()
    for pid in alive | {os.getpid()}:
        with contextlib.suppress(OSError):
            namespaces.add(str(Path(f"/proc/{pid}/ns/net").readlink()))
    mounts = set(Path("/proc/self/mountinfo").read_text().splitlines())
    return mounts, [name for _, name in socket.if_nameindex()], alive, namespaces


def children(pid: int) -> set[int]:
    texts = (path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children"))
    own = {int(child) for text in texts for child in text.split()}
    return own.union(*(children(child) for child in own))


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@contextlib.contextmanager
def busy_lab() -> Iterator[tuple[Lab, set[int]]]:
    """A lab with hosts, a link, a container, a daemonised process and a command under way."""
    with Lab() as lab:
        one, other = lab.host("h1"), lab.host("h2")
        lab.wire(one, "eth1", other, "eth1")
        one.container("c1")
        Internet(lab, one)
        one.run(["setsid", "--fork", "sleep", "1000"], stdout=None, stderr=None)
        command = other.popen(["sleep", "1000"])
        try:
            yield lab, {lab.pid, one.pid, other.pid, *lab_processes(lab.pid)}
        finally:
            command.wait()


def test_nothing_is_left_of_a_closed_lab() -> None:
    before = census(frozenset())
    with busy_lab() as (lab, processes):
        assert len(processes) >= 6
        lab.close()
    assert census(frozenset(processes)) == before


def test_nothing_is_left_when_the_holder_is_killed() -> None:
    before = census(frozenset())
    with busy_lab() as (lab, processes):
        os.kill(lab.pid, signal.SIGKILL)
        wait_until(lambda: not any(Path(f"/proc/{pid}/exe").exists() for pid in processes))
    assert census(frozenset(processes)) == before


def test_nothing_is_left_when_the_maker_is_killed() -> None:
    program = (
        "from pynet.testnets.lab.lab import Lab; lab = Lab(); host = lab.host('h1');"
        "print(lab.pid, host.pid, flush=True); host.run(['sleep', '1000'])"
    )
    maker = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(SOURCES)},
    )
    with maker:
        assert maker.stdout is not None
        pids = maker.stdout.readline().split()
        assert len(pids) == 2
        maker.kill()
    wait_until(lambda: not any(Path(f"/proc/{int(pid)}/exe").exists() for pid in pids))


def test_a_host_has_state_of_its_own(lab: Lab) -> None:
    one, other = lab.host("h1"), lab.host("h2")
    for path in ("/run", "/etc/cni", "/etc/pynet", "/opt/cni", "/var/lib/cni", "/var/log"):
        one.run(["touch", f"{path}/only-here"])
        assert other.run(["ls", path]).stdout.find(b"only-here") < 0
        assert not Path(path, "only-here").exists()
    assert one.run(["hostname"]).stdout == b"h1\n"
    assert one.run(["ls", "/sys/class/net"]).stdout == b"lo\n"
    assert one.run(["cat", "/proc/sys/net/ipv4/ip_forward"]).stdout == b"0\n"
    assert one.run(["head", "-1", "/etc/passwd"]).stdout.startswith(b"root:")


def test_containers_have_names_that_ip_knows(host: Host) -> None:
    container = host.container("c1")
    assert host.run(["ip", "netns"]).stdout == b"c1\n"
    inside = container.run(["readlink", "/proc/self/ns/net"]).stdout
    assert inside == host.run(["readlink", "/proc/self/ns/net"], netns="c1").stdout
    assert inside != host.run(["readlink", "/proc/self/ns/net"]).stdout
    host.delete_container(container)
    assert host.run(["ip", "netns"]).stdout == b""


def test_wired_hosts_reach_each_other_at_once(lab: Lab) -> None:
    one, other = lab.host("h1"), lab.host("h2")
    lab.wire(
        one,
        "eth1",
        other,
        "eth1",
        addresses=(["10.9.0.1/24", "fd09::1/64"], ["10.9.0.2/24", "fd09::2/64"]),
    )
    for target in ("10.9.0.2", "fd09::2"):
        one.run(["ping", "-c", "1", "-W", "1", target])


def test_a_host_can_be_wired_to_itself(host: Host, lab: Lab) -> None:
    lab.wire(host, "a", host, "b", addresses=(["10.9.0.1/24"], ["10.9.1.1/24"]))
    for link, address in (("a", b"10.9.0.1/24"), ("b", b"10.9.1.1/24")):
        assert address in host.run(["ip", "address", "show", "dev", link, "up"]).stdout


def test_the_internet_does_not_know_a_container(lab: Lab, host: Host) -> None:
    internet = Internet(lab, host)
    container = host.container("c1")
    for family, address in HOST_ADDRESSES.items():
        assert internet.sees(host, family) == address
        with pytest.raises(OSError, match=r"unreachable|assign"):
            internet.sees(container, family)


def test_a_command_gives_its_output_and_its_status(host: Host) -> None:
    done = host.run(["sh", "-c", "cat; echo oops >&2; exit 3"], input=b"hello", check=False)
    assert (done.returncode, done.stdout, done.stderr) == (3, b"hello", b"oops\n")
    with pytest.raises(CommandFailed, match="oops"):
        host.run(["sh", "-c", "echo oops >&2; exit 3"])
    with pytest.raises(subprocess.TimeoutExpired):
        host.run(["sleep", "1000"], timeout=0.1)
    with pytest.raises(FileNotFoundError):
        host.run(["/nowhere"])


def test_signals_reach_a_command(host: Host) -> None:
    with host.popen(["sleep", "1000"]) as process:
        process.terminate()
        assert process.wait() == -signal.SIGTERM
    with host.popen(["sleep", "1000"]) as process:
        process.kill()
        assert process.wait() == -signal.SIGKILL
    with pytest.raises(DiedBySignal, match="SIGKILL"):
        forked = host.fork_call(signal.pause)
        forked.kill()
        forked.wait()


def test_a_call_gives_result_exception_or_death(host: Host) -> None:
    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    assert host.call(os.getpid) < 100
    with pytest.raises(ZeroDivisionError):
        host.call(lambda: 1 / 0)
    with pytest.raises(DiedBySignal, match="SIGKILL") as death:
        host.call(die)
    assert death.value.signal == signal.SIGKILL
    with pytest.raises(LabError, match="status 5"):
        host.call(os._exit, 5)
    with pytest.raises(LabError, match="out of a fork"):
        host.call(lambda: lambda: 1)


def test_two_hosts_of_one_name_are_refused(lab: Lab, host: Host) -> None:
    with pytest.raises(LabError, match="'h1'"):
        lab.host(host.name)


@pytest.mark.second_user
def test_a_user_needs_no_privilege() -> None:
    def as_user() -> tuple[int, bytes]:
        with Lab() as lab:
            host = lab.host("h1")
            container = host.container("c1")
            host.run(["ip", "link", "add", "br0", "type", "bridge"])
            host.run(["nft", "add", "table", "inet", "pynet"])
            container.run(["ip", "link", "set", "lo", "up"])
            return os.geteuid(), host.run(["id", "-u"]).stdout

    user = os.geteuid() or 65534
    # In a fork: an interpreter that lies where only root looks could not be started again.
    assert Forked(as_user, become_user).wait() == (user, b"0\n")


def become_user() -> None:
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        # As an exec would: a process that changed its user may not write its own uid_map.
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)


def test_a_refusal_names_the_setting_that_forbids_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setting = tmp_path / "apparmor_restrict_unprivileged_userns"
    setting.write_text("1\n")
    monkeypatch.setattr(holder, "_RESTRICTIONS", {str(setting): "1"})
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "apparmor_restrict_unprivileged_userns = 1" in holder._why_not("not permitted")
