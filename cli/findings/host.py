"""This host as commands look at it: its records, the kernel, and who compares the two."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ...cni.keys import get
from ...cni.result import from_json
from ...daemon import asking, passage
from ...engine.judging import Judge, Lacks
from ...engine.last_word import LastWord
from ...engine.leasing import Served, unattended
from ...kernel import namespaces
from ...kernel.warm import Warm
from ...kernel.world import KernelWorld
from ...model.errors import AgentMissing, CniError
from ...model.plan import Drift
from ...model.query import HostEnds
from ...model.resource import Lease
from ...plugins import registry
from ...store.records import Record
from ...store.store import Store
from ..cni.execution import Target
from ..cni.result_cache import Cached, ResultCache, default_directory
from ..site import is_there


@dataclass(frozen=True)
class Host:
    """`judge` remembers what it has looked at: it is for one look, and `another` for the next."""

    store: Store
    world: KernelWorld
    judge: Judge
    lacks: Lacks


@contextmanager
def opened(state: Path, *, if_lost: bool = False) -> Iterator[Host | None]:
    """This host namespace and the store in directory `state`; None where there is no store.

    With `if_lost` a new one is made where containers of ours are connected. Raises `CniError`
    where it can't be read.
    """
    there = is_there(state)
    if not (there or if_lost):
        yield None
        return
    with ExitStack() as opened:
        own = namespaces.own()
        opened.callback(os.close, own)
        warm = Warm()
        opened.callback(warm.close)
        world = opened.enter_context(
            KernelWorld(own, None, netns="", our_plugins=registry.SERVED, warm=warm)
        )
        if not (there or world.look(HostEnds())):
            yield None
            return
        store = Store.open(state)
        opened.callback(store.close)
        lacks = partial(_lacks, store, world, partial(_serves, state))
        yield Host(store, world, Judge(store, world, last_word, lacks), lacks)


def _lacks(store: Store, world: KernelWorld, serves: Served, record: Record) -> list[Drift]:
    """Ways through others' firewalls, and somebody who keeps its leases."""
    with store.read() as tx:
        made = [step.resource for step in tx.steps(record)]
    return [*passage.unmet_ways(store, world, record), *unattended(made, serves)]


def _serves(state: Path, lease: Lease[Any]) -> None:
    """Raises `AgentMissing` where no agent runs, whoever may start one."""
    if not asking.runs(state):
        raise AgentMissing(f"no agent keeps {lease.describe()}")


def _mtu_told(cached: Cached) -> int:
    """What a later plugin of the chain was told to set; one of ours has that on record as well."""
    network = cached.network_list()
    later = network.plugins[1:] if network else ()
    told = [mtu for plugin in later if isinstance(mtu := get(plugin, "mtu"), int)]
    return next((mtu for mtu in reversed(told) if mtu), 0)


def last_word(record: Record) -> LastWord:
    """What the chain's final result says, where a runtime has kept it as libcni does.

    A later plugin may be somebody else's, and have changed what one of ours made.
    """
    try:
        target = Target(container=record.container, interface=record.interface)
        cached = ResultCache(default_directory()).read(record.network, target)
        if cached is None or cached.target.netns != record.netns:
            return LastWord("", None)
        version = str(cached.result.get("cniVersion") or "")
        return LastWord(record.interface, from_json(cached.result, version), _mtu_told(cached))
    except CniError:
        return LastWord("", None)
