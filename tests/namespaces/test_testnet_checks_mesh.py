"""A mesh: all pairs are tried, and nobody counts as reached by somebody else's answer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pynet.testnets.checks.echoing import Ping, exchange, new_token
from pynet.testnets.checks.mesh import meshed
from pynet.testnets.checks.networks import Networks
from pynet.testnets.live.testnet import Testnet
from pynet.testnets.spec.reading import parse
from pynet.testnets.spec.topology import Mesh

MANY = 40  # ask each other for 1,560 addresses, and the kernel remembers 1,024 neighbours
CROWD = f"""
nodes: {{h1: host}}
networks:
  web: {{subnets: [10.1.0.0/24, "fd01::/64"]}}
generate:
  - {{containers: {MANY}, networks: [web]}}
"""
TWINS = """
nodes: {h1: host, h2: host}
links: ["h1:eth1 -- h2:eth1"]
networks:
  here: {hosts: [h1], subnets: [10.1.0.0/24]}
  there: {hosts: [h2], subnets: [10.1.0.0/24]}
containers:
  a@h1: {networks: {here: {ips: [10.1.0.10]}}}
  twin@h1: {networks: {here: {ips: [10.1.0.20]}}}
  b@h2: {networks: {there: {ips: [10.1.0.20]}}}
"""


@pytest.fixture(scope="module")
def crowd() -> Iterator[Testnet]:
    with Testnet.up(parse(CROWD, "crowd.yaml")) as testnet:
        yield testnet


@pytest.fixture(scope="module")
def twins() -> Iterator[Testnet]:
    with Testnet.up(parse(TWINS, "twins.yaml")) as testnet:
        yield testnet


@pytest.mark.parametrize("family", [4, 6])
def test_more_pairs_than_the_kernel_knows_neighbours(crowd: Testnet, family: int) -> None:
    with Networks(crowd) as networks:
        places = list(networks.places.values())[1:]
        pings = [
            Ping(networks.of(one.name), str(other.address(family)), networks.of(other.name))
            for one in places
            for other in places
            if one is not other
        ]
        fates = crowd.lab.call(exchange, pings, family, 20, new_token())
    assert len(fates) == MANY * (MANY - 1)
    assert all(fate.reached and fate.arrived for fate in fates)


def test_one_that_is_cut_off_is_named(crowd: Testnet) -> None:
    crowd.place("c7").run(["ip", "link", "set", "eth0", "down"])
    with Networks(crowd) as networks:
        said = meshed(networks, Mesh(family=4, within=0.5))
    crowd.place("c7").run(["ip", "link", "set", "eth0", "up"])
    pairs = 2 * (MANY - 1)
    assert f"{pairs} of {MANY * (MANY - 1)} ordered pairs failed within 0.5 s" in said
    assert "c1 -> c7: ping from 10.1.0." in said
    assert "(it asked on eth0 who has 10.1.0." in said
    assert f"  and {pairs - 5} more" in said


def test_somebody_elses_answer_does_not_count(twins: Testnet) -> None:
    with Networks(twins) as networks:
        said = meshed(networks, Mesh(members=("a", "b"), within=0.3))
    assert "a -> b: ping from 10.1.0.10 to 10.1.0.20: somebody else answered" in said


def test_an_answer_of_another_round_does_not_count(twins: Testnet) -> None:
    """A namespace sees all echoes; those of another token, or to another address, are not its."""
    with Networks(twins) as networks:
        a, twin = networks.of("a"), networks.of("twin")
        rounds = [
            twins.lab.fork_call(exchange, [Ping(a, address, twin)], 4, 0.4, new_token())
            for address in ("10.1.0.20", "10.1.0.99", "10.1.0.20")
        ]
        fates = [fate for each in rounds for fate in each.wait()]
    assert [fate.reached for fate in fates] == [True, False, True]
    assert [fate.arrived for fate in fates] == [True, False, True]


def test_a_mesh_of_one_is_no_mesh(twins: Testnet) -> None:
    with Networks(twins) as networks:
        assert "needs two members" in meshed(networks, Mesh(members=("a",)))
