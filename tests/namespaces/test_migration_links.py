"""Containers that the reference attached, one main plugin at a time: CHECK and DEL after `install`.

What a bridge network and its chain leave is in `test_migration`.
"""

from __future__ import annotations

import drive
import lan
import pytest
from references import inherited, needs_reference

from pynet.testnets.lab.host import Host

pytestmark = needs_reference("macvlan")


@pytest.mark.parametrize("masquerade", [False, True])
def test_ptp(host: Host, masquerade: bool) -> None:
    inherited(host, {**drive.PTP, "ipMasq": masquerade})


@pytest.mark.parametrize("mode", ["bridge", "private", "vepa", "passthru"])
def test_macvlan(host: Host, mode: str) -> None:
    host.call(lan.wire)
    inherited(host, {**drive.MACVLAN, "mode": mode})
