"""A step of undoing is refused, once or for as long as somebody likes, at each step there is.

All else of the record is undone all the same; it is said; and the next DEL, GC or identical ADD
does the rest. Of each plugin by itself, of a whole list, and where others' programs take part.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from chains import LISTS, PARTS, by_kernel
from crashes import Scene, begin, warm
from drive import Outcome
from evidence import GONE
from refusals import Refusal, making, undoing
from scenes import container, in_host

from pynet.daemon.serve import Services

# The two left out only lease: that is given back by the store alone.
each_part = pytest.mark.parametrize(
    "part", by_kernel(sorted(PARTS.keys() - {"host-local", "static"}))
)

pytestmark = pytest.mark.every_point
each_answer = pytest.mark.parametrize("done", [False, True])


def scenes(part: str) -> Iterator[tuple[int, Scene]]:
    """A number and a scene for each, until the caller has no use for more."""
    for number in range(1, 100):
        scene = Scene(part, f"c{number}")
        print(f"{part}: step {number}")  # shown where the test fails
        yield number, scene
        scene.end()


def is_said(outcome: Outcome, refusal: Refusal) -> None:
    """The refusal, by an error that is no internal one; of what is in nobody's way by none."""
    if refusal.is_in_nobodys_way:
        assert outcome.status == 0, outcome.stdout
        return
    assert outcome.status == 1
    assert outcome.code != 999, outcome.document
    assert "refused by the test" in outcome.document["msg"]


def left(scene: Scene, refusal: Refusal) -> list[str]:
    """What is left, but for values in a container that could not be given back."""
    found = scene.left()
    if refusal.is_in_nobodys_way:
        found = [line for line in found if not line.removeprefix(GONE).startswith("inside ")]
    return found


def taken_down(scene: Scene, command: str, refusal: Refusal) -> None:
    """By `command`; nothing is left, and nothing of others' is gone."""
    if command == "ADD" and len(scene.part.plugins) == 1:  # of a list only one has failed
        scene.succeed("ADD")
        assert scene.call("CHECK").status == 0
    scene.succeed("GC" if command == "GC" else "DEL")
    assert left(scene, refusal) == []


def what_del_undoes(part: str) -> Refusal:
    """All the steps of a DEL that nobody refuses."""
    scene = Scene(part, "counted")
    scene.succeed("ADD")
    with undoing(Refusal()) as none:
        scene.succeed("DEL")
    scene.end()
    return none


@each_part
@each_answer
@in_host
def test_del_goes_on_past_a_refusal_and_is_tried_again(part: str, done: bool) -> None:
    begin(part)
    refusals = 0
    for number, scene in scenes(part):
        alone = len(scene.part.plugins) == 1
        whole = what_del_undoes(part) if alone else Refusal()
        scene.succeed("ADD")
        with undoing(Refusal(at=number, done=done)) as refusal:
            outcome = scene.call("DEL")
        if not refusal.refused:
            assert outcome.status == 0
            break
        refusals += 1
        is_said(outcome, refusal)
        assert whole.asked <= refusal.asked
        taken_down(scene, "GC" if number % 2 else "DEL", refusal)
    assert refusals


@each_part
@in_host
def test_what_is_always_refused_is_all_that_is_left(part: str) -> None:
    """Tried again and again it gets no further, and no worse; nobody is attached meanwhile."""
    begin(part)
    for number, scene in scenes(part):
        scene.succeed("ADD")
        with undoing(Refusal(at=number, always=True)) as refusal:
            outcome = scene.call("DEL")
            if not refusal.refused:
                break
            is_said(outcome, refusal)
            first = set(scene.left())
            again = ("DEL", "GC") + ("ADD",) * (len(scene.part.plugins) == 1)
            for command in () if refusal.is_in_nobodys_way else again:
                outcome = scene.call(command)
                if outcome.status == 0:  # it went with a later step: the rules of a chain do
                    assert scene.left() == []
                    break
                is_said(outcome, refusal)
                # GC may find another way, as what no record needs stands in the tables.
                assert {but_claim(line) for line in scene.left()} <= {*map(but_claim, first)}
        taken_down(scene, "DEL", refusal)


def but_claim(line: str) -> str:
    """A line of evidence without how often it was tried."""
    return re.sub(r"releasing', \d+", "releasing", line)


@each_part
@each_answer
@in_host
def test_a_failed_add_whose_undoing_is_refused(part: str, done: bool) -> None:
    """The identical ADD, DEL and GC in turn do what it could not."""
    begin(part)
    steps = what_add_makes(part)
    for number, scene in scenes(part):
        with making(Refusal(at=steps)), undoing(Refusal(at=number, done=done)) as refusal:
            outcome = scene.call("ADD")
        assert outcome.status == 1
        assert "refused by the test" in outcome.document["msg"]
        taken_down(scene, ("ADD", "DEL", "GC")[number % 3], refusal)
        if not refusal.refused:
            break


@pytest.mark.parametrize("part", sorted(LISTS))
@in_host
def test_a_long_list_goes_on_past_a_refusal(part: str) -> None:
    assert len(refused_by_turns(part)) > len(LISTS[part].plugins)


def refused_by_turns(part: str) -> set[str]:
    """Each step of DEL's, by turns with effect all the same, and GC or DEL does the rest; which
    they were.
    """
    begin(part)
    refused: set[str] = set()
    for number, scene in scenes(part):
        scene.succeed("ADD")
        with undoing(Refusal(at=number, done=bool(number % 2))) as refusal:
            outcome = scene.call("DEL")
        if not refusal.refused:
            assert outcome.status == 0
            break
        refused |= refusal.refused
        is_said(outcome, refusal)
        taken_down(scene, "GC" if number % 4 < 2 else "DEL", refusal)
    return refused


def what_add_makes(part: str) -> int:
    """How many steps the whole of it takes."""
    scene = Scene(part, "counted")
    with making(Refusal()) as counted:
        scene.succeed("ADD")
    scene.succeed("DEL")
    scene.end()
    return counted.steps


@each_answer
@in_host
def test_a_daemon_goes_on_past_a_refusal(done: bool) -> None:
    """The same by what it keeps warm, which goes other ways in the kernel."""
    container("other")
    services: Services = warm()
    begin("chain")
    refusals = 0
    for number, scene in scenes("chain"):
        scene.succeed("ADD")
        with undoing(Refusal(at=number, done=done)) as refusal:
            outcome = scene.call("DEL", services)
        if not refusal.refused:
            break
        refusals += 1
        is_said(outcome, refusal)
        assert scene.call("DEL", services).status == 0
        assert left(scene, refusal) == []
    assert refusals > len(PARTS["chain"].plugins)
