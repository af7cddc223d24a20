"""What the pages in docs/ and the README name is there: files, folders, modules, headings."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import pynet

ROOT = Path(pynet.__file__).resolve().parent
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md")), *ROOT.glob("benchmarks/*.md")]
LINK = re.compile(r"\]\(([^)]*)\)")
PATH = re.compile(r'(?<![\w/."-])[\w-]+/[\w./-]*')
DOTTED = re.compile(r"\bpynet(?:\.\w+)+")
IMPORT = re.compile(r"^ *from (pynet[\w.]*) import (\(.*?\)|[^\n(]*)", re.MULTILINE | re.DOTALL)
# Files, an entry point's group, and kinds of JSON documents; none is a module.
OTHER = {
    "pynet.conf", "pynet.fish", "pynet.services", "pynet.error", "pynet.network.ls",
    "pynet.testnet.up",
}  # fmt: skip
WRITTEN = {"benchmarks/results/"}  # by scripts/bench

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def anchors(page: Path) -> set[str]:
    """Of the headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", each).lower().replace(" ", "-") for each in headings}


def paths(text: str) -> Iterator[str]:
    """Those in this repository, by where they begin."""
    for found in PATH.findall(LINK.sub("", text)):
        if (ROOT / found.partition("/")[0]).is_dir():
            yield found.rstrip(".")


def names(text: str) -> Iterator[str]:
    """Modules, and what is in them."""
    yield from set(DOTTED.findall(text)) - OTHER
    for module, imported in IMPORT.findall(text):
        for name in re.findall(r"\w+", re.sub(r" as \w+|#.*", "", imported)):
            yield f"{module}.{name}"


def is_there(name: str) -> bool:
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:count]))
        except ModuleNotFoundError:
            continue
        for attribute in parts[count:]:
            found = getattr(found, attribute, None)
        return found is not None
    return False


@each_page
def test_what_a_page_links_to_is_there(page: Path) -> None:
    for link in LINK.findall(page.read_text()):
        where, _, anchor = link.partition("#")
        if "://" in where:
            continue
        target = (page.parent / where) if where else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@each_page
def test_the_paths_a_page_names_are_there(page: Path) -> None:
    named = set(paths(page.read_text())) - WRITTEN
    assert [path for path in named if not (ROOT / path).exists()] == []


@each_page
def test_the_modules_a_page_names_are_there(page: Path) -> None:
    assert [name for name in names(page.read_text()) if not is_there(name)] == []


def test_every_page_is_found_from_the_readme() -> None:
    found: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page.is_dir():
            waiting += page.glob("*.md")
        elif page.suffix == ".md" and page not in found:
            found.add(page)
            links = {link.partition("#")[0] for link in LINK.findall(page.read_text())}
            waiting += [(page.parent / link).resolve() for link in links if "://" not in link]
    assert set(PAGES) - found == set()


def test_a_stale_name_is_seen() -> None:
    text = "in `kernel/nft_table.py`, `pynet.testnets.plumbing` and\nfrom pynet.model import Gone\n"
    assert list(paths(text)) == ["kernel/nft_table.py"]
    assert {name for name in names(text) if not is_there(name)} == {
        "pynet.testnets.plumbing",
        "pynet.model.Gone",
    }
