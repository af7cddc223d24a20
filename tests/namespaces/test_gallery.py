"""Each file of the gallery comes up, and its checks pass."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pynet.testnets import Net, gallery
from pynet.testnets.fixtures.fixtures import Source


@pytest.mark.parametrize("name", gallery.names())
def test_all_that_it_says_is_true(name: str, net_factory: Callable[[Source], Net]) -> None:
    net = net_factory(name)
    assert net.topology.name == name
    assert net.topology.checks
    net.check()
