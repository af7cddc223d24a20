"""Many containers, sixteen at a time, by daemon and one-shots: no address twice, no rest."""

from __future__ import annotations

import pytest
from churn import churn, lived_once
from evidence import nothing_left, rest
from executables import Executables, daemon

from pynet.testnets.lab.lab import Host


@pytest.mark.parametrize(("kind", "count"), [("two networks", 200), ("whole list", 200)])
def test_no_address_is_given_twice_and_nothing_is_left(
    host: Host, plugins: Executables, kind: str, count: int
) -> None:
    baseline = lived_once(host, kind)
    with daemon(host):
        report = host.call(churn, plugins, kind, count)
    assert report.failures == []
    for command in ("ADD", "DEL"):
        assert report.counts[command] > report.counts[f"{command} one-shot"] > 0
    assert report.counts["namespace gone before DEL"] > 0
    assert nothing_left(baseline, host.call(rest)) == []
