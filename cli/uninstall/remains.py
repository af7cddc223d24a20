"""What pynet leaves on a host once its plugins are gone, and how each of it is taken away.

Rules that hold here:
- The order is that of taking it away: who would make it again goes first, and what tells of the
  rest goes last.
- Only what is known to be pynet's is named: by record, by name and mark, by a file's own name.
"""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from ...daemon.settings import Settings
from ...model.errors import CniError
from ...model.forwarding import ForwardAccept, ForwardBlockers, ForwardJump
from ...model.link_pair import PAIRS
from ...model.owner import Owner
from ...model.query import HostEnds, LinkNamed
from ...model.resource import Resource
from ...model.resources import Bridge, Forwarding, LinkForwarding, RouterAdvertisements
from ...model.shown import short_id
from .. import agent_probe
from ..cni.execution import Target
from ..cni.result_cache import Cached, ResultCache, default_directory
from ..daemon_probe import probe
from ..findings.strangers import strangers
from ..install.installation import CantInstall
from ..install.output import some
from ..processes import serving
from ..site import own_host, site, undo_all
from . import unrecorded

if TYPE_CHECKING:
    from ...engine.site import Site
    from ...kernel.world import KernelWorld
    from ...store.records import Record

_PATIENCE = 45.0
"""Seconds a daemon may take to finish what it has accepted; one of systemd's has as many."""
_OURS = (
    "pynet.db", "pynet.db-wal", "pynet.db-shm", "pynet.db.damaged*", "pynet.opening",
    "tables-*.lock", "locks/*", "room/*", "pynetd.sock", "pynetd.lock", "agent.sock", "agent.lock",
    "cni/results/*", "cni/results", "cni", "locks", "room",
)  # fmt: skip
"""What stands in a state directory, in the order in which it can go."""
_LEAVE = "leave"


@dataclass(frozen=True)
class Remain:
    """`verb` and `what` are what taking it away is, for people; `why` is why else it stays."""

    verb: str
    what: str
    why: str
    undo: Callable[[], list[str]] = field(compare=False, repr=False)
    """Take it away; a line for each thing that may be left. Raises `CniError`, OSError."""
    lives: bool = False
    """Whether it is a container that is cut off by it."""

    def describe(self) -> str:
        why = f" ({self.why})" if self.verb == _LEAVE else ""
        return f"{self.verb} {self.what}{why}"

    def to_json(self) -> dict[str, str]:
        return {"action": self.verb, "what": self.what, "why": self.why}


def remains(settings: Settings) -> list[Remain]:
    """What of this store, and of this network namespace, is there now. Raises `CniError`."""
    found = [*_processes(settings)]
    with own_host() as (_, world), site(settings.state) as here:
        found += _on_host(settings.state, world, here)
    if _files(settings):
        why = "it tells what is attached"
        found.append(Remain("remove", f"{settings.state}", why, lambda: _remove(settings)))
    return found


# --- who runs -----------------------------------------------------------------------------


def _processes(settings: Settings) -> Iterator[Remain]:
    daemon, agent = probe(settings), agent_probe.probe(settings.state)
    if daemon.running:
        yield Remain(
            "stop",
            f"the daemon, {_pid(daemon.pid)}",
            "plugins elsewhere may use it; left alone, it ends five minutes after its last call",
            lambda: _end(daemon.pid, "daemon", lambda: os.kill(daemon.pid, signal.SIGTERM)),
        )
    else:
        for pid in serving("pynet.daemon", settings.state):
            yield _lost_sight_of("daemon", pid)
    if agent.running:
        yield Remain(
            "stop",
            f"the agent, {_pid(agent.pid)}",
            f"it keeps {agent.keeps} leases" if agent.keeps else "plugins elsewhere may use it",
            lambda: _end(agent.pid, "agent", lambda: agent_probe.stop(settings.state)),
        )
    else:
        for pid in serving("pynet.agent", settings.state):
            yield _lost_sight_of("agent", pid)


def _lost_sight_of(name: str, pid: int) -> Remain:
    """One whose socket has another name than it is looked for by, or none any more."""
    return Remain(
        "stop",
        f"the {name}, {_pid(pid)}",
        "it is none that a plugin would find; left alone, it makes its files anew",
        lambda: _end(pid, name, lambda: os.kill(pid, signal.SIGTERM)),
    )


def _pid(pid: int) -> str:
    return f"pid {pid}" if pid else "in another pid namespace"


def _end(pid: int, name: str, ask: Callable[[], object]) -> list[str]:
    """Have it end, and wait for that. Raises `CantInstall`."""
    if not pid:
        raise CantInstall(f"the {name} runs in another pid namespace: end it there, then go on")
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return []
    try:
        with suppress(ProcessLookupError):
            ask()
        if not select.select([process], [], [], _PATIENCE)[0]:
            raise CantInstall(f"the {name}, pid {pid}, has not ended within {_PATIENCE:g} s")
    finally:
        os.close(process)
    return []


# --- what is on the host -------------------------------------------------------------------


def _on_host(state: Path, world: KernelWorld, here: Site | None) -> Iterator[Remain]:
    yield from _attachments(state, here)
    kept = _kept(here)
    if not any(_is_anothers(table.owner, state) for table in world.tables()):
        yield from _strangers(world, here)
        yield from _rules(world)
        yield from _without_record(world, here, [resource for resource, _ in kept])
    else:
        yield from _of_another(state, world, here)
    for resource, found in kept:
        if not found and world.exists(resource):
            if isinstance(resource, Bridge):
                yield _bridge(state, resource)
            else:
                yield _setting(state, resource)


def _kept(here: Site | None) -> list[tuple[Resource, bool]]:
    """What stays on the host with nobody attached, and whether it was found there."""
    kinds = (Bridge, LinkForwarding, Forwarding, RouterAdvertisements)  # in the order they can go
    if here is None:
        return []
    with here.store.read() as tx:
        return [
            (resource, found)
            for kind in kinds
            for resource, found in tx.shared_of_kind(here.world.host, kind.kind)
            if isinstance(resource, kind)
        ]


def _without_record(
    world: KernelWorld, here: Site | None, recorded: Sequence[Resource]
) -> Iterator[Remain]:
    """What else a lost store leaves, and results of attachments that no record tells of."""
    ends = _unrecorded(world, here)
    names = {one.name for one in recorded if isinstance(one, Bridge)}
    bridges = unrecorded.bridges(world, names)
    for bridge in bridges:
        why = "no record tells of it, and a container may be attached"
        yield Remain("remove", f"bridge {bridge.name}", why, partial(_delete_bridge, bridge))
    if bridges or ends:
        families = {one.family for one in recorded if isinstance(one, Forwarding)}
        for what, why in unrecorded.switched_on(world, families):
            yield Remain(_LEAVE, what, why, list)
    if results := unrecorded.results(world, _recorded(here), ends):
        told = some([f"{one.target.container} on {one.network}" for one in results])
        what = f"the results that a runtime keeps in {default_directory()}/results of {told}"
        yield Remain("forget", what, "none of them is on record", partial(_forget, results))


def _recorded(here: Site | None) -> set[unrecorded.Key]:
    if here is None:
        return set()
    with here.store.read() as tx:
        return {(one.network, one.container, one.interface) for one in tx.records()}


def _is_anothers(owner: Owner | None, state: Path) -> bool:
    """Whether the tables, and then the rules in others' chains, are of a store elsewhere."""
    from ...store.store import FILE

    if owner is None or Path(owner.directory) == state:
        return False
    return Path(owner.directory, FILE).exists()


def _strangers(world: KernelWorld, here: Site | None) -> Iterator[Remain]:
    """Containers that no record tells of, by the host's ends of their pairs: a store was lost."""
    for name in _unrecorded(world, here):
        what = f"whoever is behind {name}, of whom no record tells"
        yield Remain("disconnect", what, "it is attached", partial(_delete_pair, name), lives=True)


def _of_another(state: Path, world: KernelWorld, here: Site | None) -> Iterator[Remain]:
    """Containers that a store elsewhere has on record, and sees to."""
    found = strangers(state, world, _unrecorded(world, here))
    for name in found.ends:
        what = f"whoever is behind {name}"
        why = f"on record in {found.kept_by}"
        left = f"{what}: it is {why}; `pynet --state-dir {found.kept_by} uninstall --purge`"
        yield Remain(_LEAVE, what, why, partial(list, [left]))


def _unrecorded(world: KernelWorld, here: Site | None) -> list[str]:
    from ...engine.strangers import unrecorded as no_record

    ends: Sequence[str] = world.look(HostEnds()) or ()
    if here is None:
        return sorted(ends)
    with here.store.read() as tx:
        return sorted(no_record(tx, world.host, ends))


def _rules(world: KernelWorld) -> Iterator[Remain]:
    if ways := world.ways():
        told = ", ".join(way.describe() for way in ways)
        why = "containers may need them"
        yield Remain("remove", f"rules in others' chains ({told})", why, _remove_ways)
    if names := world.table_names():
        told = " and ".join(f"table {name}" for name in names)
        why = "containers that are attached need their rules"
        yield Remain("remove", f"nftables {told}", why, _remove_tables)


def _bridge(state: Path, resource: Bridge) -> Remain:
    what, why = f"bridge {resource.name}", "a container may be attached to it"
    return Remain("remove", what, why, lambda: _remove_bridge(state, resource))


def _setting(state: Path, resource: Resource) -> Remain:
    """As it was again: pynet has found it so."""
    verb, what = "switch off", resource.describe()
    if isinstance(resource, RouterAdvertisements):
        verb, what = "change back to 1", f"net.ipv6.conf.{resource.name}.accept_ra=2"
    why = "somebody else may rely on it by now"
    return Remain(verb, what, why, lambda: _give_back(state, resource))


def _attachments(state: Path, here: Site | None) -> Iterator[Remain]:
    def place(record: Record) -> tuple[str, str, str]:
        return record.network, record.container, record.interface

    from ...engine.witness import Fate, fate

    if here is None:
        return
    with here.store.read() as tx:
        records = sorted(tx.records(), key=place)
    for (network, container, interface), group in groupby(records, place):
        mine = list(group)
        dead = all(fate(here.store, here.world, record) is Fate.DEAD for record in mine)
        elsewhere = "" if mine[0].host == here.world.host else ", in another host namespace"
        what = f"{short_id(container)} on {network} as {interface}{elsewhere}"
        why = "nobody has told that it is gone" if dead else "it is attached"
        cut = _cut(state, network, Target(container, "", interface))
        yield Remain("disconnect", what, why, cut, lives=not dead)


def _cut(state: Path, network: str, target: Target) -> Callable[[], list[str]]:
    def undo() -> list[str]:
        left: list[Exception] = []
        with site(state) as here:
            if here is None:
                return []
            with here.store.read() as tx:
                mine = tx.records(
                    network=network, container=target.container, interface=target.interface
                )
            on_this_host = [record for record in mine if record.host == here.world.host]
            failures, left = undo_all(here, on_this_host)
        if failures:
            raise ExceptionGroup(f"{target.container} on {network} is still attached", failures)
        ResultCache(default_directory()).remove(network, target)
        elsewhere = len(on_this_host) < len(mine)
        return [*map(str, left), *(["what it has in another host namespace"] if elsewhere else [])]

    return undo


def _delete_bridge(bridge: Bridge) -> list[str]:
    with own_host() as (_, world):
        return unrecorded.delete(world, bridge)


def _forget(results: Sequence[Cached]) -> list[str]:
    for each in results:
        unrecorded.forget(each)
    return []


def _delete_pair(name: str) -> list[str]:
    with own_host() as (_, world):
        link = world.look(LinkNamed(name))
        if link is not None:
            pair = PAIRS[link.kind](name=name, mac=link.mac, peer="", peer_mac="")
            world.delete([(pair, None)])
    return []


def _remove_ways() -> list[str]:
    with own_host() as (_, world):
        ways = world.ways()
        blockers = world.look(ForwardBlockers())
        programs = {way.program for way in ways if isinstance(way, ForwardJump | ForwardAccept)}
        programs |= {one.program for one in blockers if one.chain}
        world.delete([(way, None) for way in reversed(ways)])
        for program in sorted(programs):
            # A chain of ours to which nothing leads any more.
            with suppress(CniError):
                world.delete([(ForwardJump(program=program, into="FORWARD"), None)])
    return []


def _remove_tables() -> list[str]:
    with own_host() as (_, world):
        world.remove_tables()
    return []


def _remove_bridge(state: Path, bridge: Bridge) -> list[str]:
    """With all others that nobody uses."""
    from ...engine.collecting import remove_unused_bridges

    with site(state) as here:
        if here is None:
            return []
        remove_unused_bridges(here)
        stays = here.world.exists(bridge)
    return [f"bridge {bridge.name}: others have ports in it"] if stays else []


def _give_back(state: Path, resource: Resource) -> list[str]:
    with site(state) as here:
        if here is not None:
            here.world.delete([(resource, None)])
            with here.store.write() as tx:
                tx.unshare(here.world.host, resource.key)
    return []


# --- the state directory ----------------------------------------------------------------------


def _files(settings: Settings) -> list[Path]:
    found = [path for pattern in _OURS for path in sorted(settings.state.glob(pattern))]
    found += [path for path in settings.state.glob("*") if path.is_socket()]
    return [*found, settings.socket] if settings.socket.is_socket() else found


def _remove(settings: Settings) -> list[str]:
    for path in dict.fromkeys(_files(settings)):
        if path.is_dir() and not path.is_symlink():
            with suppress(OSError):
                path.rmdir()
        else:
            path.unlink(missing_ok=True)
    with suppress(OSError):
        settings.state.rmdir()
    if others := sorted(path.name for path in settings.state.glob("*")):
        return [f"{settings.state}: it holds files of others: {some(others)}"]
    return []  # gone, or an empty directory on which something is mounted
