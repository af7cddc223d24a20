"""What every command prints with: JSON documents, tables and trees.

Rich draws where stdout is a terminal, and is imported nowhere else: a pipe gets plain text.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def json_option(command: Command) -> Command:
    """`--json`, as the parameter `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")(command)


def print_json(schema: str, document: Mapping[str, Any]) -> None:
    """`document` with its schema's name first: `pynet.<command>/<version>`."""
    print(json.dumps({"schema": f"pynet.{schema}", **document}, indent=2))


def print_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns as wide as they must be; nothing is cut where it goes into a pipe."""
    if on_terminal():
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, header_style="bold", pad_edge=False)
        for header in headers:
            table.add_column(header, overflow="fold")
        for row in rows:
            table.add_row(*map(Text, row))
        Console().print(table)
        return
    widths = [max(map(len, column)) for column in zip(headers, *rows, strict=True)]
    for line in (headers, *rows):
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        print("  ".join(cells).rstrip())


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
                drawn(below, onto.add(Text(below.label)))

        tree = Tree(Text(root.label, style="bold"))
        drawn(root, tree)
        Console().print(tree)
        return
    print(root.label)
    for line in _lines(root.branches, ""):
        print(line)


def _lines(branches: Sequence[Branch], indent: str) -> list[str]:
    lines = []
    for branch in branches:
        last = branch is branches[-1]
        lines.append(f"{indent}{'└── ' if last else '├── '}{branch.label}")
        lines += _lines(branch.branches, indent + ("    " if last else "│   "))
    return lines


def on_terminal() -> bool:
    return sys.stdout.isatty()
