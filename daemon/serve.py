"""One request, from bytes to bytes: the same for the daemon and the one-shot.

The only place where an error becomes a document: a `CniError` keeps its code, anything
else is 999, as libcni has it. `Declined` alone passes through.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from time import sleep
from typing import Any

from ..cni import dialogue
from ..cni.config import digest
from ..cni.environment import own_namespace_allowed
from ..engine.engine import Engine
from ..engine.request_record import Call as RecordedCall
from ..ipam import delegate
from ..kernel.namespaces import entered, open_namespace
from ..kernel.namespaces import same as same_namespace
from ..kernel.warm import Warm
from ..kernel.world import KernelWorld
from ..model.errors import CheckFailed, CniError, Code, Declined, DelegateFailed, NamespaceError
from ..model.plan import Announcement, Plan
from ..model.plugin import Plugin
from ..model.request import Command, Request
from ..plugins import registry
from ..store.failure import NewerSchema
from ..store.store import Store
from .call import Call, Reply

ANNOUNCED_AFTER = 0.01
"""Seconds between a daemon's answer to an ADD and its announcement to the neighbours."""


@dataclass
class Services:
    """What outlives a request: the store (opened when first needed) and warm sockets."""

    state: Path
    warm: Warm | None = None
    timings: Callable[[str, float], None] | None = None
    _store: Store | None = field(default=None, repr=False)

    @property
    def store(self) -> Store:
        if self._store is None:
            self._store = Store.open(self.state)
        return self._store


def serve(call: Call, services: Services) -> Reply:
    """Run one plugin call. Raises `Declined` before any effect, and nothing else."""
    try:
        plugin = registry.plugin_named(call.plugin)
        command = dialogue.command_of(call.environ)
        if command is Command.VERSION:
            return Reply(0, dialogue.version_document(plugin, call.stdin))
        if not call.same_mounts:
            # Whether it needs a path shows only under way, when it is too late to decline.
            raise Declined("the caller is in another mount namespace")
        request = dialogue.read_request(plugin, call.environ, call.stdin, "")
        return _run(plugin, request, call, services)
    except (Declined, NewerSchema):
        raise  # the launcher goes one-shot; a daemon older than its store leaves
    except Exception as error:
        version = dialogue.wanted_version(call.stdin)
        return Reply(1, dialogue.error_bytes(as_cni_error(error), version))


def _run(plugin: Plugin, request: Request, call: Call, services: Services) -> Reply:
    with open_world(request, call, services.warm) as world:
        request = replace(request, host=f"{_machine()}:{world.host}")
        engine = engine_for(request, call, services, world)
        reply, announcement = _COMMANDS[request.command](engine, plugin, request)
    if announcement is None:
        return Reply(0, reply)
    return Reply(0, reply, partial(_announce, announcement, request, call, services.warm))


def _announce(announcement: Announcement, request: Request, call: Call, warm: Warm | None) -> None:
    if warm is not None:
        # The runtime goes on meanwhile, with the next plugin of its chain: that comes first.
        sleep(ANNOUNCED_AFTER)
    with suppress(CniError, OSError), open_world(request, call, warm) as world:
        world.announce(announcement)


def rehearse(call: Call, services: Services) -> Plan:
    """What an ADD of `call` would carry out now; nothing is leased, recorded or made.

    Raises the `CniError` the ADD would end with, OSError.
    """
    plugin = registry.plugin_named(call.plugin)
    request = dialogue.read_request(plugin, call.environ, call.stdin, "")
    with open_world(request, call, services.warm) as world:
        request = replace(request, host=f"{_machine()}:{world.host}")
        return engine_for(request, call, services, world).dry_run(plugin, request)


def engine_for(request: Request, call: Call, services: Services, world: KernelWorld) -> Engine:
    environ = {key: value for key, value in call.environ.items() if key != "CNI_COMMAND"}
    return Engine(
        services.store,
        world,
        _digest(request),
        environ=environ,
        delegate=partial(_delegate, call),
        accepted=call.accepted,
        cancelled=call.cancelled,
        timings=services.timings,
        say=partial(_say, call.stderr, request.plugin),
        expressible=partial(dialogue.result_bytes, cni_version=request.cni_version),
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
    """The request's two namespaces, the container's checked as far as the command needs it.

    Raises `NamespaceError` (8): ADD and CHECK need a network namespace that is not the
    caller's own, unless CNI_NETNS_OVERRIDE says so, as the reference has it.
    """
    needed = request.command in (Command.ADD, Command.CHECK) and bool(request.netns)
    sandbox = call.sandbox
    if needed and sandbox is None:
        raise NamespaceError(f'failed to open netns "{request.netns}": {_why_not(request.netns)}')
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
        our_plugins=registry.names(),
        warm=warm,
    )


def _why_not(netns: str) -> str:
    try:
        os.close(open_namespace(netns))
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
            "; ".join(str(drift) for drift in drifts),
            details=json.dumps([vars(drift) for drift in drifts]),
        )
    return _NOTHING


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
    stdin = recorded.stdin()
    with entered(call.host):  # what it makes on the host is the caller's
        output = delegate.run(
            binary, command, recorded.environ, stdin, call.stderr, cancelled=call.cancelled
        )
    if command != Command.ADD or not output.strip():
        return {}
    try:
        document = json.loads(output)
    except ValueError as error:
        raise DelegateFailed(f"IPAM plugin {binary} answered no JSON: {error}") from error
    return document if isinstance(document, dict) else {}


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


def _machine() -> str:
    """Tells this machine from others: bridges on two hosts must not share a MAC."""
    global _machine_id
    if _machine_id is None:
        for path in ("/etc/machine-id", "/proc/sys/kernel/random/boot_id"):
            try:
                _machine_id = Path(path).read_text().strip()
            except OSError:
                continue
            if _machine_id:
                break
    return _machine_id or ""


_machine_id: str | None = None
