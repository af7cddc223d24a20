"""Opening, checking, entering and telling apart network namespaces."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from pair import Pair, in_thread, new_namespace, open_files

from pynet.kernel import namespaces
from pynet.kernel.netlink.rtnl_socket import Socket
from pynet.model.errors import Code, NamespaceError


def test_opening_a_namespace_gives_a_descriptor_that_no_child_inherits() -> None:
    fd = namespaces.open_namespace("/proc/self/ns/net")
    try:
        assert not os.get_inheritable(fd)
        assert namespaces.is_current(fd)
    finally:
        os.close(fd)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda folder: folder, "is a directory, not a network namespace"),
        (lambda folder: _regular(folder), "is a regular file, not a network namespace"),
        (lambda folder: _pipe(folder), "is a pipe, not a network namespace"),
        (lambda folder: Path("/proc/self/ns/mnt"), "is a mount namespace, not a network"),
        (lambda folder: Path("/proc/self/ns/user"), "is a user namespace, not a network"),
        (lambda folder: Path("/dev/null"), "is a character device, not a network namespace"),
    ],
)
def test_what_is_no_network_namespace_is_named(make, said: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    before = open_files()
    with pytest.raises(NamespaceError, match=said) as raised:
        namespaces.open_namespace(str(make(tmp_path)))
    assert raised.value.code == Code.INVALID_NETNS
    assert open_files() <= before


def _regular(folder: Path) -> Path:
    (folder / "file").write_text("")
    return folder / "file"


def _pipe(folder: Path) -> Path:
    os.mkfifo(folder / "pipe")
    return folder / "pipe"


def test_a_path_that_leads_nowhere_is_another_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        namespaces.open_namespace(str(tmp_path / "gone"))


def test_a_thread_comes_back_from_a_namespace_even_past_an_error(pair: Pair) -> None:
    home = namespaces.own()
    try:
        with pytest.raises(ZeroDivisionError), namespaces.entered(pair.host):
            assert namespaces.is_current(pair.host)
            with namespaces.entered(pair.sandbox):
                assert namespaces.is_current(pair.sandbox)
            assert namespaces.is_current(pair.host)
            raise ZeroDivisionError
        assert namespaces.is_current(home)
    finally:
        os.close(home)


def test_a_thread_comes_back_once_there_is_memory_for_it(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, setns = namespaces.own(), namespaces.setns
    missing = [errno.ENOMEM] * 3

    def short(fd: int) -> None:
        if missing:
            number = missing.pop()
            raise OSError(number, os.strerror(number))
        setns(fd)

    try:
        with namespaces.entered(pair.host):
            monkeypatch.setattr(namespaces, "setns", short)
        assert not missing
        assert namespaces.is_current(home)
    finally:
        os.close(home)


def test_entering_touches_no_other_thread(pair: Pair) -> None:
    with namespaces.entered(pair.host):
        assert in_thread(lambda: namespaces.is_current(pair.host))  # inherited when it starts
    assert not in_thread(lambda: namespaces.is_current(pair.host))


def test_a_namespace_that_may_not_be_entered_is_an_error_with_the_reason(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(fd: int) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(namespaces, "setns", refuse)
    with pytest.raises(NamespaceError, match="CAP_SYS_ADMIN"), namespaces.entered(pair.host):
        raise AssertionError("never inside")


def test_two_descriptors_of_one_namespace_are_the_same(pair: Pair) -> None:
    other = os.open(f"/proc/self/fd/{pair.host}", os.O_RDONLY)
    try:
        assert namespaces.same(pair.host, other)
        assert not namespaces.same(pair.host, pair.sandbox)
    finally:
        os.close(other)


def test_cookies_differ_where_inodes_may_be_reused() -> None:
    seen = set()
    for _ in range(5):
        fd = new_namespace()
        sock = Socket.inside(fd, "a namespace")
        seen.add(sock.cookie)
        sock.close()
        os.close(fd)
    assert len(seen) == 5
