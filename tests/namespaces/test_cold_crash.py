"""The executable killed at the first, the middle and the last point; `scripts/soak` tries all."""

from __future__ import annotations

import pytest
from cold_crashes import COMMANDS, PLUGINS, Crashes
from drive import CONFIGS
from executables import Executables, first_life, points

from pynet.testnets.lab import Host


@pytest.mark.parametrize("plugin", PLUGINS)
@pytest.mark.parametrize("command", COMMANDS)
def test_del_after_a_kill_leaves_nothing(
    host: Host, plugins: Executables, plugin: str, command: str
) -> None:
    baseline = first_life(host, plugins, CONFIGS[plugin])
    numbers = sorted({*points(host, command, CONFIGS[plugin]).values()})
    assert list(Crashes(host, plugins, plugin, command, baseline).at(numbers)) == []
