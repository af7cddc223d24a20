"""The files of labs that stand: who finds them, who removes them, who may have them."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pynet.testnets.lab.births import born_at
from pynet.testnets.lab.forked import LabError
from pynet.testnets.standing.standing import Door, Registry, Standing


@pytest.fixture
def holder() -> Iterator[subprocess.Popen[bytes]]:
    """A process that stands for a lab's holder."""
    with subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"]) as process:
        yield process
        process.kill()


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path)


def lab(holder: subprocess.Popen[bytes], name: str = "two") -> Standing:
    return Standing(
        name=name,
        file="/x/two.yaml",
        pid=holder.pid,
        born=born_at(holder.pid),
        since=17.5,
        nodes=3,
        containers=2,
        doors={"a": Door(4711, 5, "/run/netns/a", user=True), "h1": Door(4711, 5)},
        links=("h1 -- sw",),
        state={"holder": {"pid": holder.pid}},
    )


def test_what_is_recorded_is_found_as_it_was(
    registry: Registry, holder: subprocess.Popen[bytes]
) -> None:
    registry.record(lab(holder))
    registry.record(lab(holder, "one"))
    assert registry.get("two") == lab(holder)
    assert [found.name for found in registry] == ["one", "two"]
    registry.record(replace(lab(holder), containers=9))
    assert registry.get("two").containers == 9


def test_a_lab_whose_holder_is_dead_is_gone_and_so_is_its_file(
    registry: Registry, holder: subprocess.Popen[bytes]
) -> None:
    registry.record(lab(holder))
    holder.kill()
    holder.wait()
    assert registry.find("two") is None
    assert list(registry.directory.iterdir()) == []


def test_a_zombie_holds_nothing(registry: Registry, holder: subprocess.Popen[bytes]) -> None:
    found = lab(holder)
    holder.kill()
    os.waitid(os.P_PID, holder.pid, os.WEXITED | os.WNOWAIT)
    assert not found.stands


def test_a_pid_that_somebody_else_has_by_now_is_not_the_lab(
    registry: Registry, holder: subprocess.Popen[bytes]
) -> None:
    earlier = replace(lab(holder), born="another-boot 12")
    registry.record(earlier)
    assert list(registry) == []
    registry.end(earlier)
    assert holder.poll() is None


def test_half_a_file_is_no_lab(registry: Registry) -> None:
    for number, text in enumerate(("", "{", "[]", '{"name": "x"}')):
        (registry.directory / f"x{number}.json").write_text(text)
    assert list(registry) == []
    assert list(registry.directory.iterdir()) == []


def test_an_unknown_name_says_which_there_are(
    registry: Registry, holder: subprocess.Popen[bytes]
) -> None:
    registry.record(lab(holder, "dual-stack"))
    with pytest.raises(LabError, match=r"did you mean 'dual-stack'.*pynet testnet up"):
        registry.get("dual-stak")
    with pytest.raises(LabError, match=r"no lab '\.\./two' stands"):
        registry.get("../two")


def test_an_unknown_node_says_which_there_are(holder: subprocess.Popen[bytes]) -> None:
    assert lab(holder).door("h1") == Door(4711, 5)
    with pytest.raises(LabError, match="lab two has no node 'h2'; it has a, h1"):
        lab(holder).door("h2")


def test_ending_kills_and_forgets(registry: Registry, holder: subprocess.Popen[bytes]) -> None:
    registry.record(lab(holder))
    registry.end(lab(holder))
    assert holder.wait() == -9
    assert list(registry.directory.iterdir()) == []
    registry.end(lab(holder))


def test_a_later_lab_of_the_same_name_is_not_forgotten(
    registry: Registry, holder: subprocess.Popen[bytes]
) -> None:
    registry.record(lab(holder))
    registry.forget(replace(lab(holder), pid=1))
    assert registry.find("two")


def test_two_commands_do_not_change_one_lab_at_once(registry: Registry) -> None:
    with registry.changing("two"), registry.changing("other"):
        with pytest.raises(LabError, match="another command"), registry.changing("two"):
            pass
        assert sorted(path.name for path in registry.directory.iterdir()) == [
            "other.lock",
            "two.lock",
        ]
    with registry.changing("two"):
        pass
    assert list(registry.directory.iterdir()) == []


def _count_up(directory: Path, rounds: int) -> None:
    for _ in range(rounds):
        while True:
            try:
                with Registry(directory).changing("two"):
                    number = int((directory / "count").read_text())
                    (directory / "count").write_text(str(number + 1))
                    break
            except LabError:
                continue


def test_the_lock_excludes_though_its_file_comes_and_goes(tmp_path: Path) -> None:
    (tmp_path / "count").write_text("0")
    forking = multiprocessing.get_context("fork")
    processes = [forking.Process(target=_count_up, args=(tmp_path, 100)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert (tmp_path / "count").read_text() == "300"


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "-x", "a b", "x" * 64])
def test_what_can_not_be_a_name(registry: Registry, name: str) -> None:
    with pytest.raises(LabError, match="can't be a lab's name"), registry.changing(name):
        pass


def test_the_directory_is_the_users_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    directory = Registry().directory
    assert directory == tmp_path / "pynet" / "testnets"
    assert list(Registry()) == [] and not (tmp_path / "pynet").exists()  # who looks makes none
    with Registry().changing("a"):
        pass
    assert directory.stat().st_mode & 0o777 == 0o700
    assert Registry().directory == directory
    (tmp_path / "pynet").chmod(0o777)
    with pytest.raises(LabError, match="not a directory of this user alone"):
        Registry()


def test_a_link_is_no_directory_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / "pynet").symlink_to("elsewhere")
    with pytest.raises(LabError, match="remove it"):
        Registry()
