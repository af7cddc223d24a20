"""ptp's plan: which kind of pair connects the container."""

from __future__ import annotations

from typing import Any

import pytest

from pynet.model.errors import ConfigError
from pynet.model.kernel_kinds import KernelMakes
from pynet.model.link_pair import PAIRS, LinkPair
from pynet.model.plan import Plan
from pynet.model.query import ClosedToForwarding, PluginBinary, RouterLinks, WayOutMtu
from pynet.model.request import Request
from pynet.plugins.ptp import Ptp
from pynet.testing import request, seen


def planned(known: bool | None = None, **config: Any) -> Plan:
    """`known` is whether the kernel makes links of kind netkit, None where that is not asked."""
    asked = _request(**config)
    answers: dict[Any, Any] = {
        PluginBinary("static", ()): "",
        WayOutMtu(): 0,
        RouterLinks(): (),
        ClosedToForwarding("default"): False,
    }
    if known is not None:
        answers[KernelMakes("link", "netkit")] = known
    return Ptp().plan(asked, seen(answers))


def _request(**config: Any) -> Request:
    ipam = {"type": "static", "addresses": [{"address": "10.8.0.2/24", "gateway": "10.8.0.1"}]}
    return request(Ptp(), {"ipam": ipam, **config})


def pair(plan: Plan) -> LinkPair:
    (found,) = (each for each in plan.resources if isinstance(each, LinkPair))
    return found


@pytest.mark.parametrize("device", ["", "veth"])
def test_it_is_a_veth_pair_and_the_kernel_is_asked_nothing(device: str) -> None:
    plan = planned(device=device)
    assert (pair(plan).kind, plan.notes) == ("veth", ())


def test_it_is_netkit_where_the_kernel_makes_that() -> None:
    plan = planned(True, device="netkit")
    made = pair(plan)
    assert (made.kind, plan.notes) == ("netkit", ())
    assert [each.mac for each in plan.result.interfaces] == [made.mac, made.peer_mac]
    inside = {each.inside for each in plan.resources if each.inside}
    assert inside == {made.key}


def test_a_kernel_without_it_is_a_note_and_a_veth_pair() -> None:
    plan = planned(False, device="netkit")
    assert pair(plan).kind == "veth"
    (note,) = plan.notes
    assert "device netkit: this kernel was built without" in note


@pytest.mark.parametrize("device", ["", "netkit"])
def test_del_without_a_record_looks_for_either(device: str) -> None:
    """The kernel may have been another then, and the configuration, too."""
    left = [each for each in Ptp().leftovers(_request(device=device)) if isinstance(each, LinkPair)]
    assert [each.kind for each in left] == list(PAIRS)
    assert len({each.name for each in left}) == 1


def test_a_device_that_is_none_is_answered_with_those_that_are() -> None:
    with pytest.raises(ConfigError, match=r"\"netkt\" is not one of 'veth' or 'netkit'"):
        _request(device="netkt")
