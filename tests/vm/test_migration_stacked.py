"""What the reference's `ipvlan`, `vlan` and `vrf` attached: CHECK and DEL after `install`.

As in `test_migration_links`, where the machine's kernel makes no such links. A daemon serves ours:
the reference's DEL calls `host-local`, and emulated, imports take longer than it is given.
"""

from __future__ import annotations

from typing import Any

import drive
import executables
import lan
import pytest
from references import inherited

from pynet.testnets.lab.host import Host

long = pytest.mark.long


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executables, "PATIENCE", 200.0)  # emulated, imports take most of a minute


@pytest.mark.parametrize(
    "changes",
    [
        {"type": "ipvlan"},
        pytest.param({"type": "ipvlan", "mode": "l3"}, marks=long),
        pytest.param({"type": "ipvlan", "mode": "l3s"}, marks=long),
        {"type": "vlan"},
    ],
    ids=lambda changes: " ".join(changes.values()),
)
def test_what_stands_on_a_master(host: Host, changes: dict[str, Any]) -> None:
    host.call(lan.wire)
    inherited(host, {**drive.STACKED[changes["type"]], **changes}, warm=True)


@pytest.mark.parametrize("changes", [{}, pytest.param({"table": 77}, marks=long)], ids=str)
def test_a_vrf(host: Host, changes: dict[str, Any]) -> None:
    inherited(host, drive.PLAIN_BRIDGE, {**drive.VRF, **changes}, warm=True)
