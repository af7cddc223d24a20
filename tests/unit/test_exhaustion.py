"""Which errors say that something has run out, however deep."""

from __future__ import annotations

import errno

import pytest

from pynet.model.errors import Exhausted, KernelError, StoreError, TryLater
from pynet.model.exhaustion import is_exhaustion, of_fork


def led_to(error: BaseException, by: BaseException, *, hidden: bool = False) -> BaseException:
    try:
        try:
            raise by
        except BaseException:
            if hidden:
                raise error from None
            raise error from by
    except BaseException as raised:
        return raised


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
def test_the_kernels_word_counts_wherever_it_stands(number: int) -> None:
    found = OSError(number, "")
    assert is_exhaustion(found)
    assert is_exhaustion(KernelError("", errno=number))
    assert is_exhaustion(led_to(StoreError(""), found))
    assert is_exhaustion(led_to(ValueError(), led_to(KeyError(), found), hidden=True))
    assert is_exhaustion(ExceptionGroup("", [ValueError(), ExceptionGroup("", [found])]))


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOENT, ""),
        OSError(errno.ENOSPC, ""),
        TryLater(""),
        ValueError(),
        KeyError(24),
    ],
)
def test_what_says_something_else_does_not(error: Exception) -> None:
    assert not is_exhaustion(error)
    assert not is_exhaustion(led_to(StoreError(""), error))


def test_an_error_that_leads_to_itself_is_looked_at_once() -> None:
    one, other = ValueError(), KeyError()
    one.__context__, other.__context__ = other, one
    assert not is_exhaustion(one)


def test_a_process_that_cant_be_started_for_want_of_one() -> None:
    assert isinstance(of_fork(OSError(errno.EAGAIN, "no"), "nft"), Exhausted)
    assert isinstance(of_fork(OSError(errno.EMFILE, "no"), "nft"), Exhausted)
    assert of_fork(OSError(errno.ENOENT, "no"), "nft") is None
