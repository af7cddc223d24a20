"""What pynet finds wrong, and that the command it names mends it, with each address kept."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import drive
import pytest
from crashes import dies_at
from drive import BRIDGE, LOOPBACK, PORTMAP, TUNING, Runtime
from evidence import nothing_left
from scenes import add, container, in_host, ip, run, wait_for, whole

from pynet.cli.main import run as cli
from pynet.store.store import Store
from pynet.testnets.lab.forked import DiedBySignal, Forked
from pynet.testnets.lab.lab import Host

NETWORKS = Path("/etc/cni/net.d")
SYSCTL = {"type": "tuning", "sysctl": {"net.ipv4.conf.IFNAME.arp_filter": "1"}}


def pynet(words: str, status: int | None = 0) -> str:
    """What it prints, on both streams; it ends with `status`, None for any."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        found = cli(shlex.split(words))
    assert status in (None, found), f"{words}: {said.getvalue()}"
    return said.getvalue()


def network(name: str, *plugins: dict[str, Any], **keys: Any) -> None:
    NETWORKS.mkdir(parents=True, exist_ok=True)
    document = {"cniVersion": "1.1.0", "name": name, "plugins": plugins, **keys}
    (NETWORKS / f"{name}.conflist").write_text(json.dumps(document))


def attach(runtime: Runtime, *chained: dict[str, Any], **keys: Any) -> None:
    result = add({**BRIDGE, **keys}, runtime)
    for config in chained:
        result = add({**config, "prevResult": result}, runtime)


def commands(said: str) -> list[str]:
    """Those that findings name."""
    return list(dict.fromkeys(re.findall(r"`(pynet [^`]*)`", said)))


def obey(said: str) -> None:
    """Run what the findings say, all of it."""
    named = commands(said)
    assert named, said
    for command in named:
        for one in command.split(" && "):
            pynet(one.removeprefix("pynet "))


# --- what is put back in place ------------------------------------------------------------------

HOST_END = "$host"
SPOILT = {
    "gateways": ["ip addr flush dev cni0"],
    "bridge": ["ip addr flush dev cni0", "ip link set cni0 down"],
    "bridge's own": ["ip link set cni0 mtu 1400", "ip link set cni0 address 02:00:00:00:00:77"],
    "port": [f"ip link set {HOST_END} nomaster"],
    "port's flags": [f"bridge link set dev {HOST_END} isolated on hairpin on"],
    "port's other flags": [
        f"bridge link set dev {HOST_END} learning off flood off mcast_flood off bcast_flood off",
        f"ip link set {HOST_END} type bridge_slave locked on",
    ],
    "who asks for neighbours": [
        "ip link set cni0 arp off",
        f"ip link set {HOST_END} arp off",
        "c1 ip link set eth0 arp off",
    ],
    "host's end": [f"ip link set {HOST_END} down"],
    "host's end in disguise": [f"ip link set {HOST_END} name up7 address 02:00:00:00:00:78"],
    "container's address": ["c1 ip addr flush dev eth0"],
    "container's link": ["c1 ip link set eth0 down"],
    "container's routes": ["c1 ip route flush dev eth0"],
    "the kernel's own routes": [
        "ip route flush dev cni0",
        "ip -6 route del fd00:1::/64 dev cni0",
        "c1 ip -6 route del fd00:1::/64 dev eth0",
    ],
    "the kernel's own route in the container": ["c1 ip route del 10.1.0.0/24 dev eth0"],
    "container's MTU and MAC": [
        "c1 ip link set eth0 mtu 1300",
        "c1 ip link set eth0 address 02:00:00:00:00:78",
    ],
    "container's queue and flags": [
        "c1 ip link set eth0 txqueuelen 7 promisc off allmulticast off"
    ],
    "loopback": ["c1 ip link set lo down"],
    "container's setting": ["c1 sysctl -w net.ipv4.conf.eth0.arp_filter=0"],
    "forwarding": ["sysctl -w net.ipv4.ip_forward=0", "sysctl -w net.ipv6.conf.all.forwarding=0"],
    "tables": ["nft flush ruleset"],
    "host's end renamed": [f"ip link set {HOST_END} down", f"ip link set {HOST_END} name up7"],
    "container's end renamed": ["c1 ip link set eth0 down", "c1 ip link set eth0 name up7"],
    "container's end in disguise": ["c1 ip link set eth0 down name up7 address 02:00:00:00:00:79"],
    "both ends renamed": [f"ip link set {HOST_END} name up7", "c1 ip link set eth0 down name up7"],
    "pair": [f"ip link del {HOST_END}"],
}


@in_host
def test_what_is_spoilt_is_found_and_put_back_in_place() -> None:
    add(LOOPBACK, c1 := container("c1"))
    attach(c1, TUNING, {**SYSCTL, **_named()}, PORTMAP, mtu=1450)
    attach(container("c2"), mtu=1450)
    before = whole()
    for what, spoiling in SPOILT.items():
        (port,) = {link["ifname"] for link in ip("link show master cni0")} - _ports_of("c2")
        for command in spoiling:
            words = command.replace(HOST_END, port)
            inside = words.startswith("c1 ")
            run(words.removeprefix("c1 "), netns="c1" if inside else "")
        said = pynet("inspect", status=1)
        assert commands(said) == ["pynet reload"], (what, said)
        assert "not as it should be" in said or "not as they should be" in said
        assert pynet("reload").startswith("put right ("), what
        as_it_was(before, what)
    assert "all as made" in pynet("inspect")
    assert pynet("reload").startswith("all is as recorded (2 attachments, ")


def _named() -> dict[str, Any]:
    return {"cniVersion": "1.1.0", "name": "web"}


def _ports_of(name: str) -> set[str]:
    inside = {link["link_index"] for link in ip("link show eth0", name)}
    return {link["ifname"] for link in ip("link") if link["ifindex"] in inside}


def as_it_was(before: set[str], what: object = "") -> None:
    """Nothing is there more or less than before, once the kernel is done with what it does."""

    def differences() -> list[str]:
        now = {line for line in whole() if not line.startswith("lock ")}
        return nothing_left(before, now) + nothing_left(now, before)

    with contextlib.suppress(AssertionError):
        wait_for(lambda: differences() == [])
    assert differences() == [], what


@in_host
def test_what_a_later_plugin_of_somebody_else_changed_stays() -> None:
    """It is told by the result that the runtime has kept."""
    theirs = Path("/opt/cni/bin/theirs")
    theirs.parent.mkdir(parents=True, exist_ok=True)
    theirs.write_text(
        "#!/bin/sh\n"
        '[ "$CNI_COMMAND" = ADD ] || exit 0\n'
        "ip -n c1 link set eth0 address 02:00:00:00:00:79 >&2\n"
        'sed \'s/.*"prevResult"://; s/}$//; '
        's/"mac": *"[^"]*", *"sandbox"/"mac": "02:00:00:00:00:79", "sandbox"/\'\n'
    )
    theirs.chmod(0o755)
    run("ip netns add c1")
    network(
        "web", {key: value for key, value in BRIDGE.items() if key != "name"}, {"type": "theirs"}
    )
    pynet("attach c1 web")
    assert ip("link show eth0", "c1")[0]["address"] == "02:00:00:00:00:79"
    assert "all as made" in pynet("inspect")
    assert pynet("reload").startswith("all is as recorded (1 attachment, ")
    assert ip("link show eth0", "c1")[0]["address"] == "02:00:00:00:00:79"


MAC = "02:00:00:00:00:79"


@pytest.mark.parametrize(
    "later",
    [
        [{"type": "tuning", "mac": MAC, "mtu": 1400}, {"type": "portmap"}],
        [{"type": "tuning", "mtu": 1400}],
    ],
    ids=["before one of ours", "last"],
)
@in_host
def test_without_a_kept_result_our_own_records_tell_what_somebody_else_changed(
    later: list[dict[str, Any]],
) -> None:
    """What the next plugin of ours was told; an MTU that nobody asked ours for may be theirs."""
    Path("/opt/cni/bin").mkdir(parents=True, exist_ok=True)
    shutil.copy("/usr/lib/cni/tuning", "/opt/cni/bin")
    run("ip netns add c1")
    main = {key: value for key, value in BRIDGE.items() if key != "name"}
    network("web", main, *later, cniVersion="1.0.0")
    pynet("attach c1 web")
    shutil.rmtree("/var/lib/cni/results")
    before = whole()
    assert ip("link show eth0", "c1")[0]["mtu"] == 1400
    assert "all as made" in pynet("inspect")
    assert pynet("reload").startswith("all is as recorded (1 attachment, ")
    as_it_was(before)
    # What neither has set is found, and put back as far as that is known.
    run("ip link set eth0 address 02:00:00:00:00:80", netns="c1")
    assert "MAC is 02:00:00:00:00:80" in pynet("inspect", status=1)
    pynet("reload")
    assert "all as made" in pynet("inspect")


@in_host
def test_what_another_network_of_the_container_has_set_is_not_taken_back() -> None:
    first = add(BRIDGE, c1 := container("c1"))
    add({**TUNING, "name": "other", "prevResult": first}, c1)
    before = whole()
    assert "all as made" in pynet("inspect")
    assert pynet("reload").startswith("all is as recorded (2 attachments, ")
    run("ip link set eth0 mtu 1300", netns="c1")
    obey(pynet("inspect", status=1))
    as_it_was(before)


@in_host
def test_what_another_interface_s_network_has_set_in_the_container_is_not_taken_back() -> None:
    container("c1")
    for number, value in enumerate(("1", "0")):
        name = f"net{number}"
        ipam = {"type": "host-local", "subnet": f"10.{number}.0.0/24"}
        runtime = Runtime("c1", "/run/netns/c1", interface=f"eth{number}")
        setting = {"type": "tuning", "sysctl": {"net.ipv4.conf.all.arp_filter": value}}
        result = add({**BRIDGE, "name": name, "bridge": f"br{number}", "ipam": ipam}, runtime)
        add({**setting, "cniVersion": "1.1.0", "name": name, "prevResult": result}, runtime)
    assert "all as made" in pynet("inspect")
    assert pynet("reload").startswith("all is as recorded (2 attachments, ")
    run("sysctl -w net.ipv4.conf.all.arp_filter=1", netns="c1")
    obey(pynet("inspect", status=1))
    assert run("sysctl -n net.ipv4.conf.all.arp_filter", netns="c1") == "0\n"


@in_host
def test_killed_at_any_point_the_next_reload_does_the_rest() -> None:
    attach(container("c1"), {**SYSCTL, **_named()})
    before = whole()
    count, died = 0, True
    while died:
        count += 1
        (port,) = (link["ifname"] for link in ip("link show master cni0"))
        run(f"ip link del {port}")
        run("ip addr flush dev cni0")
        died = dies_at(count, partial(pynet, "reload"))
        pynet("reload")
        as_it_was({line for line in before if not line.startswith("lock ")})
    assert count > 5, "too few fault points: the hook is not there"


# --- what reload can't mend, it names -----------------------------------------------------------


@in_host
def test_the_dead_are_named_and_the_command_frees_what_they_hold() -> None:
    network("web", {key: value for key, value in BRIDGE.items() if key != "name"})
    attach(container("keeper"))
    before = whole()
    attach(container("dead"), PORTMAP)
    run("ip netns del dead")
    wait_for(lambda: len(ip("link show master cni0")) == 1)
    for command in ("inspect", "reload", "status"):
        said = pynet(command, status=1)
        assert "its address is still reserved; free it: `pynet cni gc web --yes`" in said
        assert "all is as recorded" not in said and "\nready" not in said
    obey(pynet("reload", status=1))
    assert pynet("reload").startswith("all is as recorded (1 attachment, ")
    assert "all as made" in pynet("inspect")
    assert nothing_left(before, whole()) == []


@pytest.mark.parametrize("configured", ["1.1.0", "1.0.0", "disableGC", ""])
@in_host
def test_what_died_halfway_is_named_and_the_command_takes_it_back(configured: str) -> None:
    """Whatever has become of its network since."""
    plugin = {key: value for key, value in BRIDGE.items() if key not in ("name", "cniVersion")}
    if configured == "disableGC":
        network("web", plugin, disableGC=True)
    elif configured:
        network("web", plugin, cniVersion=configured)
    attach(container("keeper"))
    run("ip netns add c1")
    before = whole()
    with pytest.raises(DiedBySignal):
        Forked(lambda: drive.killed_at(6, "ADD", BRIDGE, Runtime())).wait()
    said = pynet("inspect", status=1)
    assert "its ADD or DEL ended halfway" in said
    assert "c1 eth0 on web: its ADD or DEL ended halfway" in pynet("reload", status=1)
    obey(said)
    assert pynet("inspect").endswith("1 attachment, all as made\n")
    assert nothing_left(before, whole()) == []


@in_host
def test_an_address_that_is_no_longer_reserved_is_attached_anew() -> None:
    network("web", {key: value for key, value in BRIDGE.items() if key != "name"})
    run("ip netns add c1")
    pynet("attach c1 web")
    with Store.open(drive.STATE).write() as tx:
        (record,) = tx.records()
        tx.release_record(record.id)
    said = pynet("inspect", status=1)
    assert "pynet reload" not in said
    assert pynet("reload", status=1).startswith("still not as recorded (")
    obey(said)
    assert "all as made" in pynet("inspect")


@in_host
def test_an_end_that_was_moved_away_is_named_and_attached_anew_as_it_was() -> None:
    ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    network("web", {key: value for key, value in BRIDGE.items() if key != "name"}, ports)
    for name in ("c1", "c2", "elsewhere"):
        run(f"ip netns add {name}")
    pynet("attach c2 web")
    pynet("attach c1 web --publish 127.0.0.1:8080:80 --publish 53:53/udp")
    before = json.loads(pynet("inspect c1 --json"))["attachments"][0]
    run(f"ip link set {before['host_interface']} netns elsewhere")
    assert commands(pynet("inspect", status=1)) == ["pynet reload"]
    said = pynet("reload", status=1)
    assert "somebody has moved it" in said
    obey(said)
    assert "all as made" in pynet("inspect")
    after = json.loads(pynet("inspect c1 --json"))["attachments"][0]
    for same in ("addresses", "ports", "mac", "container", "interface"):
        assert after[same] == before[same], same


@in_host
def test_a_namespace_out_of_reach_is_not_taken_for_a_dead_one() -> None:
    network("web", {key: value for key, value in BRIDGE.items() if key != "name"})
    attach(container("c1"))
    with _somebody_in("c1"):
        run("umount /run/netns/c1")
        said = pynet("inspect", status=1)
        assert "which may be in use" in said
        assert "which may be in use" in pynet("reload", status=1)
        assert "0 removed, 1 kept" in pynet("cni gc web --yes")
        obey(said)
        assert pynet("inspect").startswith("no attachments")


@contextmanager
def _somebody_in(name: str) -> Iterator[None]:
    argv = ["nsenter", f"--net=/run/netns/{name}", "sh", "-c", "echo there; exec sleep 60"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"there\n"
            yield
        finally:
            process.kill()


# --- what can't be seen is not said to be well --------------------------------------------------


@pytest.mark.second_user
def test_a_user_hears_that_root_s_attachments_are_out_of_sight(host: Host) -> None:
    host.call(lambda: attach(container("c1")))
    host.call(lambda: network("web", {k: v for k, v in BRIDGE.items() if k != "name"}))
    for command in ("inspect", "inspect --json", "status", "reload", "cni gc web"):
        for runtime_dir in ("", "/run/user-of-the-test"):
            said = host.call(_as_nobody, command, runtime_dir)
            assert "run this as root" in said, (command, said)
            assert "\nready" not in said and "all" not in said.split()
    said = host.call(_as_nobody, "network show web", "/run/user-of-the-test", 0)
    assert "1 connected, and on record where this user can't see it: run this as root" in said
    assert "run this as root" in host.call(_as_nobody, "inspect c1", "/run/user-of-the-test")
    listed = json.loads(host.call(_as_nobody, "network ls --json", "/run/user-of-the-test", 0))
    assert listed["networks"][0]["attachments"] is None


def _as_nobody(words: str, runtime_dir: str, status: int = 1) -> str:
    if runtime_dir:
        Path(runtime_dir).mkdir(exist_ok=True)
        os.chown(runtime_dir, 65534, 65534)
        os.environ["XDG_RUNTIME_DIR"] = runtime_dir
    else:
        os.environ.pop("XDG_RUNTIME_DIR", None)
    os.environ.pop("PYNET_STATE_DIR", None)
    os.setgroups([])
    os.setuid(65534)
    return pynet(words, status=status)
