"""One request, from bytes to bytes: the same for the daemon and the one-shot.

The only place where an error becomes a document: a `CniError` keeps its code, anything
else is 999, as libcni has it. `Declined` alone passes through.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from time import sleep
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from ..cni import dialogue
from ..cni.config import digest
from ..cni.environment import own_namespace_allowed
from ..engine.engine import Engine
from ..engine.request_record import Call as RecordedCall
from ..engine.site import Site
from ..ipam import delegate
from ..kernel.machine import machine
from ..kernel.namespaces import entered
from ..kernel.namespaces import same as same_namespace
from ..kernel.warm import Warm
from ..kernel.world import KernelWorld
from ..model.errors import (
    CheckFailed,
    CniError,
    Code,
    Declined,
    DelegateFailed,
    NamespaceError,
    NewerLayout,
)
from ..model.exhaustion import is_exhaustion
from ..model.plan import Announcement, Drift, Plan
from ..model.plugin import Plugin
from ..model.request import Command, Request
from ..model.resource import Lease, Resource
from ..model.resources import KeptLease
from ..model.value import Value
from ..plugins import registry
from ..store.failure import Newer
from ..store.records import Record
from ..store.store import FILE, Store
from .call import Call, Reply
from .settings import mode_of

if TYPE_CHECKING:
    from .asking import Agent

ANNOUNCED_AFTER = 0.01
"""Seconds between a daemon's answer to an ADD and its announcement to the neighbours."""


class Services(Struct):
    """What outlives a request: the store (opened when first needed) and warm sockets."""

    state: Path
    warm: Warm | None = None
    timings: Callable[[str, float], None] | None = None
    agents: Path | None = None
    """The state directory of the agent, where that is another than `state`."""
    _store: Store | None = None

    @property
    def store(self) -> Store:
        if self._store is None:
            self._store = Store.open(self.state)
        return self._store

    @contextmanager
    def looking(self) -> Iterator[Services]:
        """For who changes nothing: without a store yet, with an empty one that goes afterwards."""
        try:
            there = (self.state / FILE).exists()
        except OSError:
            there = True  # who opens it is told why not
        if there:
            yield self
            return
        from tempfile import TemporaryDirectory  # few need it

        with TemporaryDirectory(prefix="pynet-") as empty:
            apart = Services(Path(empty), self.warm, self.timings, self.state)
            try:
                yield apart
            finally:
                apart.store.close()


def serve(call: Call, services: Services) -> Reply:
    """Run one plugin call.

    Raises `Declined` before any effect, and nothing else; a daemon (`services.warm`) also what says
    that it has run out of something, and then the same call may be run by another process.
    """
    try:
        plugin = registry.plugin_named(call.plugin)
        command = dialogue.command_of(call.environ)
        if command is Command.VERSION:
            return Reply(0, dialogue.version_document(plugin, call.stdin))
        request = dialogue.read_request(plugin, call.environ, call.stdin, "")
        return _run(plugin, request, call, services)
    except (Declined, Newer, NewerLayout):
        raise  # the launcher goes one-shot; a daemon older than what it finds leaves
    except Exception as error:
        if services.warm is not None and is_exhaustion(error):
            raise  # what was begun is undone, or done again by who does it in our place
        version = dialogue.wanted_version(call.stdin)
        return Reply(1, dialogue.error_bytes(as_cni_error(error), version))


def _run(plugin: Plugin, request: Request, call: Call, services: Services) -> Reply:
    looks = request.command is Command.STATUS
    with (
        open_world(request, call, services.warm) as world,
        services.looking() if looks else nullcontext(services) as used,
    ):
        request = replace(request, host=f"{machine()}:{world.host}")
        engine = engine_for(request, call, used, world, Engine)
        reply, announcement = _COMMANDS[request.command](engine, plugin, request)
        if announcement is None:
            return Reply(0, reply)
        return Reply(0, reply, partial(_later, world.announcing(announcement), services.warm))


def _later(announce: Callable[[], None], warm: Warm | None) -> None:
    if warm is not None:
        # The runtime goes on meanwhile, with the next plugin of its chain: that comes first.
        sleep(ANNOUNCED_AFTER)
    with suppress(CniError, OSError):
        announce()


def rehearse(call: Call, services: Services, planned: Sequence[Resource] = ()) -> Plan:
    """What an ADD of `call` would carry out once all that is `planned` is made.

    Nothing is leased, recorded or made. Raises `Unplannable`, the `CniError` the ADD would end
    with, OSError.
    """
    from ..engine.rehearsing import Rehearsal

    plugin = registry.plugin_named(call.plugin)
    request = dialogue.read_request(plugin, call.environ, call.stdin, "")
    with open_world(request, call, services.warm) as world, services.looking() as used:
        request = replace(request, host=f"{machine()}:{world.host}")
        engine = engine_for(request, call, used, world, Rehearsal)
        engine.planned = planned
        return engine.rehearse(plugin, request)


Kind = TypeVar("Kind", bound=Engine)


def engine_for(
    request: Request,
    call: Call,
    services: Services,
    world: KernelWorld,
    kind: type[Kind],
) -> Kind:
    environ = {key: value for key, value in call.environ.items() if key != "CNI_COMMAND"}
    agent = _Agent(call, services)
    return kind(
        services.store,
        world,
        _digest(request),
        environ=environ,
        delegate=partial(_delegate, call),
        lessors={KeptLease.kind: agent},
        kept=agent.look,
        served=agent.refuse_missing,
        accepted=call.accepted,
        cancelled=call.cancelled,
        timings=services.timings,
        say=partial(_say, call.stderr, request.plugin),
        expressible=partial(dialogue.result_bytes, cni_version=request.cni_version),
        leaves_newer=services.warm is not None,
    )


def site_for(call: Call, services: Services, world: KernelWorld) -> Site:
    """Where what is on record is undone without a plugin: by whoever has the store."""
    agent = _Agent(call, services)
    delegated = partial(_delegate, call)
    return Site(services.store, world, delegated, {KeptLease.kind: agent}, agent.look)


class _Agent(Value):
    """The engine's `Lessor` for what the agent gives; few requests need to know how."""

    call: Call
    services: Services

    def lease(self, lease: Lease[Any], record: Record, call: RecordedCall) -> Any:
        return self._asked().lease(lease, record)

    def release(self, lease: Lease[Any], record: Record, call: RecordedCall) -> None:
        self._asked().release(lease, record)

    def refuse_missing(self, lease: Lease[Any]) -> None:
        self._asked().refuse_missing(lease)

    def look(self) -> None:
        self._asked().look()

    def _asked(self) -> Agent:
        from .asking import Agent

        call, services = self.call, self.services
        mode = mode_of(call.environ)
        return Agent(
            services.agents or services.state, mode, call.host, call.sandbox, call.cancelled
        )


def _digest(request: Request) -> str:
    if "digest" not in request.common:
        request.common["digest"] = digest(dict(request.config))
    return str(request.common["digest"])


def _say(stderr: int, plugin: str, note: str) -> None:
    """One line on the caller's stderr; one who has closed it does not want to know."""
    with suppress(OSError):
        os.write(stderr, f"pynet: {plugin}: {note}\n".encode())


def open_world(request: Request, call: Call, warm: Warm | None) -> KernelWorld:
    """The request's two namespaces, the container's checked as far as plugin and command need it.

    Raises `NamespaceError` (8): ADD and CHECK need a network namespace that is not the
    caller's own, unless CNI_NETNS_OVERRIDE says so, as the reference has it.
    """
    enters = registry.plugin_named(request.plugin).enters_sandbox
    needed = enters and request.command in (Command.ADD, Command.CHECK) and bool(request.netns)
    sandbox = call.sandbox
    if needed and sandbox is None:
        raise NamespaceError(f'failed to open netns "{request.netns}": {_why_not(call, request)}')
    if sandbox is not None and same_namespace(sandbox, call.host):
        if needed and not own_namespace_allowed(call.environ):
            raise NamespaceError(
                f'CNI_NETNS "{request.netns}" is the network namespace the plugin itself runs in'
            )
        if not needed:
            sandbox = None
    return KernelWorld(
        call.host,
        sandbox,
        netns=request.netns,
        needs_sandbox=needed,
        our_plugins=registry.SERVED,
        warm=warm,
        root=call.root,
    )


def _why_not(call: Call, request: Request) -> str:
    try:
        os.close(call.root.network_namespace(request.netns))
    except NamespaceError as error:
        return error.msg
    except OSError as error:
        return os.strerror(error.errno or 0)
    return "it can't be opened, or is no network namespace"


# --- the commands -------------------------------------------------------------------


Answer = tuple[bytes, Announcement | None]
_NOTHING: Answer = b"", None


def _add(engine: Engine, plugin: Plugin, request: Request) -> Answer:
    plan = engine.add(plugin, request)
    return dialogue.result_bytes(plan.result, request.cni_version), plan.announcement


def _delete(engine: Engine, plugin: Plugin, request: Request) -> Answer:
    engine.delete(plugin, request)
    return _NOTHING


def _check(engine: Engine, plugin: Plugin, request: Request) -> Answer:
    drifts = engine.check(plugin, request)
    if drifts:
        raise CheckFailed(
            _with_what_mends(drifts), details=json.dumps([drift.to_json() for drift in drifts])
        )
    return _NOTHING


def _with_what_mends(drifts: Sequence[Drift]) -> str:
    """All of them in words, and the commands: one for those that are pynet's to put back."""
    said = [str(drift) for drift in drifts if not drift.mend]
    if said:
        said.append("put it back: `pynet reload`, which says what helps where it can't")
    for drift in drifts:
        if drift.mend:
            said += [str(drift), f"put it back: `{drift.mend}`"]
    return "; ".join(said)


def _collect(engine: Engine, plugin: Plugin, request: Request) -> Answer:
    engine.collect(plugin, request)
    return _NOTHING


def _status(engine: Engine, plugin: Plugin, request: Request) -> Answer:
    engine.status(plugin, request)
    return _NOTHING


_COMMANDS: Mapping[Command, Callable[[Engine, Plugin, Request], Answer]] = {
    Command.ADD: _add,
    Command.DEL: _delete,
    Command.CHECK: _check,
    Command.GC: _collect,
    Command.STATUS: _status,
}


def _delegate(call: Call, binary: str, command: str, recorded: RecordedCall) -> dict[str, Any]:
    run = delegate.Run(binary, command, recorded.environ, recorded.stdin(), call.stderr)
    with entered(call.host):  # what it makes on the host is the caller's
        # Nobody needs what an ADD would bring once its caller is gone. All else is run to its
        # end: what an undo or a DEL leaves half done is left for good.
        output = run.to_end(call.root, call.cancelled if command == Command.ADD else None)
    if command != Command.ADD or not output.strip():
        return {}
    try:
        return delegate.document_in(output)
    except ValueError as error:
        raise DelegateFailed(f"IPAM plugin {binary} answered no JSON object: {error}") from error


# --- errors ----------------------------------------------------------------------------


def as_cni_error(error: BaseException) -> CniError:
    """`error` as what a runtime is shown; a group as one that names every member."""
    if isinstance(error, CniError):
        return error
    if isinstance(error, BaseExceptionGroup):
        members = [as_cni_error(member) for member in error.exceptions]
        message = "; ".join(member.msg for member in members)
        return CniError(message, code=members[0].code, details=error.message)
    if isinstance(error, OSError):
        return CniError(str(error), code=Code.IO_FAILURE)
    return CniError(f"internal error: {type(error).__name__}: {error}", details=_place(error))


def _place(error: BaseException) -> str:
    """Where it was raised: for the bug report, in one line."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return ""
    code = trace.tb_frame.f_code
    return f"{Path(code.co_filename).name}:{trace.tb_lineno} in {code.co_name}"
