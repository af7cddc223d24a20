"""Runs the checks of a testnet, one after the other, and says what became of each."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...model.errors import CniError
from ..lab.features import lacking
from ..lab.forked import LabError
from ..spec.topology import Check, Deny, Fault, Impairment, Mesh, Mtu, Path, Reach
from .deny import denied
from .mesh import meshed
from .networks import Networks
from .reach import reached
from .way import fits, passed_by

if TYPE_CHECKING:
    from ..live.testnet import Testnet
    from ..live.wiring import LiveLink

Progress = Callable[[str, int, int], object]
"""Is told which check begins, its number, and how many there are."""

# Each gives "" where the check passes, else what is wrong.
_JUDGES: dict[type[Any], Callable[[Networks, Any], str]] = {
    Mesh: meshed,
    Reach: reached,
    Deny: denied,
    Path: passed_by,
    Mtu: fits,
}


@dataclass(frozen=True)
class Outcome:
    """What became of a check; `message` says why it failed, or was skipped."""

    name: str
    passed: bool
    seconds: float = 0.0
    message: str = ""
    skipped: bool = False


def run_checks(
    testnet: Testnet,
    checks: Sequence[Check] | None = None,
    *,
    progress: Progress | None = None,
) -> list[Outcome]:
    """All outcomes of `checks`, or of the topology's own; a fault has one for each that it holds.

    `progress` is called before each check.
    """
    chosen = testnet.topology.checks if checks is None else checks
    outcomes: list[Outcome] = []
    for number, check in enumerate(chosen, start=1):
        if progress is not None:
            progress(title(check), number, len(chosen))
        outcomes += _outcomes(testnet, check)
    return outcomes


def title(check: Check) -> str:
    """The check in a few words: "tcp a -> h1:8080, seen as b"."""
    family = getattr(check, "family", None)
    return _TITLES[type(check)](check) + (f" (IPv{family})" if family else "")


def _title_of_reach(check: Reach) -> str:
    seen = f", seen as {check.seen_as}" if check.seen_as else ""
    return f"{check.kind} {check.source} -> {check.to}{seen}"


def _title_of_fault(check: Fault) -> str:
    parts = [f"{name} down" for name in check.down]
    parts += [f"{name} stopped" for name in check.stop]
    parts += [f"{name} impaired" for name in check.impair]
    return "fault: " + (", ".join(parts) or "none")


_TITLES: dict[type[Any], Callable[[Any], str]] = {
    Mesh: lambda check: f"mesh {', '.join(check.members) or 'all'}",
    Reach: _title_of_reach,
    Deny: lambda check: f"deny {check.protocol} {check.source} -> {check.to}",
    Path: lambda check: f"path {check.source} -> {check.to} via {', '.join(check.via)}",
    Mtu: lambda check: f"mtu {check.source} -> {check.to} = {check.size}",
    Fault: _title_of_fault,
}


def _outcomes(testnet: Testnet, check: Check) -> Iterator[Outcome]:
    if isinstance(check, Fault):
        yield from _under_fault(testnet, check)
    else:
        yield _outcome(testnet, check, title(check))


def _outcome(testnet: Testnet, check: Check, name: str) -> Outcome:
    begun = time.monotonic()
    try:
        message = _judged(testnet, check)
    except (LabError, CniError, OSError) as error:
        message = f"it could not be tried: {error}"
    return Outcome(name, not message, time.monotonic() - begun, message)


def _judged(testnet: Testnet, check: Any) -> str:
    """What is wrong, or ""."""
    with Networks(testnet) as networks:
        return _JUDGES[type(check)](networks, check)


# --- faults ---------------------------------------------------------------------------------------


def _under_fault(testnet: Testnet, fault: Fault) -> Iterator[Outcome]:
    name = title(fault)
    if reason := _lacking(fault.impair.values()):
        yield Outcome(name, False, message=reason, skipped=True)
        return
    begun = time.monotonic()
    try:
        with _broken(testnet, fault):
            for check in fault.expect:
                yield _outcome(testnet, check, f"{name}: {title(check)}")
    except (LabError, CniError, OSError) as error:
        message = f"the fault could not be made, or not be undone: {error}"
        yield Outcome(name, False, time.monotonic() - begun, message)
        return
    for check in fault.heals:
        yield _outcome(testnet, check, f"after {name}: {title(check)}")


@contextmanager
def _broken(testnet: Testnet, fault: Fault) -> Iterator[None]:
    """The fault, for the time of the `with` block. Raises `LabError`."""
    cut = {name: _link(testnet, name) for name in fault.down}
    for node in fault.stop:
        cut |= _links_of(testnet, node)
    impaired = [(_link(testnet, name), how) for name, how in fault.impair.items()]
    with ExitStack() as undoing:
        for link, how in impaired:
            undoing.enter_context(link.impaired(how))
        for link in cut.values():
            undoing.callback(link.up)
            link.down()
        yield


def _link(testnet: Testnet, name: str) -> LiveLink:
    ends = name.split(" -- ")
    for known in (name, " -- ".join(reversed(ends))):
        if known in testnet.links:
            return testnet.links[known]
    raise LabError(f"there is no link {name!r}; there is {', '.join(testnet.links) or 'none'}")


def _links_of(testnet: Testnet, node: str) -> dict[str, LiveLink]:
    found = {
        name: link
        for name, link in testnet.links.items()
        if node in (end.node for end in link.link.ends)
    }
    if not found:
        raise LabError(f"{node!r} has no links that it could be cut off from")
    return found


def _lacking(impairments: Iterator[Impairment] | Any) -> str:
    """Why this kernel can't impair a link so, or ""."""
    wanted = list(impairments)
    needs = {"netem": any(one.delay for one in wanted), "tbf": any(one.rate for one in wanted)}
    return next(
        (why for feature, asked in needs.items() if asked and (why := lacking(feature))), ""
    )
