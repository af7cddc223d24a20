"""The state directory's file system is full: who is to go can go all the same."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from chains import CHAIN as WHOLE
from chains import add_list, delete_list
from drive import BRIDGE, STATE, Runtime, call
from evidence import but_idle_bridge, but_kept, nothing_left, rest, rows
from scenes import add, container, in_host, run, succeed

from pynet.daemon.serve import Services
from pynet.kernel.warm import Warm
from pynet.store.room import FILES

LIST = [config for config in WHOLE if config["type"] != "portmap"]
"""What several containers can have."""


def small(options: str) -> None:
    STATE.mkdir(mode=0o700, exist_ok=True)
    run(f"mount -t tmpfs -o mode=700,{options} tmpfs {STATE}")


def no_bytes() -> None:
    """Not one block is left."""
    with (STATE / "filler").open("ab", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))


def no_inodes() -> None:
    with suppress(OSError):
        for number in range(10_000):
            (STATE / f"filler{number}").touch()


def neither() -> None:
    no_bytes()
    no_inodes()


each_filler = pytest.mark.parametrize("fill", [no_bytes, no_inodes, neither])


@each_filler
@pytest.mark.parametrize("warm", [False, True])
@in_host
def test_every_del_finds_room(fill: Callable[[], None], warm: bool) -> None:
    before = rest()
    small("size=12m,nr_inodes=200")
    services = Services(STATE, warm=Warm()) if warm else None
    runtimes = [container(f"c{n}") for n in range(6)]
    results = [add_list(LIST, runtime) for runtime in runtimes]
    if services:
        add(BRIDGE, container("c9"))
        assert call("DEL", BRIDGE, Runtime("c9", "/run/netns/c9"), services).status == 0
    fill()
    for runtime, result in zip(runtimes, results, strict=True):
        if services:
            for config in reversed(LIST):
                outcome = call("DEL", {**config, "prevResult": result}, runtime, services)
                assert outcome.status == 0, outcome.stdout
        else:
            delete_list(LIST, runtime, result)
        if fill is not no_inodes:
            no_bytes()
    assert rows() == set()
    left = but_idle_bridge(but_kept(nothing_left(before, rest())))
    assert [line for line in left if not line.startswith("row")] == []


@in_host
def test_an_add_that_finds_none_leaves_nothing() -> None:
    small("size=8m,nr_inodes=200")
    first, late = container("c1"), container("c2")
    add(BRIDGE, first)
    before = rest()
    no_bytes()
    outcomes: list[Any] = []
    for _ in range(200):
        outcomes.append(call("ADD", BRIDGE, late))
        succeed("DEL", BRIDGE, late)
        if outcomes[-1].status:
            break
    assert outcomes[-1].code == 5
    assert "full" in outcomes[-1].document["msg"]
    assert but_idle_bridge(nothing_left(before, rest())) == []
    succeed("DEL", BRIDGE, first)
    assert rows() == set()


@in_host
def test_room_is_set_aside_again() -> None:
    small("size=12m")
    runtime = container("c1")
    add(BRIDGE, runtime)
    room = STATE / "room"
    assert len([*room.iterdir()]) == FILES
    no_bytes()
    succeed("DEL", BRIDGE, runtime)
    (STATE / "filler").unlink()
    add(BRIDGE, runtime)
    assert len([*room.iterdir()]) == FILES
    succeed("DEL", BRIDGE, runtime)
