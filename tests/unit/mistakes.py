"""A topology file that is right, and how one mistake in it is to be reported."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from pynet.testnets.spec.problems import Problem
from pynet.testnets.spec.reading import TopologyError, parse

RIGHT = """\
name: right
nodes:
  h1: host
  h2: host
  r1: router
  sw: switch
  sw2: switch
  sw3: switch
links:
  - h1:eth1 -- sw
  - h2:eth1 -- sw
  - r1 -- sw
networks:
  web: {subnets: [10.1.0.0/24, "fd00:1::/64"]}
  db: {hosts: [h2], subnets: [10.2.0.0/24]}
containers:
  a@h1: {networks: [web], publish: ["8080:80"]}
  b@h2: {networks: [web, db]}
checks:
  - mesh: all
"""


@dataclass(frozen=True)
class Mistake:
    """One line of the right file is another one, or more of them; `@@` marks the line to blame."""

    old: str
    new: str
    where: str
    says: str


def problems(text: str) -> list[Problem]:
    with pytest.raises(TopologyError) as caught:
        parse(text, "lab.yaml")
    return caught.value.problems


def assert_told(mistake: Mistake) -> None:
    """Its message is there, with the line that is to blame."""
    assert mistake.old in RIGHT
    marked = RIGHT.replace(mistake.old, mistake.new, 1)
    lines = [number for number, line in enumerate(marked.splitlines(), 1) if "@@" in line]
    found = problems(marked.replace("@@", ""))
    about = [problem for problem in found if problem.where == mistake.where]
    (line,) = {problem.line for problem in about if mistake.says in problem.message} or {str(found)}
    assert not lines or line == lines[0]
    assert all(str(problem).startswith(f"lab.yaml:{problem.line}: ") for problem in found)
