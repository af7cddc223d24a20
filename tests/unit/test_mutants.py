"""The list of mistakes that tests must see: each can still be made, and its tests are there."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import mutants
import pytest
import run
from mutants import TREE, Mutant, known


def test_each_can_still_be_made() -> None:
    assert [problem for mutant in known() if (problem := mutant.problem(TREE))] == []


def test_each_is_told_apart_and_says_what_it_breaks() -> None:
    assert [name for name, count in Counter(m.name for m in known()).items() if count > 1] == []
    assert [mutant.name for mutant in known() if not mutant.why or not mutant.tests] == []
    assert len(known()) >= 40


def test_the_tests_it_names_are_there() -> None:
    lost = []
    for mutant in known():
        for test in mutant.tests:
            file, _, function = test.partition("::")
            name = re.escape(function.partition("[")[0])
            path = TREE / file
            if not path.is_file() or not re.search(rf"^def {name}\(", path.read_text(), re.M):
                lost.append(f"{mutant.name}: {test}")
    assert lost == []


def test_what_is_not_there_once_can_not_be_made(tmp_path: Path) -> None:
    (tmp_path / "some.py").write_text("one two two")
    made = {old: Mutant("some", "", "some.py", old, "three", ()) for old in ("one", "two", "four")}
    assert made["one"].mutated(tmp_path) == "three two two"
    assert [old for old in made if made[old].problem(tmp_path)] == ["two", "four"]
    assert Mutant("some", "", "other.py", "one", "three", ()).problem(tmp_path)
    assert Mutant("some", "", "some.py", "one", "one", ()).problem(tmp_path)


class Ending:
    """A copy whose tests end as told; it holds one file."""

    def __init__(self, folder: Path, status: int | None, said: str) -> None:
        self.folder = folder
        self.seen = ""
        self._answer = status, said
        (folder / "some.py").write_text("one")

    def write(self, file: str, text: str) -> None:
        (self.folder / file).write_text(text)

    def run(self, tests: object) -> tuple[int | None, str]:
        self.seen = (self.folder / "some.py").read_text()
        return self._answer


@pytest.mark.parametrize(
    "status, said, wrong",
    [
        (1, "FAILED a.py::test_x - no\nFAILED a.py::test_y[1] - no\n", ""),
        (None, "", ""),
        (0, "", "survives a.py::test_x and a.py::test_y"),
        (1, "FAILED a.py::test_x\nFAILED a.py::test_yes\n", "survives a.py::test_y"),
        (2, "a syntax error", "could not be run"),
    ],
)
def test_it_is_seen_where_every_test_named_fails(
    tmp_path: Path, status: int | None, said: str, wrong: str
) -> None:
    copy = Ending(tmp_path, status, said)
    mutant = Mutant("some", "", "some.py", "one", "two", ("a.py::test_x", "a.py::test_y"))
    found = run.tried(copy, mutant)  # type: ignore[arg-type]
    assert (wrong in found) if wrong else not found
    assert copy.seen == "two"
    assert (tmp_path / "some.py").read_text() == "one"


def test_each_file_of_the_list_is_read() -> None:
    listed = [path.name for path in mutants.HERE.glob("*.toml")]
    texts = [(mutants.HERE / name).read_text().count("[[mutant]]") for name in listed]
    assert sum(texts) == len(known())
