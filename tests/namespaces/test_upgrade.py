"""Old and new on one host, up and down: nothing is lost, nothing is left, nothing crashes."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import releases
from chains import play
from drive import BRIDGE, Outcome, Runtime
from evidence import but_remembered, left, nothing_left, rest
from executables import NEVER, REQUIRE, daemon_pid, until, wait_for_daemon
from releases import OLDEST, Release
from upgrading import Report, containers_list, upgrade

from pynet.testnets.lab.lab import Host, Lab

pytestmark = pytest.mark.timeout(600, func_only=True)
NO_HISTORY = pytest.mark.skipif(
    not releases.has_history(),
    reason=f"an upgrade from commit {OLDEST} needs the clone's history, and there is none",
)


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Of this tree, of the next version, and of the oldest, where the clone has it."""
    folder = tmp_path_factory.mktemp("wheels")
    names = ["now", "next", *(["old"] if releases.has_history() else [])]
    with ThreadPoolExecutor() as pool:
        built = pool.map(lambda name: releases.wheel(name, folder / name), names)
        return dict(zip(names, built, strict=True))


@pytest.fixture
def installed(wheels: dict[str, Path], tmp_path: Path) -> dict[str, Release]:
    return {name: releases.install(name, wheel, tmp_path / name) for name, wheel in wheels.items()}


def lived_once(host: Host, release: Release) -> set[str]:
    """What is in a host that has known only that release, and one container that is gone."""
    host.container("first")
    runtime = Runtime("first", "/run/netns/first", environ=dict(NEVER))
    result = None
    for command in ("ADD", "DEL"):
        outcome = host.call(
            play, command, containers_list(0), runtime, result, release.plugins.call_here
        )
        assert outcome.status == 0, outcome
        result = outcome.document
    host.delete_container("first")
    return things(host)


def things(host: Host) -> set[str]:
    """What two hosts may be compared by: no rules of our tables, for each layout has its own.

    Nor what stays for good in each, and is remembered by its namespace.
    """
    found = {line for line in host.call(rest) if line.startswith(_COMPARABLE)}
    return {line for line in found if not line.startswith("row shared") or _STAYS not in line}


_STAYS = "'forwarding', "
_COMPARABLE = ("link ", "address ", "route ", "element ", "qdisc ", "neighbour ", "row ", "lock ")


def side_by_side(lab: Lab, old: Release, new: Release, log: Path, containers: int) -> Report:
    """`containers` a round; five hundred calls and more."""
    host = lab.host("both")
    report = host.call(upgrade, old, new, log, containers)
    assert report.failures == []
    assert b"Traceback" not in log.read_bytes()
    assert but_remembered(left(lived_once(lab.host("fresh"), new), things(host))) == []
    assert sum(report.counts[command] for command in ("ADD", "DEL", "CHECK", "GC")) >= 500
    return report


@NO_HISTORY
def test_from_the_first_schema_to_this_tree(
    lab: Lab, installed: dict[str, Release], tmp_path: Path
) -> None:
    report = side_by_side(lab, installed["old"], installed["now"], tmp_path / "log", 6)
    # The old code can't go on with the file, and says so.
    assert report.counts["newer schema"] > 0


def test_from_this_tree_to_the_next_version(
    lab: Lab, installed: dict[str, Release], tmp_path: Path
) -> None:
    report = side_by_side(lab, installed["now"], installed["next"], tmp_path / "log", 8)
    # This code goes on with the file.
    assert report.counts["newer schema"] == 0


def test_what_only_the_next_version_can_undo_is_left_to_it(
    host: Host, installed: dict[str, Release], tmp_path: Path
) -> None:
    """By a daemon before it has accepted; by a one-shot once all else is undone."""
    now, later = installed["now"], installed["next"]
    baseline = lived_once(host, later)
    host.container("c1")

    def call(release: Release, command: str, *environ: dict[str, str]) -> Outcome:
        runtime = Runtime(environ={name: value for one in environ for name, value in one.items()})
        return release.plugins.call(host, command, BRIDGE, runtime)

    assert call(later, "ADD", NEVER).status == 0
    with host.popen([str(now.python), "-I", "-m", "pynet.daemon"]) as daemon:
        try:
            wait_for_daemon(host)
            refused = call(now, "DEL", REQUIRE)
            assert "it is left to the newer pynet" in refused.document["msg"]
            assert daemon.wait(60) == 0
        finally:
            daemon.kill()
    refused = call(now, "DEL", NEVER)
    assert "next-address (recorded by another version of pynet)" in refused.document["msg"]
    remaining = {line[:10] for line in nothing_left(baseline, things(host))}
    assert remaining == {"address lo", "row record", "row step (", "row lease "}
    assert call(later, "DEL", NEVER).status == 0
    assert nothing_left(baseline, things(host)) == []


def test_a_package_is_upgraded_under_a_daemon_that_was_left_behind(
    host: Host, installed: dict[str, Release], wheels: dict[str, Path]
) -> None:
    """No call fails meanwhile, and soon there is a daemon of the new package."""
    release = installed["now"]
    for name in ("c1", "c2"):
        host.container(name)
    runtimes = [Runtime(name, f"/run/netns/{name}") for name in ("c1", "c2")]
    assert release.plugins.call(host, "ADD", BRIDGE, runtimes[0]).status == 0
    before = wait_for_daemon(host)
    argv = [sys.executable, "-m", "pip", "--python", release.python, "install", "--no-index"]
    argv += ["--no-deps", "--quiet", "--root-user-action=ignore", wheels["next"]]
    failed, calls = [], 0
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as pip:
        while pip.poll() is None:
            for command in ("ADD", "DEL"):
                outcome = release.plugins.call(host, command, BRIDGE, runtimes[1])
                failed += [outcome] if outcome.status else []
                calls += 1
        assert pip.stdout is not None
        assert pip.returncode == 0, pip.stdout.read().decode()
    assert (failed, calls > 1) == ([], True)
    # What the old daemon has made, the new package undoes, and serves what comes.
    assert release.plugins.call(host, "DEL", BRIDGE, runtimes[0]).status == 0
    assert until(lambda: daemon_pid(host), "no daemon was left behind") != before
    until(lambda: not Path(f"/proc/{before}/fd").is_dir(), "the old daemon is still there")
    assert release.plugins.call(host, "ADD", BRIDGE, runtimes[1], **REQUIRE).status == 0
    assert any(line.startswith("address lo 127.") for line in things(host))
    assert release.plugins.call(host, "DEL", BRIDGE, runtimes[1], **REQUIRE).status == 0
