"""Links of these kernels and lists with them: killed in ADD and DEL, a step of undoing refused.

All points of the links by themselves are in `test_crash_matrix`, for `scripts/vm --all`.
"""

from __future__ import annotations

import drive
import pytest
from chains import by_kernel
from crashes import killed_and_cleaned_up
from scenes import in_host
from test_refusals import refused_by_turns

APART = {
    "ipvlan and sbr": 1,
    **dict.fromkeys((*drive.NOT_EVERYWHERE, "netkit"), 8),
}
"""An emulated machine takes seconds for each point."""
each_part = pytest.mark.parametrize("part", by_kernel(sorted(APART)))


@each_part
@pytest.mark.parametrize("command", ["ADD", "DEL"])
@in_host
def test_killed_at_points_of_a_list(part: str, command: str) -> None:
    killed_and_cleaned_up(part, command, APART[part])


@pytest.mark.long
@pytest.mark.parametrize("command", ["ADD", "DEL"])
@in_host
def test_killed_at_some_points_of_a_list_of_ninety(command: str) -> None:
    killed_and_cleaned_up("bridge and five in a VRF", command, apart=15)


@in_host
def test_del_goes_on_past_a_refusal() -> None:
    assert len(refused_by_turns("ipvlan and sbr")) > 2
