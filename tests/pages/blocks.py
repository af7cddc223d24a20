"""What a Markdown page shows in blocks, and what its author says about running each.

An HTML comment before a block, which no reader sees, may say

    not run: WHY            it can't be run here, and this is the reason
    before: COMMANDS        what has to be done first, and is not worth showing
    exits: STATUS           a command in it ends with that status, not 0
    file: PATH              the block is a file, for what comes after it on the page
    test: NAME              a file of the page's project; pytest is run on those named test_*
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from markdown_it import MarkdownIt

_ORDER = re.compile(r"<!--\s*(not run|before|exits|file|test):?(.*?)-->", re.DOTALL)
_PROMPT = re.compile(r"([$#]) (.*)")


@dataclass(frozen=True)
class Command:
    """A line after a prompt, "$" for anybody or "#" for root, and what is shown to come of it."""

    prompt: str
    text: str
    output: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Block:
    """A block that begins on `line` of its page; `orders` are those of the comments before it."""

    line: int
    language: str
    text: str
    orders: dict[str, str]

    def commands(self) -> list[Command]:
        """Those of a session; a line that ends with a backslash goes on in the next."""
        found: list[Command] = []
        goes_on = False
        for line in self.text.splitlines():
            prompted = _PROMPT.fullmatch(line)
            if goes_on:
                last = found.pop()
                found.append(Command(last.prompt, f"{last.text}\n{line}"))
            elif prompted:
                found.append(Command(*prompted.groups()))
            else:
                found[-1].output.append(line)
            goes_on = (goes_on or bool(prompted)) and line.endswith("\\")
        return found


def blocks(page: Path) -> list[Block]:
    """All blocks of a page, in order; one that is only indented has no language."""
    return list(_blocks(page.read_text()))


def _blocks(text: str) -> Iterator[Block]:
    orders: dict[str, str] = {}
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        if token.type == "html_block":
            orders |= {name: said.strip() for name, said in _ORDER.findall(token.content)}
        elif token.type in ("fence", "code_block"):
            line = token.map[0] + 1 if token.map else 0
            yield Block(line, token.info.strip(), token.content, orders)
            orders = {}


def mentions(page: Path) -> Iterator[str]:
    """What stands between backquotes in running text and tables."""
    for token in MarkdownIt("commonmark").enable("table").parse(page.read_text()):
        for child in token.children or ():
            if child.type == "code_inline":
                yield child.content
