"""What every command prints with: lines, JSON documents, tables and trees.

A name may hold anything, and a terminal would obey it. So commands print with nothing else: the
linter refuses `print` and `click.echo` elsewhere in `cli`. Rich draws where stdout is a terminal,
and is imported nowhere else: a pipe gets plain text.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from shutil import get_terminal_size
from typing import Any, TypeVar

import click

from .lazy import Form

Command = TypeVar("Command", bound=Callable[..., Any])


def json_option(command: Command) -> Command:
    """`--json`, as the parameter `as_json`."""
    return click.option(
        "--json",
        "as_json",
        is_flag=True,
        is_eager=True,
        callback=_remember,
        help="Print one JSON document.",
    )(command)


def _remember(ctx: click.Context, parameter: click.Parameter, value: bool) -> bool:
    """An error ends where the options are not known any more."""
    form = ctx.find_object(Form)
    if form is not None:
        form.as_json = value
    return value


def print_json(schema: str, document: Mapping[str, Any]) -> None:
    """`document` with its schema's name first: `pynet.<command>/<version>`."""
    print(json.dumps({"schema": f"pynet.{schema}", **document}, indent=2))


def print_text(text: str) -> None:
    """Of several lines, as it is: a document for programs, in which nothing is to be obeyed."""
    click.echo(text, nl=not text.endswith("\n"))


def say(line: str = "", *, err: bool = False) -> None:
    """One line for people, on stderr with `err`."""
    click.echo(printable(line), err=err)


def printable(text: str) -> str:
    """`text` with what is no visible character written out: an interface's name may hold anything,
    and a terminal would obey it.
    """
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape", "surrogatepass").decode()
        for one in text
    )


def print_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns as wide as they must be; nothing is cut where it goes into a pipe.

    On a terminal that is too narrow for the words of a row, each row is a list of its cells.
    """
    lines = [headers, *([printable(cell) for cell in row] for row in rows)]
    if on_terminal():
        width, least = get_terminal_size().columns, _longest_words(lines)
        if sum(least) + 2 * len(least) <= width:
            _draw_table(lines, least, width)
        else:
            _print_cells(lines, width)
        return
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        print("  ".join(cells).rstrip())


def _longest_words(lines: Sequence[Sequence[str]]) -> list[int]:
    """How wide each column has to be so that no word is broken."""
    columns = zip(*lines, strict=True)
    return [max(len(word) for cell in column for word in ["", *cell.split()]) for column in columns]


def _draw_table(lines: Sequence[Sequence[str]], least: Sequence[int], width: int) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0), pad_edge=False)
    for header, longest in zip(lines[0], least, strict=True):
        table.add_column(header, overflow="fold", min_width=longest)
    for line in lines[1:]:
        table.add_row(*map(Text, line))
    Console(width=width).print(table)


def _print_cells(lines: Sequence[Sequence[str]], width: int) -> None:
    """A line for each cell that has something in it, and an empty one between rows."""
    from textwrap import wrap

    headers = lines[0]
    indent = max(map(len, headers)) + 2
    for number, line in enumerate(lines[1:]):
        if number:
            click.echo()
        for header, cell in zip(headers, line, strict=True):
            parts = wrap(cell, max(width - indent, 10), break_on_hyphens=False)
            for begin, part in zip([header, *[""] * len(parts)], parts, strict=False):
                say(f"{begin:{indent}}{part}")


def print_wrapped(text: str) -> None:
    """One line; on a terminal as many as its words need, the later ones indented."""
    from textwrap import fill

    said = printable(text)
    if on_terminal():
        width = get_terminal_size().columns
        said = fill(said, width, subsequent_indent="  ", break_on_hyphens=False)
    click.echo(said)


@dataclass
class Branch:
    """A line of a tree, and what hangs below it."""

    label: str
    branches: list[Branch] = field(default_factory=list)

    def add(self, label: str) -> Branch:
        """A new branch below this one."""
        branch = Branch(label)
        self.branches.append(branch)
        return branch


def print_tree(root: Branch) -> None:
    if on_terminal():
        from rich.console import Console
        from rich.text import Text
        from rich.tree import Tree

        def drawn(branch: Branch, onto: Tree) -> None:
            for below in branch.branches:
                drawn(below, onto.add(Text(printable(below.label))))

        tree = Tree(Text(printable(root.label), style="bold"))
        drawn(root, tree)
        Console().print(tree)
        return
    print(printable(root.label))
    marks = _DRAWN if _can_be_told(_DRAWN) else _TYPED
    for line in _lines(root.branches, "", marks):
        print(line)


_DRAWN = ("├── ", "└── ", "│   ")
_TYPED = ("|-- ", "`-- ", "|   ")
"""For an output that has nothing but ASCII."""


def _can_be_told(marks: tuple[str, ...]) -> bool:
    try:
        "".join(marks).encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _lines(branches: Sequence[Branch], indent: str, marks: tuple[str, str, str]) -> list[str]:
    fork, end, by = marks
    lines = []
    for branch in branches:
        last = branch is branches[-1]
        lines.append(f"{indent}{end if last else fork}{printable(branch.label)}")
        lines += _lines(branch.branches, indent + ("    " if last else by), marks)
    return lines


def on_terminal() -> bool:
    return sys.stdout.isatty()


def timestamp(seconds: float) -> str | None:
    """Seconds since 1970 as ISO 8601, in UTC; None for 0, which is not known."""
    from datetime import UTC, datetime

    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds") if seconds else None


def counted(number: int, noun: str) -> str:
    """`1 check`, `2 checks`"""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def age(seconds: float) -> str:
    """A duration as people say it: its largest unit."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{max(0, int(seconds))} s"
