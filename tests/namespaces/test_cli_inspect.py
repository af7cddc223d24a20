"""`pynet inspect` against attachments on a fake host, whole and spoilt."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import Any

import drive
import evidence
import pytest

from pynet.cli.inspect.inspection import Inspection, gather
from pynet.engine.judging import Condition
from pynet.kernel import namespaces
from pynet.model.errors import StoreError
from pynet.store.locks import AttachmentLock
from pynet.testnets.lab.host import plain_environment
from pynet.testnets.lab.lab import Container, DiedBySignal, Host

SOURCES = Path(__file__).resolve().parents[2] / "src"


def inspect(host: Host, *words: str, netns: Container | None = None) -> tuple[int, str, str]:
    done = host.run(
        [sys.executable, "-m", "pynet.cli", "inspect", *words],
        netns=netns,
        env={"PYTHONPATH": str(SOURCES)},
        check=False,
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def looked(host: Host, *words: str) -> Inspection:
    return host.call(gather, drive.STATE, words)


def attach(host: Host, name: str = "c1") -> Container:
    container = host.container(name)
    runtime = drive.Runtime(container=name, netns=container.path)
    outcome = host.call(drive.call, "ADD", drive.BRIDGE, runtime)
    assert outcome.status == 0, outcome.document
    return container


def conditions(found: Inspection) -> dict[str, Condition]:
    return {attached.container: attached.condition for attached in found.attachments}


def test_with_nothing_attached_it_says_what_to_do_next(host: Host) -> None:
    assert inspect(host) == (
        0,
        "no attachments\nnext: pynet network create web, then pynet attach CONTAINER web\n",
        "",
    )
    status, stdout, _ = inspect(host, "--json")
    assert (status, json.loads(stdout)["attachments"]) == (0, [])
    assert host.call(drive.STATE.exists) is False


def test_a_port_that_could_not_be_published_is_told_of(host: Host) -> None:
    container = host.container("c1")
    runtime = drive.Runtime(container="c1", netns=container.path)
    result = host.call(drive.call, "ADD", drive.PLAIN_BRIDGE, runtime).document
    at = {"hostPort": 8080, "containerPort": 80, "protocol": "TCP"}
    ways = ({"hostIP": "10.1.0.1"}, {"hostip": "2001:db8::1"}, {"hostPort": 81}, {"hostIP": "::1"})
    mappings = [{**at, **more} for more in ways]
    wanted = {**drive.PORTMAP, "runtimeConfig": {"portMappings": mappings}, "prevResult": result}
    outcome = host.call(drive.call, "ADD", wanted, runtime)
    assert outcome.status == 0, outcome.document
    left_out = "as the container has no IPv6 address: [2001:db8::1]:8080/tcp to 80"
    _, stdout, _ = inspect(host)
    assert f"not published, {left_out}\n" in stdout
    assert re.search(r"not published, as .* IPv6 loopback .*: \[::1\]:8080/tcp to 80\n", stdout)
    assert stdout.count("not published") == 2
    (attached,) = json.loads(inspect(host, "--json")[1])["attachments"]
    assert attached["unpublished"] == [
        {"protocol": "tcp", "host_address": address, "host_port": 8080, "port": 80}
        for address in ("2001:db8::1", "::1")
    ]
    assert {port["host_port"] for port in attached["ports"]} == {81, 8080}


def test_the_tree_leads_from_the_host_to_the_container(host: Host) -> None:
    attach(host)
    status, stdout, _ = inspect(host)
    assert status == 0
    first, network, _, bridge, leaf, last = stdout.splitlines()
    assert (first, network) == (host.call(os.uname).nodename, "└── web")
    assert bridge == "    └── cni0  10.1.0.1/24  fd00:1::1/64"
    assert leaf.split()[1:5] == ["c1", "eth0", "10.1.0.2/24", "fd00:1::2/64"]
    assert "/run/netns/c1  ready" in leaf
    assert last == "1 attachment, all as made"


def test_the_document_says_the_same_for_programs(host: Host) -> None:
    container = attach(host)
    document: dict[str, Any] = json.loads(inspect(host, "--json")[1])
    assert document["schema"] == "pynet.inspect/2"
    assert document["fine"] is True
    attached = document["attachments"][0]
    link = json.loads(container.run(["ip", "-j", "link", "show", "eth0"]).stdout)[0]
    assert attached["mac"] == link["address"]
    assert attached["mtu"] == link["mtu"]
    assert attached["gateways"] == ["10.1.0.1", "fd00:1::1"]
    assert attached["plugins"] == [{"name": "bridge", "state": "ready"}]
    assert attached["looked_inside"] is True
    ports = json.loads(host.run(["bridge", "-j", "link"]).stdout)
    assert [port["ifname"] for port in ports] == [attached["host_interface"]]


def test_any_noun_finds_its_attachment(host: Host) -> None:
    attach(host, "other")
    container = attach(host, "c1f9")
    (one,) = looked(host, "c1f9").attachments
    with host.popen(["sleep", "60"], netns=container) as process:
        pid = _pid_inside(host, container)
        for word in (
            "c1f", "/run/netns/c1f9", one.host_interface, one.mac, one.mac.upper(),
            one.mac.replace(":", "-"), one.host_mac, "10.1.0.3", "10.1.0.3/24",
            "fd00:0001::0:3", pid,
        ):  # fmt: skip
            assert conditions(looked(host, word)) == {"c1f9": Condition.READY}, word
        process.kill()
    for word in ("web", "cni0", "eth0"):
        assert set(conditions(looked(host, word))) == {"other", "c1f9"}, word
    assert set(conditions(looked(host, "other", "c1f9"))) == {"other", "c1f9"}


def _pid_inside(host: Host, container: Container) -> str:
    """The pid, as the host's processes see it, of somebody in the container's namespace."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        pids = host.run(["ip", "netns", "pids", container.name]).stdout.split()
        if pids:
            return pids[0].decode()
        time.sleep(0.01)
    raise AssertionError("nobody entered the container")


def test_a_whole_id_counts_before_the_beginning_of_another(host: Host) -> None:
    attach(host, "c1")
    attach(host, "c10")
    assert set(conditions(looked(host, "c1"))) == {"c1"}
    assert set(conditions(looked(host, "c"))) == {"c1", "c10"}


def test_a_word_that_means_nothing_is_one_line_and_an_error(host: Host) -> None:
    attach(host)
    status, stdout, stderr = inspect(host, "nobody")
    assert (status, stdout) == (1, "")
    assert stderr.startswith('pynet: nothing attached here is called "nobody"')
    assert stderr.count("\n") == 1


def test_what_is_not_as_it_was_made_is_named(host: Host) -> None:
    container = attach(host)
    container.run(["ip", "addr", "del", "10.1.0.2/24", "dev", "eth0"])
    status, stdout, _ = inspect(host)
    assert status == 1
    assert "eth0: address 10.1.0.2/24 is missing" in stdout
    assert "1 attachment, 1 not as it should be" in stdout
    drift = json.loads(inspect(host, "--json")[1])["attachments"][0]["drift"]
    assert {"subject", "property", "expected", "found"} == set(drift[0])


def test_a_network_whose_configuration_is_gone_is_said_to_be(host: Host) -> None:
    attach(host)
    said = "no configuration of it can be read in /etc/cni/net.d"
    assert said in inspect(host)[1]
    (configured,) = json.loads(inspect(host, "--json")[1])["networks"]
    assert configured["configured"] is False
    host.call(_configure, json.dumps(drive.BRIDGE))
    assert said not in inspect(host)[1]
    (configured,) = json.loads(inspect(host, "--json")[1])["networks"]
    assert configured["configured"] is True


def _configure(text: str) -> None:
    directory = Path("/etc/cni/net.d")
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "web.conf").write_text(text)


def test_what_many_have_lost_together_is_said_once(host: Host) -> None:
    attach(host, "c1")
    attach(host, "c2")
    host.run(["nft", "flush", "ruleset"])
    status, stdout, _ = inspect(host)
    assert status == 1
    assert "(for 2 attachments)" in stdout
    lines = stdout.splitlines()
    assert len([line for line in lines if "network4_24:" in line]) == 1
    assert len([line for line in lines if "masquerade4 { 10.1.0.2 }" in line]) == 1


def test_a_namespace_that_is_gone_is_said_to_be(host: Host) -> None:
    container = attach(host)
    host.delete_container(container)
    _wait_until_gone(host)
    status, stdout, _ = inspect(host)
    assert status == 1
    assert "namespace gone" in stdout
    assert conditions(looked(host)) == {"c1": Condition.GONE}


def _wait_until_gone(host: Host) -> None:
    deadline = time.monotonic() + 10
    while b"veth" in host.run(["ip", "link"]).stdout and time.monotonic() < deadline:
        time.sleep(0.01)


def test_another_namespace_at_the_same_path_is_not_taken_for_it(host: Host) -> None:
    container = attach(host)
    with host.popen(["sleep", "60"], netns=container) as process:
        _pid_inside(host, container)
        host.delete_container(container)
        host.container("c1")
        (attached,) = looked(host).attachments
        process.kill()
    assert attached.condition is Condition.UNREACHABLE
    assert not attached.judgement.entered


def test_an_add_that_died_is_half_done_unless_somebody_is_at_it(host: Host) -> None:
    host.container("c1")
    died = host.fork_call(drive.killed_at, 6, "ADD", drive.BRIDGE, drive.Runtime())
    with pytest.raises(DiedBySignal):
        died.wait()
    status, stdout, _ = inspect(host)
    assert status == 1
    assert "half done" in stdout
    assert host.call(_looked_while_locked) == {"c1": Condition.IN_PROGRESS}


def _looked_while_locked() -> dict[str, Condition]:
    record = gather(drive.STATE).attachments[0].records[0]
    lock = AttachmentLock(drive.STATE, record.host, record.attachment)
    assert lock.try_acquire()
    return conditions(gather(drive.STATE))


def test_attachments_of_another_host_namespace_are_counted_not_shown(host: Host) -> None:
    container = attach(host)
    status, stdout, _ = inspect(host, netns=container)
    assert status == 0
    assert stdout.startswith("no attachments")
    assert "1 more are recorded for other host namespaces" in stdout


def test_looking_changes_nothing(host: Host) -> None:
    container = attach(host)
    places = (None, container)
    before = [host.call(evidence.rest, netns=place) for place in places]
    assert inspect(host)[0] == 0
    assert [host.call(evidence.rest, netns=place) for place in places] == before


@pytest.mark.second_user
def test_a_user_is_told_what_was_hidden(host: Host) -> None:
    attach(host)
    with pytest.raises(StoreError, match="run this as root"):
        host.call(_gather_as_nobody)
    host.run(["chown", "-R", "nobody", "/run/pynet"])
    found = host.call(_gather_as_nobody)
    assert conditions(found) == {"c1": Condition.READY}
    assert not found.attachments[0].judgement.entered
    assert found.is_fine is None
    assert any("/run/netns/c1 was not looked into" in line for line in found.hidden)


def _gather_as_nobody() -> Inspection:
    os.setgroups([])
    os.setuid(65534)
    return gather(drive.STATE)


def test_a_path_that_leads_to_no_namespace_is_no_error(host: Host) -> None:
    container = attach(host)
    with host.popen(["sleep", "60"], netns=container) as process:
        _pid_inside(host, container)
        host.run(["umount", "-l", container.path])
        assert host.call(_is_no_namespace, container.path)
        assert conditions(looked(host)) == {"c1": Condition.UNREACHABLE}
        process.kill()


def _is_no_namespace(path: str) -> bool:
    try:
        os.close(namespaces.open_namespace(path))
    except Exception:
        return True
    return False


@pytest.mark.parametrize("columns", [40, 80, 200])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_a_terminal_of_any_width_shows_all_of_it(host: Host, columns: int, encoding: str) -> None:
    container = attach(host)
    container.run(["ip", "addr", "flush", "dev", "eth0"])
    said = host.call(on_terminal, "inspect", columns, encoding)
    lines = said.splitlines()
    assert max(map(len, lines)) <= columns
    assert said.isascii() == (encoding == "ascii")
    whole = "".join("".join(line.lstrip("│├└─|+`- ").split()) for line in lines)
    assert "address10.1.0.2/24ismissing" in whole
    assert "putitback:pynetreload" in whole.replace("`", "")
    if columns == 200:
        assert sum("10.1.0.2/24" in line for line in lines) == 2


def on_terminal(command: str, columns: int, encoding: str) -> str:
    """What a terminal of so many columns is sent, without its colours."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environ = {**plain_environment(), "PYTHONPATH": str(SOURCES), "PYTHONIOENCODING": encoding}
    for name in ("COLUMNS", "LINES"):  # pytest's own
        environ.pop(name, None)
    process = subprocess.Popen(
        [sys.executable, "-m", "pynet.cli", command],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**environ, "TERM": "xterm"},
    )
    os.close(theirs)
    said = b""
    with contextlib.suppress(OSError):  # nobody is at the other end any more
        while part := os.read(ours, 65536):
            said += part
    os.close(ours)
    assert process.wait() == 1
    return re.sub(r"\x1b\[[0-9;]*m", "", said.decode()).replace("\r", "")
