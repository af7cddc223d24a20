"""What came of all checks, as other programs read it: TAP version 13, and JUnit's XML."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from ..testnets.checks import checking, junit
from .checks import Outcome
from .verdicts import NOT_APPLICABLE, PASSED

SPECIFICATION = "CNI specification 1.1.0"


def tap(outcomes: Sequence[Outcome], seed: int) -> str:
    """A test point for each outcome; below one that failed, a block of YAML says why."""
    return "\n".join(_tap(outcomes, seed)) + "\n"


def _tap(outcomes: Sequence[Outcome], seed: int) -> Iterator[str]:
    yield "TAP version 13"
    yield f"# {SPECIFICATION}, seed {seed}"
    yield f"1..{len(outcomes)}"
    for number, outcome in enumerate(outcomes, start=1):
        ok = "not ok" if outcome.failed else "ok"
        name = f"{outcome.plugin} {outcome.check.full_name}: {outcome.check.title}"
        # A "#" would begin a directive.
        point = f"{ok} {number} - {name.replace('#', '')}"
        if outcome.verdict == NOT_APPLICABLE:
            point += f" # SKIP {' '.join(outcome.message.split())}"
        yield point
        if outcome.failed:
            yield "  ---"
            # A JSON text in one line is YAML as well.
            for key, value in _diagnostics(outcome).items():
                yield f"  {key}: {json.dumps(value)}"
            yield "  ..."


def _diagnostics(outcome: Outcome) -> dict[str, object]:
    found: dict[str, object] = {"message": outcome.message, "clause": outcome.check.clause}
    return {**found, **(outcome.shown.to_json() if outcome.shown else {})}


def junit_xml(outcomes: Sequence[Outcome]) -> str:
    """A JUnit document with one test suite, and a test case for each outcome."""
    return junit.junit([_case(outcome) for outcome in outcomes], "pynet conformance")


def _case(outcome: Outcome) -> checking.Outcome:
    message = outcome.message
    if outcome.failed:
        message = "\n".join([message, *explained(outcome)])
    return checking.Outcome(
        f"{outcome.plugin} {outcome.check.full_name}",
        outcome.verdict == PASSED,
        outcome.seconds,
        message,
        outcome.verdict == NOT_APPLICABLE,
    )


def explained(outcome: Outcome) -> list[str]:
    """What was expected and by which clause, what was sent and received: lines."""
    lines = [f'expected: {outcome.check.title} ({SPECIFICATION}, "{outcome.check.clause}")']
    return lines + (outcome.shown.lines() if outcome.shown else [])
