"""The token: one takes it, whoever asks at the same time, and asking never blocks."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from pynet.daemon import token
from pynet.daemon.wire import Malformed


@pytest.fixture(params=["preadv2", "an old libc"])
def libc(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "an old libc":
        monkeypatch.delattr(os, "RWF_NOWAIT", raising=False)


@pytest.fixture
def made() -> Iterator[int]:
    fd = token.make()
    yield fd
    os.close(fd)


@pytest.mark.usefixtures("libc")
def test_one_of_many_takes_it(made: int) -> None:
    for _ in range(200):
        with ThreadPoolExecutor(4) as pool:
            assert sorted(pool.map(token.take, [made] * 4)) == [False, False, False, True]
        os.eventfd_write(made, 1)


@pytest.mark.usefixtures("libc")
def test_another_process_takes_it(made: int) -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0 if token.take(made) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert not token.take(made)


@pytest.mark.usefixtures("libc")
def test_one_that_is_set_to_block_does_not(made: int) -> None:
    os.set_blocking(made, True)
    assert token.take(made)
    os.set_blocking(made, True)
    assert not token.take(made)


@pytest.mark.usefixtures("libc")
@pytest.mark.parametrize("path", ["/dev/null", "/dev/zero", "/proc/self/ns/net", "/"])
def test_what_is_none_is_malformed(path: str) -> None:
    fd = os.open(path, os.O_RDONLY)
    with pytest.raises(Malformed):
        token.take(fd)
    os.close(fd)


def test_it_is_not_inherited(made: int) -> None:
    assert not os.get_inheritable(made)
