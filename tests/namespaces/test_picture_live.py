"""The picture of a testnet that is up has the addresses that the plugins gave."""

from __future__ import annotations

import pytest

from pynet.testnets.live.testnet import Testnet
from pynet.testnets.pictures.drawing import FORMATS, draw
from pynet.testnets.spec.reading import parse

TOPOLOGY = """
name: drawn
nodes: {h1: host, outside: external}
links: ["h1:eth0 -- outside:eth0"]
networks:
  web: {subnets: [10.1.0.0/24, "fd00:1::/64"]}
containers:
  a: {networks: [web], publish: ["8080:80"]}
  b: {networks: [web]}
"""


@pytest.mark.parametrize("attached", [False, True])
def test_real_addresses_are_drawn(attached: bool) -> None:
    planned = parse(TOPOLOGY, "drawn.yaml")
    with Testnet.up(planned) as testnet:
        shown = Testnet.attach(testnet.state()) if attached else testnet
        given = {cidr for name in ("a", "b") for cidr in shown.places[name].interfaces["eth0"]}
        assert len(given) == 4
        for format in FORMATS:
            live = draw(shown.topology, format, shown)
            assert not [cidr for cidr in given if cidr not in live]
            assert not [cidr for cidr in given if cidr in draw(planned, format)]
