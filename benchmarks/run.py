"""`scripts/bench`: measures pynet beside the reference plugins, and judges the budgets.

Medians of alternating runs, in one go on one machine: the ratios can be compared between
machines, the times can't. Exit status 1 where a budget is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from measure import Row
from rows import GROUPS, Size

RESULTS = Path(__file__).parent / "results"
QUICK = Size(rounds=5, crowd=50, burst=20, memory=100)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print a table and write the results file."""
    chosen = _parser().parse_args(arguments)
    size = QUICK if chosen.quick else Size()
    rows: list[Row] = []
    print(f"{'what':<54} {'measured':<46} {'ratio':>14}  budget", flush=True)
    for group in chosen.groups or GROUPS:
        for row in GROUPS[group](size):
            rows.append(row)
            print(_line(row), flush=True)
    path = _write(rows, size)
    print(f"\nwritten to {path}")
    return 1 if any(within(row) is False for row in rows) else 0


def within(row: Row) -> bool | None:
    """Whether a row keeps its budget; None where it has none, or nothing to compare with."""
    if not row.budget or row.ratio is None:
        return None
    bound = float(Fraction(row.budget))
    return row.ratio >= bound if row.more_is_better else row.ratio <= bound


def _line(row: Row) -> str:
    measured = ", ".join(f"{name} {value:.1f} {row.unit}" for name, value in row.values.items())
    ratio = "-" if row.ratio is None else f"{row.ratio:.2f} {_of(row)}"
    verdict = {True: "kept", False: "MISSED", None: ""}[within(row)]
    return f"{row.what:<54} {measured:<46} {ratio:>14}  {row.budget} {verdict}".rstrip()


def _of(row: Row) -> str:
    """The ratio of a time that stands for itself is the time: its unit is enough."""
    return row.of if row.of.startswith(row.unit) else "x"


def _write(rows: list[Row], size: Size) -> Path:
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / time.strftime("%Y%m%dT%H%M%S.json")
    machine = {"kernel": platform.release(), "cpus": os.cpu_count(), "python": sys.version}
    documents = [row.document() | {"kept": within(row)} for row in rows]
    document = {"schema": "pynet.bench/1", "machine": machine, "size": vars(size)}
    path.write_text(json.dumps({**document, "rows": documents}, indent=1) + "\n")
    return path


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/bench", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=f"which of: {', '.join(GROUPS)}")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, smaller crowds")
    return parser


if __name__ == "__main__":
    sys.exit(main())
