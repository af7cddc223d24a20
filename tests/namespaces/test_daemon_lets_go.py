"""Nothing of a caller's is held once it has its answer: it may unmount and remove what it likes."""

from __future__ import annotations

import ctypes
import os
import subprocess
from pathlib import Path

import pytest
from drive import BRIDGE, Runtime
from executables import REQUIRE, Executables, asleep, daemon, stopped

from pynet.testnets.lab.lab import Host

pytestmark = pytest.mark.usefixtures("c1")

_libc = ctypes.CDLL(None, use_errno=True)


def unmount(path: str) -> str:
    """`umount PATH`; why not, where it can't be."""
    if _libc.umount2(path.encode(), 0):
        return os.strerror(ctypes.get_errno())
    return ""


def unmounted_at_once(plugins: Executables, count: int) -> list[str]:
    """ADDs, each followed by a plain `umount` of its namespace's path; why those failed."""
    failed = []
    for number in range(count):
        name = f"brief{number}"
        path = f"/run/netns/{name}"
        subprocess.run(["ip", "netns", "add", name], check=True)
        runtime = Runtime(name, path, environ=dict(REQUIRE))
        assert plugins.call_here("ADD", BRIDGE, runtime).status == 0
        failed += filter(None, [unmount(path)])
        assert plugins.call_here("DEL", BRIDGE, runtime).status == 0
        if os.path.ismount(path):
            subprocess.run(["umount", "--lazy", path], check=True)
        Path(path).unlink()
    return failed


def test_the_path_of_a_namespace_is_unmounted_at_once(host: Host, plugins: Executables) -> None:
    with daemon(host):
        assert host.call(unmounted_at_once, plugins, 60) == []


def test_what_a_hung_daemon_was_sent_holds_no_mount(host: Host, plugins: Executables) -> None:
    """Its request stays in the queue of the daemon, whose caller was served without it."""
    with daemon(host) as pid:
        asleep(pid)  # or it is stopped with the store in its hands
        with stopped(pid):
            for command in ("ADD", "DEL"):
                outcome = plugins.call(host, command, BRIDGE, PYNET_ACCEPT_MS="50")
                assert outcome.status == 0, outcome
            assert host.call(unmount, "/run/netns/c1") == ""
