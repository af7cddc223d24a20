"""Which changes make a directory of plugins ours, and which give it back."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pynet.cli.install import in_force, installation, systemd
from pynet.cli.install.file_changes import TEMPORARY, Change, PutBack
from pynet.cli.install.installation import KEPT, LAUNCHER, CantInstall, NotOurs, Wanted, look

PLUGINS = frozenset({"bridge", "host-local", "loopback"})
CONFIGURATION = "pynet-launcher.conf"


def wanted(
    launcher: bytes = b"launcher", plugins: frozenset[str] = PLUGINS, **values: str
) -> Wanted:
    return Wanted(launcher, {"python": "/usr/bin/python3", **values}, plugins)


def install(path: Path, what: Wanted, *, replace: bool = False) -> list[Change]:
    changes = installation.to_install(look(path), what, replace=replace)
    for change in changes:
        change.apply()
    return changes


def uninstall(path: Path) -> list[Change]:
    changes = installation.to_uninstall(look(path))
    for change in changes:
        change.apply()
    return changes


def contents(path: Path) -> dict[str, tuple[str, bytes | str]]:
    """Every file below `path`: what it holds, or where it leads."""
    found: dict[str, tuple[str, bytes | str]] = {}
    for file in sorted(path.rglob("*")):
        name = str(file.relative_to(path))
        if file.is_symlink():
            found[name] = ("link", str(file.readlink()))
        elif file.is_dir():
            found[name] = ("directory", "")
        else:
            found[name] = ("file", file.read_bytes())
    return found


def test_a_fresh_directory_is_made_and_filled(tmp_path: Path) -> None:
    target = tmp_path / "cni" / "bin"
    install(target, wanted())
    assert contents(target) == {
        "bridge": ("link", LAUNCHER),
        "host-local": ("link", LAUNCHER),
        "loopback": ("link", LAUNCHER),
        LAUNCHER: ("file", b"launcher"),
        CONFIGURATION: contents(target)[CONFIGURATION],
    }
    assert stat.S_IMODE((target / LAUNCHER).stat().st_mode) == 0o755
    text = (target / CONFIGURATION).read_text()
    assert installation.read_settings(text) == {"python": "/usr/bin/python3"}


@pytest.mark.parametrize("there", ["", "cni", "cni/bin"])
def test_what_was_made_for_it_goes_with_it(there: str, tmp_path: Path) -> None:
    (tmp_path / there).mkdir(parents=True, exist_ok=True)
    before = contents(tmp_path)
    target = tmp_path / "cni" / "bin"
    install(target, wanted())
    install(target, wanted(b"another launcher", state="/run/pynet"))
    uninstall(target)
    assert contents(tmp_path) == before


def test_what_others_have_put_into_it_stays(tmp_path: Path) -> None:
    target = tmp_path / "cni" / "bin"
    install(target, wanted())
    (target / "theirs").write_text("somebody else's")
    uninstall(target)
    assert contents(target) == {"theirs": ("file", b"somebody else's")}
    install(tmp_path / "new" / "bin", wanted())
    (tmp_path / "new" / "net.d").mkdir()
    uninstall(tmp_path / "new" / "bin")
    assert contents(tmp_path / "new") == {"net.d": ("directory", "")}


def test_the_launcher_can_be_replaced_while_it_runs(tmp_path: Path) -> None:
    sleeper = Path("/bin/sleep").read_bytes()
    install(tmp_path, wanted(sleeper))
    pid = os.posix_spawn(str(tmp_path / "bridge"), ["bridge", "60"], {})
    try:
        install(tmp_path, wanted(sleeper + b"\0"))
        assert (tmp_path / LAUNCHER).read_bytes() == sleeper + b"\0"
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)


def test_a_launcher_that_cannot_be_executed_is_written_again(tmp_path: Path) -> None:
    install(tmp_path, wanted())
    (tmp_path / LAUNCHER).chmod(0o644)
    install(tmp_path, wanted())
    assert stat.S_IMODE((tmp_path / LAUNCHER).stat().st_mode) == 0o755


def test_files_of_others_are_named_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "bridge").write_bytes(b"theirs")
    (tmp_path / "portmap").write_bytes(b"no name of ours")
    before = contents(tmp_path)
    with pytest.raises(NotOurs) as caught:
        install(tmp_path, wanted())
    assert caught.value.files == (tmp_path / "bridge",)
    assert contents(tmp_path) == before


def test_a_link_to_another_launcher_is_somebody_elses(tmp_path: Path) -> None:
    (tmp_path / "bridge").symlink_to("/elsewhere/pynet-launcher")
    with pytest.raises(NotOurs):
        install(tmp_path, wanted())


def test_a_directory_of_a_plugins_name_is_refused_even_with_replace(tmp_path: Path) -> None:
    (tmp_path / "bridge").mkdir()
    with pytest.raises(CantInstall, match="is a directory: move it away"):
        install(tmp_path, wanted(), replace=True)


def test_what_is_replaced_stays_executable_beside(tmp_path: Path) -> None:
    (tmp_path / "bridge").write_bytes(b"theirs")
    (tmp_path / "bridge").chmod(0o750)
    install(tmp_path, wanted(), replace=True)
    kept = tmp_path / KEPT / "bridge"
    assert kept.read_bytes() == b"theirs"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o750


def test_a_relative_link_that_was_replaced_still_leads_there(tmp_path: Path) -> None:
    (tmp_path / "multi").write_bytes(b"theirs")
    (tmp_path / "bridge").symlink_to("multi")
    install(tmp_path, wanted(), replace=True)
    assert (tmp_path / KEPT / "bridge").read_bytes() == b"theirs"
    uninstall(tmp_path)
    assert contents(tmp_path) == {"multi": ("file", b"theirs"), "bridge": ("link", "multi")}


def test_a_package_upgrade_over_ours_is_kept_in_place_of_the_older(tmp_path: Path) -> None:
    (tmp_path / "bridge").write_bytes(b"theirs, 1")
    install(tmp_path, wanted(), replace=True)
    (tmp_path / "bridge").unlink()
    (tmp_path / "bridge").write_bytes(b"theirs, 2")
    with pytest.raises(NotOurs):
        install(tmp_path, wanted())
    install(tmp_path, wanted(), replace=True)
    assert (tmp_path / KEPT / "bridge").read_bytes() == b"theirs, 2"


def test_uninstall_does_not_put_an_old_file_over_a_newer_one(tmp_path: Path) -> None:
    (tmp_path / "bridge").write_bytes(b"theirs, 1")
    install(tmp_path, wanted(), replace=True)
    (tmp_path / "bridge").unlink()
    (tmp_path / "bridge").write_bytes(b"theirs, 2")
    uninstall(tmp_path)
    assert (tmp_path / "bridge").read_bytes() == b"theirs, 2"
    assert (tmp_path / KEPT / "bridge").read_bytes() == b"theirs, 1"


def test_a_plugin_that_is_no_more_is_taken_away_and_its_predecessor_comes_back(
    tmp_path: Path,
) -> None:
    (tmp_path / "bridge").write_bytes(b"theirs")
    install(tmp_path, wanted(), replace=True)
    install(tmp_path, wanted(plugins=frozenset({"loopback"})))
    assert (tmp_path / "bridge").read_bytes() == b"theirs"
    assert not (tmp_path / "host-local").exists()
    assert installation.is_ours(tmp_path / "loopback")


def test_lines_of_the_configuration_that_are_not_installs_stay(tmp_path: Path) -> None:
    install(tmp_path, wanted(state="/srv/pynet"))
    path = tmp_path / CONFIGURATION
    path.write_text(path.read_text() + "# slow machine\naccept_ms=3000\n")
    install(tmp_path, Wanted(b"launcher", {"python": "/opt/python"}, PLUGINS))
    assert installation.read_settings(path.read_text()) == {
        "python": "/opt/python",
        "state": "/srv/pynet",
        "accept_ms": "3000",
    }
    assert "# slow machine" in path.read_text()


@pytest.mark.parametrize("name", [CONFIGURATION, LAUNCHER])
def test_a_pipe_in_place_of_a_file_is_told_and_not_waited_for(tmp_path: Path, name: str) -> None:
    install(tmp_path, wanted(state="/srv/pynet"))
    (tmp_path / name).unlink()
    os.mkfifo(tmp_path / name)
    with pytest.raises(OSError, match=rf"a pipe, a socket or a device.*{name}"):
        installation.look(tmp_path)
    assert in_force.told(tmp_path).get("state") == (None if name == CONFIGURATION else "/srv/pynet")


def test_a_unit_that_is_a_pipe_or_masked(tmp_path: Path) -> None:
    unit = tmp_path / systemd.SOCKET
    unit.symlink_to("/dev/null")
    with pytest.raises(CantInstall, match="is somebody else's"):
        systemd.to_install(tmp_path, {"python": "/usr/bin/python3"}, start=False, renewed=False)
    unit.unlink()
    os.mkfifo(unit)
    with pytest.raises(OSError, match="a pipe, a socket or a device"):
        systemd.to_install(tmp_path, {"python": "/usr/bin/python3"}, start=False, renewed=False)


def test_a_value_of_two_lines_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CantInstall, match="line break"):
        install(tmp_path, wanted(state="/srv\ndaemon=never"))


@pytest.mark.parametrize("name", ["../bridge", "a/b", "", ".hidden", LAUNCHER, "a b"])
def test_a_third_partys_name_that_is_no_file_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(CantInstall, match="can't be the name of an executable"):
        install(tmp_path, wanted(plugins=PLUGINS | {name}))
    assert contents(tmp_path) == {}


def test_a_file_in_the_directorys_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bin").write_text("")
    with pytest.raises(CantInstall, match="is not a directory"):
        look(tmp_path / "bin")


# --- whatever was there before, and wherever it is interrupted -------------------------------

NAMES = [*sorted(PLUGINS), "portmap", "README"]
files = st.dictionaries(
    st.sampled_from(NAMES),
    st.one_of(
        st.binary(max_size=4).map(lambda data: ("file", data)),
        st.sampled_from(["../elsewhere", "/bin/true", "portmap"]).map(lambda to: ("link", to)),
    ),
)


@contextmanager
def directory(files: dict[str, tuple[str, bytes | str]]) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name, "bin")
        path.mkdir()
        for file, (_, content) in files.items():
            if isinstance(content, bytes):
                (path / file).write_bytes(content)
            else:
                (path / file).symlink_to(content)
        yield path


@settings(max_examples=40)
@given(files=files)
def test_uninstall_gives_back_whatever_was_there(files: dict[str, tuple[str, bytes | str]]) -> None:
    with directory(files) as path:
        install(path, wanted(), replace=True)
        assert all(installation.is_ours(path / name) for name in PLUGINS)
        assert install(path, wanted()) == []
        uninstall(path)
        assert contents(path) == files
        assert uninstall(path) == []


@settings(max_examples=40)
@given(files=files, done=st.integers(0, 12), undone=st.integers(0, 12))
def test_the_next_run_completes_one_that_was_interrupted(
    files: dict[str, tuple[str, bytes | str]], done: int, undone: int
) -> None:
    with directory(files) as path:
        for change in installation.to_install(look(path), wanted(), replace=True)[:done]:
            change.apply()
        (path / f"{TEMPORARY}bridge").write_bytes(b"written half")
        # Every name leads somewhere at any time: to what was there, or to a whole launcher.
        for name in PLUGINS & set(files):
            assert installation.is_ours(path / name) or name in look(path).others
        install(path, wanted(), replace=True)
        assert all((path / name).read_bytes() == b"launcher" for name in PLUGINS)
        for change in installation.to_uninstall(look(path))[:undone]:
            change.apply()
        uninstall(path)
        assert contents(path) == files


def test_a_file_is_put_back_once_even_if_that_is_interrupted(tmp_path: Path) -> None:
    (tmp_path / "bridge").write_bytes(b"theirs")
    install(tmp_path, wanted(), replace=True)
    change = PutBack(tmp_path / "bridge", tmp_path / KEPT / "bridge")
    change.apply()
    change.apply()
    assert (tmp_path / "bridge").read_bytes() == b"theirs"
