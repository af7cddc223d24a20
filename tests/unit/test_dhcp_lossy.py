"""DHCP clients behind a network that loses, doubles, delays and reorders what they send."""

from __future__ import annotations

from random import Random

import dhcp4_peer
import dhcp6_peer
from hypothesis import given
from hypothesis import strategies as st
from lossy import EPOCH, FATES, LIFETIMES, PATIENCE, World

from pynet.dhcp.client4 import Client4
from pynet.dhcp.client6 import Client6

SEEDS = st.integers(0, 1000)
V4 = st.builds(
    lambda seed, lifetime, fates: World(
        lambda: Client4(dhcp4_peer.SETTINGS, Random(seed)), dhcp4_peer.Server(lifetime), fates
    ),
    seed=SEEDS,
    lifetime=LIFETIMES,
    fates=FATES,
)
V6 = st.builds(
    lambda settings, seed, lifetime, fates: World(
        lambda: Client6(settings, Random(seed)), dhcp6_peer.Server(lifetime), fates
    ),
    settings=st.sampled_from((dhcp6_peer.SETTINGS, dhcp6_peer.CAREFUL)),
    seed=SEEDS,
    lifetime=LIFETIMES,
    fates=FATES,
)
WORLDS = V4 | V6


@given(WORLDS)
def test_it_ends_with_a_lease_and_never_believes_in_one_that_is_over(world: World) -> None:
    world.start()
    for _ in range(PATIENCE):
        world.go_on()
        if address := world.client.address:
            assert world.server.ends[address] >= world.now
            lease = world.bound[-1]
            assert world.server.ends[address] >= lease.since + lease.lifetime - EPOCH
        if len(world.bound) > 3 and not world.fates:
            return
    raise AssertionError(world.client.trouble)


@given(WORLDS, st.integers(1, 40))
def test_a_server_that_forgets_is_asked_anew(world: World, when: int) -> None:
    world.start()
    for _ in range(when):
        world.go_on()
    world.server.forget()
    world.bound.clear()
    world.go_on_until_bound(2)
    assert world.server.ends[world.client.address] > world.now


@given(WORLDS, st.integers(0, 60))
def test_a_restart_at_any_time_ends_with_a_lease(world: World, when: int) -> None:
    world.start()
    for _ in range(when):
        world.go_on()
    world.restart()
    world.go_on_until_bound(1)


@given(WORLDS, st.lists(st.binary(max_size=400), max_size=20))
def test_noise_changes_nothing(world: World, noise: list[bytes]) -> None:
    world.start()
    for payload in noise:
        world.go_on()
        due, address = world.client.due, world.client.address
        assert world.client.receive(payload, world.now, world.clock) == []
        assert (world.client.due, world.client.address) == (due, address)
    world.go_on_until_bound(1)
