"""What is asked of `serve`, and what it answers: the same in the daemon and one-shot."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass
class Call:
    """One execution of a plugin, with all it may know of its caller.

    `host` is a descriptor of the caller's network namespace, `sandbox` one of CNI_NETNS
    as the caller could open it (None where it could not, or where it is no network
    namespace), `stderr` a way to the caller's. All three stay open until the reply's `afterwards`
    is through.
    """

    plugin: str
    environ: Mapping[str, str]
    stdin: bytes
    host: int
    sandbox: int | None
    stderr: int
    same_mounts: bool
    """Paths mean the same here as to the caller."""
    accepted: Callable[[], None]
    """Called once, when the attachment's lock is held and before any effect.

    Takes the request from the caller, who can't go one-shot any more. Raises `Declined`
    where the caller no longer waits: it may have gone one-shot.
    """
    cancelled: Callable[[], bool]
    """Whether the caller has hung up. Never blocks."""


def _nothing() -> None:
    pass


@dataclass
class Reply:
    """The exit status, and the one document on stdout (or nothing).

    `afterwards` is what is left to do, for which the caller need not wait. It raises nothing.
    """

    status: int
    stdout: bytes
    afterwards: Callable[[], None] = field(default=_nothing, compare=False)


Handler = Callable[[Call], Reply]
"""`serve` with its services bound. Raises `Declined` before any effect, else nothing."""
