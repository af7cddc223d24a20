"""The executable killed at the first, the middle and the last point; `scripts/soak` tries all."""

from __future__ import annotations

import pytest
from chains import CHAIN
from cold_crashes import COMMANDS, PLUGINS, Crashes
from executables import Executables

from pynet.testnets.lab.lab import Host


@pytest.mark.parametrize("plugin", PLUGINS)
@pytest.mark.parametrize("command", COMMANDS)
def test_del_after_a_kill_leaves_nothing(
    host: Host, plugins: Executables, plugin: str, command: str
) -> None:
    crashes = Crashes(host, plugins, plugin, command)
    assert list(crashes.at(sorted({*crashes.points.values()}))) == []


@pytest.mark.parametrize("plugin", [config["type"] for config in CHAIN])
def test_del_after_a_kill_in_the_middle_of_a_list(
    host: Host, plugins: Executables, plugin: str
) -> None:
    crashes = Crashes(host, plugins, plugin, "ADD", "chain")
    assert list(crashes.at([crashes.points["middle"]])) == []
