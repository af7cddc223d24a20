"""Published ports, masquerading and policies work again, without anybody's doing."""

from __future__ import annotations

from evidence import elements
from executables import daemon, until
from published import FAMILIES, V4, seen
from reachability import HOST, OUTSIDE, PORT, Site

from pynet.testnets.lab.lab import Lab


def answers(site: Site) -> dict[tuple[str, str, str], str]:
    """Who asks what by which protocol, and the address that is seen of him; "" for no answer."""
    found = {}
    for family in FAMILIES:
        for protocol in ("tcp", "udp"):
            for who, place, address, port in (
                ("published", site.outside, HOST[family], PORT),
                ("masqueraded", site.target.container, OUTSIDE[family], 80),
            ):
                found[who, family, protocol] = seen(place, protocol, address, port)
    inner = site.target.address(V4)
    found["closed", "v4", "tcp"] = seen(site.other.container, "tcp", inner, 80)
    return found


def test_traffic_after_a_flush_is_as_it_was_before(lab: Lab) -> None:
    site = Site.of(lab, "isolated")
    before = answers(site)
    assert {who for (who, _, _), answer in before.items() if not answer} == {"closed"}
    assert before["masqueraded", "v4", "tcp"] == HOST["v4"]
    stood = {line for line in site.host.call(elements) if line.startswith("element")}
    with daemon(site.host):
        site.host.run(["nft", "flush", "ruleset"])
        # No packet is sent before: what gets no answer is waited for.
        until(lambda: site.host.call(elements) >= stood, "the tables are not as they were")
        assert answers(site) == before
