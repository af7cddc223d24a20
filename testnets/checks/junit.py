"""What became of a testnet's checks, as the XML that continuous integration reads."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING
from xml.etree import ElementTree

if TYPE_CHECKING:
    from .checking import Outcome

_FOREIGN = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(outcomes: Sequence[Outcome], name: str) -> str:
    """A JUnit document with one test suite, called `name`, and a test case for each outcome."""
    total = sum(outcome.seconds for outcome in outcomes)
    suite = ElementTree.Element(
        "testsuite",
        name=_printable(name),
        tests=str(len(outcomes)),
        failures=str(sum(not (one.passed or one.skipped) for one in outcomes)),
        errors="0",
        skipped=str(sum(one.skipped for one in outcomes)),
        time=f"{total:.3f}",
    )
    for outcome in outcomes:
        _add(suite, outcome, name)
    root = ElementTree.Element("testsuites")
    root.append(suite)
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(root, "unicode") + "\n"


def _add(suite: ElementTree.Element, outcome: Outcome, name: str) -> None:
    case = ElementTree.SubElement(
        suite,
        "testcase",
        classname=_printable(name),
        name=_printable(outcome.name),
        time=f"{outcome.seconds:.3f}",
    )
    message = _printable(outcome.message)
    if outcome.skipped:
        ElementTree.SubElement(case, "skipped", message=message)
    elif not outcome.passed:
        failure = ElementTree.SubElement(case, "failure", message=message.partition("\n")[0])
        failure.text = message


def _printable(text: str) -> str:
    """XML 1.0 has no control characters and no surrogates, not even as references."""
    return _FOREIGN.sub("\ufffd", text)
