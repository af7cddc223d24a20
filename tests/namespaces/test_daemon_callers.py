"""Whoever calls the daemon: killed in the middle, many at once, or from somewhere else.

Every test attaches real containers and ends with nothing left of them.
"""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import pytest
from drive import BRIDGE, Outcome, Runtime
from executables import (
    NEVER,
    REQUIRE,
    Executables,
    SlowIpam,
    all_fine,
    at_once,
    containers,
    daemon,
)

from pynet.testnets.lab.lab import Host

pytestmark = pytest.mark.usefixtures("c1")

# --- the caller's end -----------------------------------------------------------------


@pytest.mark.parametrize("mode", ["require", "never"])
def test_a_caller_killed_in_the_middle_and_del_at_once(
    host: Host, plugins: Executables, slow: SlowIpam, mode: str
) -> None:
    with daemon(host):
        runtime = slow.runtime(plugins, PYNET_DAEMON=mode)
        with plugins.start(host, "ADD", slow.config, runtime) as add:
            slow.wait()
            add.kill()
            outcome = plugins.call(host, "DEL", slow.config, runtime)
            assert outcome.status == 0, outcome
            assert add.wait() == -signal.SIGKILL
    assert slow.calls[-1] == "DEL"


def test_callers_killed_at_any_moment_and_del_at_once(host: Host, plugins: Executables) -> None:
    with daemon(host):
        assert host.call(killed_callers, plugins) == []


def killed_callers(plugins: Executables) -> list[Outcome]:
    """DELs that failed, each sent at once after an ADD that was killed some time later."""
    runtime = Runtime(environ=dict(REQUIRE))
    failed = []
    for tenth_ms in range(0, 100, 4):
        add = plugins.start_here("ADD", BRIDGE, runtime)
        with add:
            try:
                add.wait(tenth_ms / 10_000)
            except subprocess.TimeoutExpired:
                add.kill()
        outcome = plugins.call_here("DEL", BRIDGE, runtime)
        failed += [outcome] if outcome.status else []
    return failed


# --- several at once ------------------------------------------------------------------


def mixed(runtimes: list[Runtime]) -> list[Runtime]:
    """Every other one without the daemon."""
    modes = [REQUIRE, NEVER]
    return [
        Runtime(each.container, each.netns, environ=dict(modes[number % 2]))
        for number, each in enumerate(runtimes)
    ]


def test_daemon_and_one_shots_side_by_side(host: Host, plugins: Executables) -> None:
    runtimes = mixed(containers(host, 8))
    with daemon(host):
        added = host.call(at_once, plugins, "ADD", runtimes)
        all_fine(added)
        addresses = [ip["address"] for outcome in added for ip in outcome.document["ips"]]
        assert len(set(addresses)) == len(addresses) == 16
        # Whoever made it, the other takes it down.
        all_fine(host.call(at_once, plugins, "DEL", mixed(runtimes[1:])[::-1]))
        all_fine(host.call(at_once, plugins, "DEL", runtimes))


def test_daemon_and_one_shots_on_one_attachment(host: Host, plugins: Executables) -> None:
    runtimes = mixed([Runtime()] * 6)
    with daemon(host):
        added = host.call(at_once, plugins, "ADD", runtimes)
        assert sorted(outcome.code for outcome in added) == [0, 100, 100, 100, 100, 100]
        all_fine(host.call(at_once, plugins, "DEL", runtimes))


# --- where the caller stands ----------------------------------------------------------


def test_a_mount_namespace_of_another_user_namespace_goes_one_shot(
    host: Host, plugins: Executables
) -> None:
    """The caller itself is in the daemon's user namespace, and may go where the daemon may not."""
    maker = ["unshare", "-Urm", "sh", "-c", "echo $$; exec sleep 600"]
    with daemon(host), host.popen(maker, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        pid = process.stdout.readline().decode().strip()
        elsewhere = ("nsenter", "-t", pid, "-m")
        for command in ("ADD", "DEL"):
            refused = plugins.call(host, command, BRIDGE, prefix=elsewhere, **REQUIRE)
            assert refused.code == 11
            assert "belongs to another user namespace" in refused.document["msg"]
            assert plugins.call(host, command, BRIDGE, prefix=elsewhere).status == 0
        process.kill()


IN_USER_NAMESPACE = """
set -e
mount -t tmpfs tmpfs /run/netns
ip netns add c1
for command in ADD DEL; do
    PYNET_DAEMON=require CNI_COMMAND=$command "$PLUGIN" <"$CONFIG" && exit 9
    CNI_COMMAND=$command "$PLUGIN" <"$CONFIG"
    echo "after $command"
    ip -brief link
    nft list ruleset
done
"""


def test_a_caller_in_another_user_namespace_goes_one_shot(
    host: Host, plugins: Executables, tmp_path: Path
) -> None:
    config = tmp_path / "config"
    config.write_text(json.dumps(BRIDGE))
    environ = plugins.environment("ADD", Runtime())
    environ |= {"PLUGIN": str(plugins.folder / "bridge"), "CONFIG": str(config)}
    with daemon(host):
        done = host.run(["unshare", "-Urnm", "sh", "-c", IN_USER_NAMESPACE], env=environ)
    refused_and_added, attached, detached = done.stdout.decode().split("after ")
    refused, added = map(json.loads, refused_and_added.splitlines())
    assert (refused["code"], "another user namespace" in refused["msg"]) == (11, True)
    address, _, _ = added["ips"][0]["address"].partition("/")
    for trace in (added["interfaces"][1]["name"], address):
        assert trace in attached
        assert trace not in detached
