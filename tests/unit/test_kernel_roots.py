"""Paths below a root directory that is not this process's."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from pynet.kernel import roots
from pynet.kernel.roots import OWN, Root
from pynet.model.errors import NamespaceError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A root directory, beside which stands a file of the same name as one in it."""
    (tmp_path / "file").write_text("outside")
    folder = tmp_path / "root"
    folder.mkdir()
    (folder / "file").write_text("inside")
    return folder


@pytest.fixture
def root(folder: Path) -> Iterator[Root]:
    fd = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    yield Root(fd)
    os.close(fd)


@pytest.mark.parametrize("target", ["/file", "../file", "../../../file", "/../file"])
def test_no_link_leads_out(root: Root, folder: Path, target: str) -> None:
    (folder / "link").symlink_to(target)
    assert root.text("/link") == root.text("link") == root.text("/../link") == "inside"


def test_a_link_to_an_absolute_path_of_this_process_leads_nowhere(root: Root, folder: Path) -> None:
    (folder / "link").symlink_to(folder / "file")
    assert root.find("/link") is None
    assert OWN.text(str(folder / "link")) == "inside"


def test_what_is_found_bears_the_name_behind_all_links(root: Root, folder: Path) -> None:
    (folder / "first").symlink_to("/second")
    (folder / "second").symlink_to("file")
    found = root.find("/first")
    assert found is not None
    assert found.name == "file"
    assert stat.S_ISREG(found.mode)


@pytest.mark.parametrize("path", ["/none", "/file/none", "/loop", "/nul\0byte", "/" + "x" * 300])
def test_what_can_not_be_reached_is_not_found(root: Root, folder: Path, path: str) -> None:
    (folder / "loop").symlink_to("loop")
    assert root.find(path) is None
    assert OWN.find(f"{folder}{path}") is None


@pytest.mark.parametrize("where", ["below", "own"])
def test_only_files_are_read_and_nothing_is_waited_for(
    root: Root, folder: Path, where: str
) -> None:
    looks, prefix = (root, "") if where == "below" else (OWN, str(folder))
    os.mkfifo(folder / "fifo")
    (folder / "folder").mkdir()
    with (folder / "large").open("wb") as file:
        file.truncate((1 << 20) + 1)
    for name in ("fifo", "folder", "large", "none"):
        with pytest.raises(OSError):
            looks.text(f"{prefix}/{name}")


def test_a_device_may_be_read() -> None:
    """`/dev/null` stands where somebody wants no file."""
    assert OWN.text("/dev/null") == ""
    with pytest.raises(OSError):
        OWN.text("/dev/zero")


def test_a_file_is_removed_and_a_link_that_leads_out_goes_itself(root: Root, folder: Path) -> None:
    (folder / "out").symlink_to("..")
    root.remove("/out/file")
    assert not (folder / "file").exists()
    assert (folder.parent / "file").exists()
    root.remove("/out")
    assert not (folder / "out").is_symlink()


def test_a_namespace_by_pid_is_a_jump_that_is_followed() -> None:
    fd = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        namespace = Root(fd).network_namespace(f"/proc/{os.getpid()}/ns/net")
        try:
            assert os.fstat(namespace).st_ino == Path("/proc/self/ns/net").stat().st_ino
        finally:
            os.close(namespace)
        with pytest.raises(NamespaceError):
            Root(fd).network_namespace("/proc/self/status")
        with pytest.raises(OSError):  # a jump to somewhere else
            Root(fd).network_namespace("/proc/self/exe")
    finally:
        os.close(fd)


def test_a_directory_by_way_of_itself_is_the_same_and_no_other_is(folder: Path) -> None:
    with pytest.raises(OSError):
        roots.identity(-1)
    own = roots.own_identity()
    fds = [os.open(path, os.O_PATH) for path in ("/", folder, folder / "file")]
    again, other, file = map(roots.identity, fds)
    for fd in fds:
        os.close(fd)
    assert own == again is not None
    assert other not in (None, own)
    assert file is None
