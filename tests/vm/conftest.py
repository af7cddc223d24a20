"""These tests need the kernels that `scripts/vm` boots; elsewhere they are not collected."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

collect_ignore_glob = [] if "PYNET_VM" in os.environ else ["test_*.py"]

_MATRICES = ("test_crash_matrix", "test_del_matrix", "test_refusals")
_EVERY_DAY = (
    "test_nothing_is_left_and_nobody_else_is_touched[False-",
    "test_without_a_store_what_can_be_found_by_name_and_result_is_removed[",
)
"""Of the matrices; `test_crashes` has some points of each link, too."""


@pytest.hookimpl(tryfirst=True)  # before those are chosen that are so marked
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.vm)
        if item.path.stem in _MATRICES and not item.name.startswith(_EVERY_DAY):
            item.add_marker(pytest.mark.long)
