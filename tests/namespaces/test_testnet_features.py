"""What this kernel lacks is known by trying, and a topology that needs it is refused by name."""

from __future__ import annotations

import re
import time

import pytest
from testnet_scenes import link, topology

from pynet.testnets.lab.features import FEATURES, lacking
from pynet.testnets.lab.forked import LabError
from pynet.testnets.live import impairments
from pynet.testnets.live.impairments import treatment
from pynet.testnets.live.testnet import Testnet
from pynet.testnets.spec.topology import Impairment, Topology

pytestmark = pytest.mark.vm


@pytest.mark.parametrize("feature", FEATURES)
def test_a_feature_is_there_or_what_refused_it_is_told(feature: str) -> None:
    reason = lacking(feature)
    assert not reason or re.match(r"`(ip|tc|nft) .*`: .+|socket\(.*\): .+", reason)


def test_what_labs_are_made_of_is_not_lacking() -> None:
    assert [lacking(feature) for feature in ("bridge", "nft-nat")] == ["", ""]


def test_a_feature_nobody_has_heard_of_is_refused() -> None:
    with pytest.raises(LabError, match="'netm' is no feature; did you mean 'netem'"):
        lacking("netm")


def test_a_delay_is_kept_or_refused_before_anything_is_made() -> None:
    late = topology(
        links=(link("h1", "sw", impairment=Impairment(delay=0.05)), link("h2", "sw")),
        networks={},
        containers={},
    )
    if lacking("netem"):
        with pytest.raises(LabError, match=r"link 'h1 -- sw': a delay of 50ms needs netem"):
            Testnet.up(late)
        return
    with Testnet.up(late) as net:
        begin = time.monotonic()
        net.place("h1").run(["ping", "-c", "1", net.place("h2").address(4) or ""])
        assert time.monotonic() - begin >= 0.1  # there and back: nothing makes it sooner


def test_what_a_topology_needs_and_the_kernel_lacks_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "pynet.testnets.live.testnet.lacking", lambda feature: f"no {feature} today"
    )
    with pytest.raises(LabError, match="topology 'lab' needs vxlan, and here: no vxlan today"):
        Testnet.up(Topology(needs=("vxlan",)))


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Features that are taken to be lacking."""
    names: set[str] = set()
    monkeypatch.setattr(impairments, "lacking", lambda name: "none" if name in names else "")
    return names


BAD = Impairment(rate=10_000_000, loss=0.05)


def test_netem_does_everything_where_it_is(without: set[str]) -> None:
    made = treatment("eth1", 7, Impairment(rate=10_000_000, delay=0.02, loss=0.05), Impairment())
    assert made.queue == (
        "qdisc replace dev eth1 root netem limit 10000 delay 20000us loss 5.000000% "
        "rate 10000000bit\n"
    )
    assert made.rules == ""
    assert treatment("eth1", 7, Impairment(), BAD).queue == "qdisc del dev eth1 root\n"


def test_without_netem_a_rate_is_tbfs_and_a_loss_nftables(without: set[str]) -> None:
    without.add("netem")
    made = treatment("eth1", 7, BAD, Impairment())
    assert made.queue.startswith("qdisc replace dev eth1 root tbf rate 10000000bit burst 12500 ")
    assert "numgen random mod 1000000 < 50000 drop" in made.rules
    assert treatment("eth1", 7, Impairment(), BAD).rules == "delete table netdev link7\n"
    without.add("tbf")
    with pytest.raises(LabError, match="a rate needs netem or tbf, and this kernel lacks both"):
        treatment("eth1", 7, BAD, Impairment())
