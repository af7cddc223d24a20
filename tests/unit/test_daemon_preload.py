"""What a daemon has in memory before its first request."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

POINTS = """
[pynet.plugins]
theirs = theirs:Theirs
"""
HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")
JOINED = (
    "from pynet.daemon.preload import {0}; {0}(); print(open('/proc/self/smaps_rollup').read())"
)


def in_huge_pages(function: str) -> int:
    """Bytes of a process that has called it."""
    command = [sys.executable, "-c", JOINED.format(function)]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = re.search(r"AnonHugePages: +(\d+) kB", told)
    assert found
    return 1024 * int(found[1])


@pytest.mark.skipif(
    not HUGE_PAGES.exists() or "[madvise]" not in HUGE_PAGES.read_text(),
    reason="this machine puts memory into huge pages always or never",
)
def test_what_is_loaded_for_good_is_in_huge_pages() -> None:
    assert in_huge_pages("load") == 0
    # How much of it is the choice of the kernel, by where it puts what is asked for.
    assert any(in_huge_pages("preload") >= 8 << 20 for _ in range(3))


@pytest.mark.parametrize("there_are_others", [False, True])
def test_pydantic_is_loaded_for_others_plugins_alone(
    tmp_path: Path, there_are_others: bool
) -> None:
    if there_are_others:
        (tmp_path / "theirs-1.0.dist-info").mkdir()
        (tmp_path / "theirs-1.0.dist-info/entry_points.txt").write_text(POINTS)
    program = (
        f"import sys; sys.path.append({str(tmp_path)!r});"
        "from pynet.daemon.preload import load; load();"
        "print(int('pydantic' in sys.modules), int('pynet.cni.models' in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    assert done.stdout.split() == [b"%d" % there_are_others] * 2
