"""Which ways through other people's firewalls the attached containers need now.

What `firewall` would plan for each of them today is compared with what it is recorded to have.
"""

from __future__ import annotations

import sys

from ..cni import dialogue
from ..engine.engine import Engine
from ..engine.request_record import Call
from ..engine.site import Site
from ..engine.ways import adapt, unmet, ways_among
from ..kernel.world import KernelWorld
from ..model.errors import CniError
from ..model.forwarding import ForwardBlockers
from ..model.plan import Drift
from ..model.request import Command
from ..model.resource import Resource
from ..plugins import registry
from ..store.records import Record, State
from ..store.store import Store

PLUGIN = "firewall"


def adapt_ways(store: Store, world: KernelWorld) -> bool:
    """Let those who are attached through what others drop, and take back what nobody needs.

    False where an ADD is under way, which may have looked before. Raises `CniError`, OSError.
    """
    records = _attached(store, world)
    wanted = {}
    for record in records:
        if record.state is State.READY:
            try:
                wanted[record] = _needed(store, world, record)
            except CniError as error:
                print(f"pynet: {PLUGIN} of {record.container}: {error.msg}", file=sys.stderr)
    adapt(Site(store, world), wanted)
    return not any(record.state in (State.INTENT, State.PENDING) for record in records)


def unmet_ways(store: Store, world: KernelWorld, record: Record) -> list[Drift]:
    """What is missing of the ways the record needs now, and does not have; [] for one without."""
    if record.plugin != PLUGIN:
        return []
    try:
        if not world.look(ForwardBlockers()):
            return []
        needed = _needed(store, world, record)
    except CniError:
        return []  # what is wrong with it is told by what it has
    with store.read() as tx:
        steps = tx.steps(record)
    return unmet(world, steps, needed)


def _attached(store: Store, world: KernelWorld) -> list[Record]:
    with store.read() as tx:
        return tx.records(host=world.host, plugin=PLUGIN)


def _needed(store: Store, world: KernelWorld, record: Record) -> list[Resource]:
    call = Call.load(record.request)
    plugin = registry.plugin_named(record.plugin)
    environ = {**call.environ, "CNI_COMMAND": Command.ADD.value}
    request = dialogue.read_request(plugin, environ, call.stdin(), "")
    return ways_among(Engine(store, world).dry_run(plugin, request).resources)
