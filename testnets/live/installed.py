"""pynet itself on a fake host: its plugins where runtimes look for them, and its daemon."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from ..lab.forked import LabError
from ..lab.host import Host, Process

PYNET = [sys.executable, "-m", "pynet.cli"]
BIN_DIR = "/opt/cni/bin"
_PATIENCE = 20.0
"""Seconds that a daemon may take to start."""


def install(host: Host) -> str:
    """`pynet install` on the host; what it says."""
    # Others may write this interpreter and this tree; in a lab that is no danger to anybody.
    argv = [*PYNET, "install", "--bin-dir", BIN_DIR, "--allow-writable-interpreter"]
    return host.run(argv).stdout.decode()


def start_daemon(host: Host) -> Process:
    """`pynet daemon` on the host, listening when this returns. Raises `LabError`."""
    daemon = host.popen([*PYNET, "daemon"], stdin=subprocess.DEVNULL)
    socket = Path(f"/proc/{host.pid}/root/run/pynet/pynetd.sock")
    deadline = time.monotonic() + _PATIENCE
    while not socket.exists():
        if daemon.poll() is not None or time.monotonic() > deadline:
            daemon.kill()
            raise LabError("`pynet daemon` did not start; what it printed says why")
        time.sleep(0.02)
    return daemon
