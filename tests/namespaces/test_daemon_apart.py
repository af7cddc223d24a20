"""A daemon that shares little with its callers: it serves them, or declines before any effect.

All calls but those that are to be declined require the daemon.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from drive import PLAIN_BRIDGE, Runtime
from elsewhere import call, config, exists, from_place, succeed, write
from elsewhere import files as files
from executables import (
    NEVER,
    REQUIRE,
    SOCKET,
    Executables,
    daemon,
    finish,
    in_host,
    until,
    wait_for_daemon,
)
from placed_ipam import IN_MNT, WITH_THEIRS, calls, their_ipam

from pynet.testnets.lab.lab import Host

pytestmark = pytest.mark.usefixtures("c1")


# --- a daemon elsewhere -----------------------------------------------------------------------

# All that it shares with its callers is the state directory.
CONTAINER = """
mount -t tmpfs tmpfs /mnt
mount -t tmpfs tmpfs /run/theirs
mount -t tmpfs tmpfs /run/netns
exec "$@"
"""


def test_a_daemon_in_a_container_serves_the_host(host: Host, plugins: Executables) -> None:
    write(host, "/mnt/resolv.conf", "nameserver 192.0.2.3\n")
    their_ipam(host, "/mnt", "the host's")
    command = [
        "unshare",
        "-m",
        "--fork",
        "--kill-child",
        "--pid",
        "--mount-proc",
        "sh",
        "-ec",
        CONTAINER,
        "sh",
    ]
    command += [sys.executable, "-I", "-m", "pynet.daemon"]
    with host.popen(command) as process:
        try:
            wait_for_daemon(host)
            wanted = config(resolvConf="/mnt/resolv.conf")
            result = succeed(host, plugins, "ADD", wanted, ())
            assert result["dns"]["nameservers"] == ["192.0.2.3"]
            succeed(host, plugins, "CHECK", {**wanted, "prevResult": result}, ())
            succeed(host, plugins, "DEL", wanted, ())
            succeed(host, plugins, "ADD", WITH_THEIRS, (), **IN_MNT)
            succeed(host, plugins, "DEL", WITH_THEIRS, (), **IN_MNT)
        finally:
            process.kill()
    assert calls(host, "/mnt") == ["ADD the host's /", "DEL the host's /"]


# As a rootless engine does: a user namespace of its own, and a mount namespace for each call.
ROOTLESS = """
mount -t tmpfs tmpfs /mnt
cp -r /run/theirs /mnt/theirs
mount -t tmpfs tmpfs /run
mkdir /run/netns /run/theirs
cp -r /mnt/theirs/. /run/theirs
umount /mnt
ip netns add c1
"$PYTHON" -I -m pynet.daemon &
until [ -S /run/pynet/pynetd.sock ]; do sleep 0.05; done
for command in ADD DEL; do
    CNI_COMMAND=$command unshare -m \\
        sh -ec 'mount --rbind /run/theirs /mnt; exec "$PLUGIN"' <"$CONFIG"
done
cat /run/theirs/calls
kill $!
"""


def test_each_call_of_a_rootless_engine_is_served(
    host: Host, plugins: Executables, tmp_path: Path
) -> None:
    their_ipam(host, "/run/theirs", "theirs")
    (tmp_path / "config").write_text(json.dumps(WITH_THEIRS))
    environ = plugins.environment("ADD", Runtime(environ={**IN_MNT, **REQUIRE}))
    environ |= {"PLUGIN": str(plugins.folder / "bridge"), "CONFIG": str(tmp_path / "config")}
    environ |= {"PYTHON": sys.executable}
    done = host.run(["unshare", "-Urnm", "sh", "-ec", ROOTLESS], env=environ)
    result, *rest = done.stdout.decode().splitlines()
    assert json.loads(result)["ips"][0]["address"] == "10.1.0.9/24"
    assert rest == ["ADD theirs /", "DEL theirs /"]


# --- who is declined --------------------------------------------------------------------------

OTHER_STATE = """
mkdir -p /run/other
touch /run/sock
mount --bind /run/pynet/pynetd.sock /run/sock
mount --bind /run/other /run/pynet
exec "$@"
"""


def test_another_state_directory_at_the_same_path_is_declined(
    host: Host, plugins: Executables
) -> None:
    place = ("unshare", "-m", "sh", "-ec", OTHER_STATE, "sh")
    socket = {"PYNET_SOCKET": "/run/sock"}
    with daemon(host):
        for command in ("ADD", "DEL"):
            refused = call(host, plugins, command, PLAIN_BRIDGE, place, **socket)
            assert refused.code == 11
            assert "another state directory" in refused.document["msg"]
            done = plugins.call(host, command, PLAIN_BRIDGE, prefix=place, **socket)
            assert done.status == 0, done
        assert exists(host, "/run/other/pynet.db")


def test_without_the_daemons_socket_it_goes_one_shot(host: Host, plugins: Executables) -> None:
    """Another tmpfs over /run, with the namespaces in it."""
    host.run(["sh", "-ec", "mkdir /run/run; mount -t tmpfs tmpfs /run/run; mkdir /run/run/netns"])
    over = "mount --rbind /run/netns /mnt; mount --bind /run/run /run"
    script = f'{over}; mount --rbind /mnt /run/netns; exec "$@"'
    place = ("unshare", "-m", "sh", "-ec", script, "sh")
    with daemon(host):
        # Its state directory is another one, and this host's tables are the first one's.
        for command, code, note in (("ADD", 105, ""), ("DEL", 0, "is left to it")):
            assert call(host, plugins, command, PLAIN_BRIDGE, place).code == 11
            runtime = Runtime(environ=dict(NEVER))
            begun = plugins.start(host, command, PLAIN_BRIDGE, runtime, place)
            assert finish(begun, note).code == code


@pytest.mark.parametrize("capability", ["sys_chroot", "sys_admin"])
def test_a_daemon_that_may_not_enter_declines_before_any_effect(
    host: Host, plugins: Executables, capability: str
) -> None:
    place = from_place("mount namespace and root")
    command = ["setpriv", f"--bounding-set=-{capability}", sys.executable, "-I", "-m"]
    with host.popen([*command, "pynet.daemon"]) as process:
        try:
            wait_for_daemon(host)
            until(in_host(host, SOCKET).exists, "no socket")
            refused = call(host, plugins, "ADD", PLAIN_BRIDGE, place)
            assert refused.code == 11
            assert "may not enter it" in refused.document["msg"]
            done = plugins.call(host, "ADD", PLAIN_BRIDGE, prefix=place)
            assert done.status == 0, done
            done = plugins.call(host, "DEL", PLAIN_BRIDGE, prefix=place)
            assert done.status == 0, done
            if capability == "sys_chroot":  # all that a caller at home needs is there
                succeed(host, plugins, "ADD", PLAIN_BRIDGE, ())
                succeed(host, plugins, "DEL", PLAIN_BRIDGE, ())
        finally:
            process.kill()
