"""How findings read: one line each, the command at the end of those it mends."""

from __future__ import annotations

from pynet.cli.findings.words import Finding, lines, summary

RELOAD = "pynet reload"


def lost(number: int) -> list[Finding]:
    return [Finding(f"route {n} is missing", "put it back", RELOAD) for n in range(number)]


def test_the_command_stands_once_for_those_it_mends() -> None:
    other = Finding("its address is nobody's", "attach it anew", "pynet attach c1 web")
    assert lines([*lost(2), other]) == [
        "route 0 is missing",
        "route 1 is missing; put it back: `pynet reload`",
        "its address is nobody's; attach it anew: `pynet attach c1 web`",
    ]
    assert lines([]) == []


def test_of_many_some_are_shown_and_the_rest_counted() -> None:
    assert len(lines(lost(10))) == 10
    said = lines(lost(11))
    assert len(said) == 10
    assert said[-1] == "and 2 more (--json has all); put it back: `pynet reload`"


def test_a_summary_has_one_line_a_command() -> None:
    assert summary(lost(3)) == ["route 0 is missing, and 2 more; put it back: `pynet reload`"]
    assert summary(lost(1)) == ["route 0 is missing; put it back: `pynet reload`"]
