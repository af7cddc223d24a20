"""Callers of another mount namespace or root directory: the daemon sees what they see.

Each place holds other files than the daemon's. All calls require the daemon.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from drive import PLAIN_BRIDGE
from elsewhere import PLACES, call, config, exists, from_place, succeed, write
from elsewhere import files as files
from executables import Executables, daemon
from placed_ipam import IN_MNT, RESULT, WITH_THEIRS, calls, their_ipam

from pynet.testnets.lab.lab import Host

pytestmark = pytest.mark.usefixtures("c1")

REFERENCE = {"type": "host-local", "subnet": "10.1.0.0/24", "dataDir": "/mnt/leases"}


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest) -> tuple[str, ...]:
    return from_place(request.param)


# --- files ------------------------------------------------------------------------------------


@pytest.mark.parametrize("link", ["", "/mnt/resolv.conf", "../../../../mnt/resolv.conf"])
def test_a_file_is_the_callers(
    host: Host, plugins: Executables, place: tuple[str, ...], link: str
) -> None:
    """Also at the end of a link that would lead out of its root."""
    write(host, "/mnt/resolv.conf", "nameserver 192.0.2.1\n")
    write(host, "/run/theirs/resolv.conf", "nameserver 192.0.2.2\n")
    if link:
        host.run(["ln", "-s", link, "/run/theirs/link"])
    wanted = config(resolvConf="/mnt/link" if link else "/mnt/resolv.conf")
    with daemon(host):
        result = succeed(host, plugins, "ADD", wanted, place)
        succeed(host, plugins, "DEL", wanted, place)
    assert result["dns"]["nameservers"] == ["192.0.2.2"]


@pytest.mark.parametrize("elsewhere", [False, True])
@pytest.mark.parametrize("name", ["resolv.conf", "leases/web/last_reserved_ip.0"])
def test_a_fifo_is_not_waited_for(
    host: Host, plugins: Executables, elsewhere: bool, name: str
) -> None:
    place = from_place("mount namespace") if elsewhere else ()
    folder = "/run/theirs" if elsewhere else "/mnt"
    script = f'mkdir -p "$(dirname {folder}/{name})"; mkfifo {folder}/{name}'
    host.run(["sh", "-ec", script])
    wanted = {**config(resolvConf="/mnt/resolv.conf"), "ipam": {**REFERENCE}}
    wanted = config(resolvConf="/mnt/resolv.conf") if name == "resolv.conf" else wanted
    with daemon(host):
        outcome = call(host, plugins, "ADD", wanted, place)
        succeed(host, plugins, "DEL", wanted, place)
    assert outcome.code == 5
    assert f"/mnt/{name}" in outcome.document["msg"], outcome


def test_the_references_leases_are_the_callers(
    host: Host, plugins: Executables, place: tuple[str, ...]
) -> None:
    """The daemon's own of the same path, and the same address, stay as they are."""
    for folder in ("/mnt", "/run/theirs"):
        write(host, f"{folder}/leases/web/lock", "")
    write(host, "/mnt/leases/web/10.1.0.2", "other\r\neth0")
    write(host, "/mnt/leases/web/10.1.0.9", "c1\r\neth0")
    write(host, "/run/theirs/leases/web/10.1.0.2", "other\r\neth0")
    write(host, "/run/theirs/leases/web/10.1.0.7", "c1\r\neth0")
    wanted = {**PLAIN_BRIDGE, "ipam": REFERENCE}
    with daemon(host):
        result = succeed(host, plugins, "ADD", wanted, place)
        assert result["ips"][0]["address"] == "10.1.0.7/24"
        succeed(host, plugins, "DEL", wanted, place)
        assert not exists(host, "/run/theirs/leases/web/10.1.0.7")
        assert exists(host, "/run/theirs/leases/web/10.1.0.2")
        assert exists(host, "/mnt/leases/web/10.1.0.9")
        # What the other root has was not read yet, though it has the same path.
        assert succeed(host, plugins, "ADD", wanted, ())["ips"][0]["address"] == "10.1.0.9/24"
        succeed(host, plugins, "DEL", wanted, ())
        assert not exists(host, "/mnt/leases/web/10.1.0.9")
        succeed(host, plugins, "DEL", wanted, (), CNI_CONTAINERID="other")


# --- programs ---------------------------------------------------------------------------------


def test_a_program_that_only_the_caller_sees_is_run_where_the_caller_is(
    host: Host, plugins: Executables, place: tuple[str, ...]
) -> None:
    their_ipam(host, "/run/theirs", "theirs")
    with daemon(host):
        result = succeed(host, plugins, "ADD", WITH_THEIRS, place, **IN_MNT)
        succeed(host, plugins, "CHECK", {**WITH_THEIRS, "prevResult": result}, place, **IN_MNT)
        succeed(host, plugins, "STATUS", WITH_THEIRS, place, **IN_MNT)
        succeed(host, plugins, "GC", WITH_THEIRS, place, **IN_MNT)
        succeed(host, plugins, "DEL", WITH_THEIRS, place, **IN_MNT)
        outcome = call(host, plugins, "ADD", WITH_THEIRS, (), **IN_MNT)
    assert result["ips"][0]["address"] == "10.1.0.9/24"
    expected = ["ADD", "CHECK", "STATUS", "GC", "DEL"]
    assert calls(host, "/run/theirs") == [f"{command} theirs /" for command in expected]
    assert outcome.code == 7 and "their-ipam" in outcome.document["msg"], outcome


def test_a_program_that_only_the_daemon_sees_is_not_run(
    host: Host, plugins: Executables, place: tuple[str, ...]
) -> None:
    """One with a name of ours: the caller has none such, so it is ours that serves."""
    their_ipam(host, "/mnt", "the daemon's", "host-local")
    with daemon(host):
        result = succeed(host, plugins, "ADD", PLAIN_BRIDGE, place, **IN_MNT)
        succeed(host, plugins, "DEL", PLAIN_BRIDGE, place, **IN_MNT)
        assert result["ips"][0]["address"] != RESULT["ips"][0]["address"]
        assert calls(host, "/mnt") == []
        # The very same call, from where the daemon is.
        succeed(host, plugins, "ADD", PLAIN_BRIDGE, (), **IN_MNT)
        succeed(host, plugins, "DEL", PLAIN_BRIDGE, (), **IN_MNT)
    assert calls(host, "/mnt") == ["ADD the daemon's /", "DEL the daemon's /"]


def test_the_replaced_plugin_of_the_caller_has_its_say(
    host: Host, plugins: Executables, place: tuple[str, ...]
) -> None:
    their_ipam(host, "/run/theirs", "theirs", ".pynet-replaced/bridge")
    launcher = plugins.folder / "pynet-launcher"
    host.run(["cp", str(launcher), "/run/theirs/bin/pynet-launcher"])
    host.run(["ln", "-s", "pynet-launcher", "/run/theirs/bin/bridge"])
    with daemon(host):
        succeed(host, plugins, "DEL", PLAIN_BRIDGE, place, **IN_MNT)
        succeed(host, plugins, "DEL", PLAIN_BRIDGE, (), **IN_MNT)
    assert calls(host, "/run/theirs") == ["DEL theirs /"]


def test_threads_that_went_elsewhere_change_nothing_for_the_others(
    host: Host, plugins: Executables
) -> None:
    write(host, "/mnt/resolv.conf", "nameserver 192.0.2.1\n")
    their_ipam(host, "/run/theirs", "theirs")
    place = from_place("mount namespace and root")
    with daemon(host):
        succeed(host, plugins, "ADD", WITH_THEIRS, place, **IN_MNT)
        succeed(host, plugins, "DEL", WITH_THEIRS, place, **IN_MNT)
        wanted = config(resolvConf="/mnt/resolv.conf")
        result = succeed(host, plugins, "ADD", wanted, ())
        succeed(host, plugins, "DEL", wanted, ())
    assert result["dns"]["nameservers"] == ["192.0.2.1"]


# --- the namespace of a record ----------------------------------------------------------------


@pytest.mark.parametrize("by_pid", [False, True])
def test_a_records_namespace_is_found_below_the_callers_root(
    host: Host, plugins: Executables, place: tuple[str, ...], by_pid: bool
) -> None:
    """DEL without CNI_NETNS undoes what was changed inside, at a path only the caller has."""
    with daemon(host), inhabited(host) as path:
        if not by_pid:
            host.run(["touch", "/run/theirs/c1"])
            host.run(["mount", "--bind", "/run/netns/c1", "/run/theirs/c1"])
        given = {"CNI_NETNS": path if by_pid else "/mnt/c1"}
        result = succeed(host, plugins, "ADD", PLAIN_BRIDGE, place, **given)
        wanted = {**LOGGING, "prevResult": result}
        succeed(host, plugins, "ADD", wanted, place, **given)
        assert martians(host) == "1"
        succeed(host, plugins, "DEL", wanted, place, CNI_NETNS="")
        assert martians(host) == "0"
        succeed(host, plugins, "DEL", PLAIN_BRIDGE, place, CNI_NETNS="")
        if not by_pid:
            host.run(["umount", "/run/theirs/c1"])


LOGGING: dict[str, Any] = {
    "cniVersion": "1.1.0",
    "name": "web",
    "type": "tuning",
    "sysctl": {"net.ipv4.conf.all.log_martians": "1"},
}


@contextmanager
def inhabited(host: Host) -> Iterator[str]:
    """The container with a process in it: the namespace's path by that one's pid."""
    command = ["ip", "netns", "exec", "c1", "sh", "-c", "echo $$; exec sleep 600"]
    with host.popen(["sh", "-c", 'exec "$@"', "sh", *command], stdout=-1) as process:
        assert process.stdout is not None
        pid = process.stdout.readline().decode().strip()
        try:
            yield f"/proc/{pid}/ns/net"
        finally:
            process.kill()


def martians(host: Host) -> str:
    done = host.run(["sysctl", "-n", "net.ipv4.conf.all.log_martians"], netns="c1")
    return done.stdout.decode().strip()
