"""Outcomes of checks as JUnit's XML."""

from __future__ import annotations

from xml.etree import ElementTree

from pynet.testnets.checks.checking import Outcome
from pynet.testnets.checks.junit import junit

OUTCOMES = [
    Outcome("mesh all", True, 0.25),
    Outcome('tcp a -> "b":80', False, 1.5, "no answer <here>\nand & nowhere"),
    Outcome("fault: h1 -- sw impaired", False, 0.0, "netem: no such qdisc", skipped=True),
]


def test_each_outcome_is_a_test_case() -> None:
    root = ElementTree.fromstring(junit(OUTCOMES, "two-hosts"))
    assert root.tag == "testsuites"
    (suite,) = root
    assert suite.attrib == {
        "name": "two-hosts",
        "tests": "3",
        "failures": "1",
        "errors": "0",
        "skipped": "1",
        "time": "1.750",
    }
    assert [case.get("name") for case in suite] == [one.name for one in OUTCOMES]
    assert {case.get("classname") for case in suite} == {"two-hosts"}
    good, bad, skipped = suite
    assert list(good) == []
    (failure,) = bad
    assert (failure.tag, failure.get("message")) == ("failure", "no answer <here>")
    assert failure.text == "no answer <here>\nand & nowhere"
    assert [(one.tag, one.get("message")) for one in skipped] == [
        ("skipped", "netem: no such qdisc")
    ]


def test_what_xml_cannot_hold_is_replaced() -> None:
    written = junit([Outcome("http", False, 0.0, "answered '\x00\x1b\ud800'\ttab")], "lab")
    written.encode()
    failure = ElementTree.fromstring(written).find(".//failure")
    assert failure is not None
    assert failure.text == "answered '\ufffd\ufffd\ufffd'\ttab"
