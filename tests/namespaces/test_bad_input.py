"""What can be wrong with a call: each thing has its own message, its code, and no effect."""

from __future__ import annotations

import gc
import hashlib
import json
import os
import socket
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import drive
import pytest
from drive import Runtime
from evidence import elements
from scenes import add, container, in_host, lines, refused, run, succeed, the_error

from pynet.daemon.serve import Services
from pynet.engine import engine
from pynet.model.request import Attachment
from pynet.store.locks import AttachmentLock
from pynet.store.store import Store

STATE = Path("/run/pynet")
STORE = STATE / "pynet.db"
BRIDGE = drive.BRIDGE


def with_ipam(**keys: Any) -> dict[str, Any]:
    return {**BRIDGE, "ipam": {"type": "host-local", **keys}}


def ranges(*subnets: str) -> list[list[dict[str, str]]]:
    return [[{"subnet": subnet}] for subnet in subnets]


# --- the configuration and the environment --------------------------------------

CONFIGURATIONS: dict[str, tuple[int, str, dict[str, Any]]] = {
    "network name with a slash": (7, 'name: "a/b"', {**BRIDGE, "name": "a/b"}),
    "subnet with host bits": (
        7,
        'ipam.subnet: "10.1.0.5/24"|host bits|10.1.0.0/24',
        with_ipam(subnet="10.1.0.5/24"),
    ),
    "overlapping ranges": (
        7,
        "ipam.ranges[1][0]|overlaps|ipam.ranges[0][0]",
        with_ipam(ranges=ranges("10.1.0.0/24", "10.1.0.128/25")),
    ),
    "range outside of its subnet": (
        7,
        'ipam.rangeEnd: "10.2.0.9"|10.1.0.0/24',
        with_ipam(subnet="10.1.0.0/24", rangeEnd="10.2.0.9"),
    ),
    "no range": (7, "ipam|subnet|ranges", with_ipam()),
    "a subnet too small": (7, "10.1.0.0/31|too small", with_ipam(subnet="10.1.0.0/31")),
    "unknown IPAM plugin": (
        7,
        'failed to find plugin "whereabouts"|/opt/cni/bin',
        {**BRIDGE, "ipam": {"type": "whereabouts"}},
    ),
    "bridge as its own IPAM": (
        7,
        'ipam.type: "bridge"|makes interfaces|host-local',
        {**BRIDGE, "ipam": {"type": "bridge"}},
    ),
    "another main plugin for IPAM": (7, 'ipam.type: "tap"', {**BRIDGE, "ipam": {"type": "tap"}}),
    "IPAM plugin named by a path": (7, "ipam|../sh", {**BRIDGE, "ipam": {"type": "../sh"}}),
    "configuration for a newer version": (
        1,
        "incompatible CNI versions",
        {**BRIDGE, "cniVersion": "1.2.0"},
    ),
    "a bridge that is no bridge": (7, '"lo"|not a bridge', {**BRIDGE, "bridge": "lo"}),
    "bridge name of 16 bytes": (7, "bridge|15 bytes", {**BRIDGE, "bridge": "b" * 16}),
    "hairpin with promiscuous": (
        7,
        "hairpinMode|promiscMode",
        {**BRIDGE, "hairpinMode": True, "promiscMode": True},
    ),
    "an MTU no link can have": (7, "mtu: 40|68..65535", {**BRIDGE, "mtu": 40}),
    "an MTU too small for IPv6": (7, "mtu: 1000|1280|IPv6", {**BRIDGE, "mtu": 1000}),
    "a key of another type": (7, 'mtu: "1500" is not a whole number', {**BRIDGE, "mtu": "1500"}),
}


@in_host
def test_configurations() -> None:
    runtime = container("c1")
    for name, (code, words, config) in CONFIGURATIONS.items():
        with noted(name):
            refused(code, words, "ADD", config, runtime)


ENVIRONMENTS: dict[str, tuple[int, str, dict[str, str]]] = {
    "interface name of 16 bytes": (4, "CNI_IFNAME|15 bytes", {"CNI_IFNAME": "e" * 16}),
    "of 16 bytes in 8 letters": (4, "CNI_IFNAME|15 bytes", {"CNI_IFNAME": "é" * 8}),
    "interface name with a slash": (4, "CNI_IFNAME|'a/b'", {"CNI_IFNAME": "a/b"}),
    "no interface name": (4, "CNI_IFNAME|missing", {"CNI_IFNAME": ""}),
    "container id with a slash": (4, "CNI_CONTAINERID|'a/b'", {"CNI_CONTAINERID": "a/b"}),
    "arguments": (4, "CNI_ARGS|'IP'", {"CNI_ARGS": "IP"}),
    "MAC": (7, "mac|02:xx", {"CNI_ARGS": "MAC=02:xx"}),
    "multicast MAC": (7, "mac|03:00:00:00:00:01", {"CNI_ARGS": "MAC=03:00:00:00:00:01"}),
    "MAC of zeros": (7, "mac|00:00:00:00:00:00", {"CNI_ARGS": "MAC=00:00:00:00:00:00"}),
    "address out of range": (7, "10.9.9.9", {"CNI_ARGS": "IP=10.9.9.9"}),
    "no address": (7, "house", {"CNI_ARGS": "IP=house"}),
    "the gateway's address": (7, "10.1.0.1|gateway", {"CNI_ARGS": "IP=10.1.0.1"}),
    "no namespace": (4, "CNI_NETNS|missing", {"CNI_NETNS": ""}),
    "namespace that is not there": (
        8,
        'failed to open netns "/run/netns/none"|No such file',
        {"CNI_NETNS": "/run/netns/none"},
    ),
    "namespace that is a file": (
        8,
        'failed to open netns "/run/file"|regular file|not a network namespace',
        {"CNI_NETNS": "/run/file"},
    ),
    "namespace that is a directory": (8, "/run/netns|directory", {"CNI_NETNS": "/run/netns"}),
    "namespace for mounts": (8, "mount namespace", {"CNI_NETNS": "/proc/self/ns/mnt"}),
    "namespace of the plugin itself": (
        8,
        "/proc/self/ns/net|the plugin itself",
        {"CNI_NETNS": "/proc/self/ns/net"},
    ),
}


@pytest.mark.parametrize("command", ["ADD", "CHECK"])
@in_host
def test_environments(command: str) -> None:
    runtime = container("c1")
    Path("/run/file").touch()
    config = BRIDGE
    if command == "CHECK":
        config = {**BRIDGE, "prevResult": add(BRIDGE, runtime)}
    for name, (code, words, environ) in ENVIRONMENTS.items():
        if command == "CHECK" and "CNI_ARGS" in environ and code == 7:
            continue  # what was wished for is no matter any more
        with noted(name):
            refused(code, words, command, config, replace(runtime, environ=environ))


@in_host
def test_the_plugins_own_namespace_is_allowed_on_request() -> None:
    before = lines()
    config = {**BRIDGE, "isDefaultGateway": False, "isGateway": True}
    runtime = Runtime(
        netns="/proc/self/ns/net", interface="own0", environ={"CNI_NETNS_OVERRIDE": "1"}
    )
    result = add(config, runtime)
    assert result["interfaces"][2]["sandbox"] == "/proc/self/ns/net"
    assert any(line.startswith("address own0 10.1.0.2/24") for line in lines())
    succeed("CHECK", {**config, "prevResult": result}, runtime)
    succeed("DEL", config, runtime)
    assert {line for line in lines() - before if "cni0" not in line} == set()


@in_host
def test_a_plugin_that_is_not_ours() -> None:
    runtime = container("c1")
    outcome = drive.raw_call("nope", runtime.environment("ADD"), json.dumps(BRIDGE).encode())
    error = the_error(outcome)
    assert error["code"] == 7
    assert 'no plugin "nope"' in error["msg"] and "host-local" in error["msg"]


@in_host
def test_what_is_not_json() -> None:
    container("c1")
    for stdin in (b"", b"{", b"[]", b'{"name": "web"} {}', b"\xff", b'{"a": NaN}'):
        refused(6, "network configuration", "ADD", stdin)


@in_host
def test_a_full_range() -> None:
    config = with_ipam(subnet="10.1.0.0/30")
    add(config, container("c1"))
    refused(50, "no IP addresses available|1 of 1 held", "ADD", config, container("c2"))
    refused(50, "no IP addresses available|1 of 1 held", "STATUS", config)


@in_host
def test_an_attachment_that_is_there_already() -> None:
    runtime = container("c1")
    add(BRIDGE, runtime)
    refused(100, "c1|web|eth0|already|DEL it first", "ADD", BRIDGE, runtime)
    refused(100, "c1|eth0|detach it first", "ADD", {**BRIDGE, "mtu": 1400}, runtime)


@in_host
def test_an_interface_that_is_there_already() -> None:
    runtime = container("c1")
    add(BRIDGE, container("c2"))
    run("ip -n c1 link add eth0 type veth peer name eth9")
    refused(100, "eth0|already exists|/run/netns/c1", "ADD", BRIDGE, runtime)


# --- the store ------------------------------------------------------------------


def read_only() -> None:
    run("mount --bind /run/pynet /run/pynet")
    run("mount -o remount,bind,ro /run/pynet")


def a_directory() -> None:
    remove()
    STORE.mkdir()


def of_a_newer_schema() -> None:
    with closing(sqlite3.connect(STORE)) as store:
        store.execute("PRAGMA user_version = 99")
        store.execute("UPDATE meta SET value = 99 WHERE name = 'oldest'")
        store.commit()


def whose_directory_is_a_file() -> None:
    run("rm -r /run/pynet")
    STATE.touch()


def remove() -> None:
    for path in STATE.glob("pynet.db*"):
        path.unlink()


STORES: dict[Callable[[], None], tuple[int, str]] = {
    read_only: (5, "/run/pynet|read-only"),
    a_directory: (5, "/run/pynet/pynet.db|is a directory"),
    of_a_newer_schema: (5, "/run/pynet/pynet.db|schema 99|newer pynet"),
    whose_directory_is_a_file: (5, "/run/pynet|not a directory|PYNET_STATE_DIR"),
}


def remains() -> dict[str, Any]:
    """All but the store's rows, which nobody may be able to read; its file instead."""
    files = {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in STATE.rglob("*")
        if path.is_file() and not path.name.endswith(("-shm", "-wal"))
    }
    return {"host": lines(), "c1": lines("c1"), "elements": elements(), "files": files}


@pytest.mark.parametrize("damage", STORES, ids=lambda damage: damage.__name__)
@in_host
def test_a_store_that_can_not_be_used(damage: Callable[[], None]) -> None:
    runtime = container("c1")
    other = container("c2")
    config = {**BRIDGE, "prevResult": add(BRIDGE, other)}
    gc.collect()  # a connection that closes later writes the store's file once more
    damage()
    before = remains()
    code, words = STORES[damage]
    for command, whose in (("ADD", runtime), ("CHECK", other), ("DEL", other), ("GC", other)):
        error = the_error(drive.call(command, config, whose))
        assert error["code"] == code, error
        for word in words.split("|"):
            assert word in error["msg"], (command, word, error)
        assert remains() == before


@pytest.mark.second_user
@pytest.mark.parametrize("uid, mode, words", [(1, 0o700, "belongs to uid 1"), (0, 0o777, "chmod")])
@in_host
def test_a_state_directory_that_others_can_write(uid: int, mode: int, words: str) -> None:
    """A record planted there would have its program run as root."""
    STATE.mkdir()
    os.chown(STATE, uid, uid)
    STATE.chmod(mode)
    for command in ("ADD", "DEL"):
        refused(5, f"state directory {STATE}|{words}", command, BRIDGE, container(command))
    assert list(STATE.iterdir()) == []


@in_host
def test_a_store_that_is_not_there_is_made() -> None:
    run("rm -rf /run/pynet")
    add(BRIDGE, container("c1"))
    assert STATE.stat().st_mode & 0o777 == 0o700
    assert STORE.stat().st_mode & 0o777 == 0o600


@in_host
def test_a_store_that_another_process_has_locked() -> None:
    runtime = container("c1")
    impatient = Services(STATE)
    impatient._store = Store.open(STATE, patience=0.05)
    before = remains()
    with sqlite3.connect(STORE, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        for command in ("ADD", "GC"):
            outcome = drive.raw_call(
                "bridge", runtime.environment(command), json.dumps(BRIDGE).encode(), impatient
            )
            error = the_error(outcome)
            assert error["code"] == 11
            assert "/run/pynet/pynet.db is locked by another process" in error["msg"]
            assert remains() == before
    add(BRIDGE, runtime)


@in_host
def test_an_attachment_that_another_call_works_on() -> None:
    runtime = container("c1")
    engine.LOCK_SECONDS = 0.05
    cookie = socket.socket().getsockopt(socket.SOL_SOCKET, 71, 8)  # SO_NETNS_COOKIE
    host = str(int.from_bytes(cookie, sys.byteorder))
    with AttachmentLock(STATE, host, Attachment("web", "c1", "eth0")) as lock:
        assert lock.try_acquire()
        for command in ("ADD", "DEL"):
            refused(11, "c1|eth0|web|another call", command, BRIDGE, runtime)
    add(BRIDGE, runtime)


@contextmanager
def noted(what: str) -> Iterator[None]:
    """A failure inside says which one it was."""
    try:
        yield
    except BaseException as error:
        error.add_note(what)
        raise
