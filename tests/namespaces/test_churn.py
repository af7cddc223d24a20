"""Two hundred containers, sixteen at a time, by daemon and one-shots: no address twice, no rest."""

from __future__ import annotations

from churn import NETWORKS, churn
from evidence import nothing_left, rest
from executables import Executables, daemon, first_life

from pynet.testnets.lab import Host


def test_no_address_is_given_twice_and_nothing_is_left(host: Host, plugins: Executables) -> None:
    for config in NETWORKS:
        baseline = first_life(host, plugins, config)
    with daemon(host):
        report = host.call(churn, plugins, 200)
    assert report.failures == []
    assert report.counts["ADD"] > report.counts["ADD one-shot"] > 0
    assert report.counts["namespace gone before DEL"] > 0
    assert nothing_left(baseline, host.call(rest)) == []
