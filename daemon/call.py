"""What is asked of `serve`, and what it answers: the same in the daemon and one-shot."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec import Struct

from ..kernel.roots import Root


class Call(Struct):
    """One execution of a plugin, with all it may know of its caller.

    `host` is a descriptor of the caller's network namespace, `sandbox` one of CNI_NETNS
    as the caller could open it (None where it could not, or where it is no network
    namespace), `stderr` a way to the caller's, `root` what its paths begin at. All of them stay
    open until there is a reply, and no longer: the caller may unmount what they were opened by.
    """

    plugin: str
    environ: Mapping[str, str]
    stdin: bytes
    host: int
    sandbox: int | None
    stderr: int
    root: Root
    accepted: Callable[[], None]
    """Called once, when the attachment's lock is held and before any effect.

    Takes the request from the caller, who can't go one-shot any more. Raises `Declined`
    where the caller no longer waits: it may have gone one-shot.
    """
    cancelled: Callable[[], bool]
    """Whether the caller has hung up. Never blocks."""


def _nothing() -> None:
    pass


class Reply(Struct):
    """The exit status, and the one document on stdout (or nothing).

    `afterwards` is what is left to do, for which the caller need not wait. It needs nothing of the
    call's, raises nothing, and is to be called once.
    """

    status: int
    stdout: bytes
    afterwards: Callable[[], None] = _nothing


Handler = Callable[[Call], Reply]
"""`serve` with its services bound: it raises what that does."""
