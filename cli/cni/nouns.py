"""What people call a container: a path, a name under /run/netns, a pid, an id, or its name."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha512
from pathlib import Path

from ...cni.environment import own_namespace_allowed
from ...cni.names import name_problem
from ...model.errors import CniError, Code
from ...model.shown import command, short_id
from ..interfaces import is_alive
from . import containers
from .result_cache import Cached

NAMED = Path("/run/netns")
"""Where `ip netns add NAME` binds namespaces."""
_OWN = "/proc/self/ns/net"


@dataclass(frozen=True)
class Sandbox:
    """A container: `container` is its id where the noun said it, "" else."""

    netns: str
    container: str = ""


def sandbox(noun: str, known: Iterable[Cached]) -> Sandbox:
    """Who `noun` is. `known` are the attachments there are.

    Raises `CniError` that says what was tried.
    """
    found = _find(noun, list(known))
    if found is not None:
        return found
    if noun.isdigit():
        raise _unknown(f"there is no process {noun}, and no container whose id begins so")
    raise _unknown(
        f'"{noun}" is not a network namespace: no path, no name under {NAMED}, no pid, and no'
        f" container that runs here; create it: {command('ip', 'netns', 'add', noun)}"
    )


def living(found: Sandbox) -> Sandbox:
    """The same with a namespace that lives. Raises `CniError`."""
    if not found.container or is_alive(found.netns):
        require_alive(found.netns)
        return found
    # What is known of it may be from before it was started again.
    for one in containers.running(found.container):
        if one.id == found.container and is_alive(one.netns):
            return Sandbox(one.netns, one.id)
    where = f" ({found.netns} is none)" if found.netns else ""
    raise _unknown(
        f"no network namespace of container {short_id(found.container)} is found here{where}:"
        " start it, or give the path of its namespace"
    )


def attached(noun: str, known: Iterable[Cached]) -> list[Cached]:
    """The attachments of who `noun` is; its namespace may be gone. Raises `CniError`."""
    attachments = list(known)
    found = _find(noun, attachments)
    mine = [cached for cached in attachments if found and is_of(cached, found)]
    # Its id is also the name of a namespace that is another's by now.
    mine = mine or [cached for cached in attachments if cached.target.container == noun]
    if not mine:
        raise _unknown(f'"{noun}" is not attached to any network; `pynet inspect` shows what is')
    return mine


def is_of(cached: Cached, sandbox: Sandbox) -> bool:
    """Whether it is that container's."""
    return cached.target.container == sandbox.container or same_namespace(
        cached.target.netns, sandbox.netns
    )


def _find(noun: str, attachments: list[Cached]) -> Sandbox | None:
    """None where it means nothing here."""
    if "/" in noun:
        return _with_id(noun, attachments)
    if (NAMED / noun).exists():
        return _with_id(str(NAMED / noun), attachments)
    if noun.isdigit() and Path(f"/proc/{noun}").exists():
        return _with_id(f"/proc/{noun}/ns/net", attachments)
    by_id = {
        container: _netns_of(container, attachments)
        for container in {cached.target.container for cached in attachments}
        if container.startswith(noun)
    }
    # A namespace that is gone: what is left of its attachments is found by its path.
    if not by_id and (gone := _with_id(str(NAMED / noun), attachments)).container:
        return gone
    meant = {noun: by_id[noun]} if noun in by_id else by_id
    if not meant:
        meant = {one.id: one.netns for one in containers.running(noun)}
    if len(meant) > 1:
        several = ", ".join(map(short_id, sorted(meant)))
        raise _unknown(f'"{noun}" may be any of the containers {several}: give more of the id')
    for container, netns in meant.items():
        return Sandbox(netns, container)
    return None


def _netns_of(container: str, attachments: Iterable[Cached]) -> str:
    """A path to its namespace, one that still leads there if there is one; "" for none."""
    paths = [one.target.netns for one in attachments if one.target.container == container]
    known = list(filter(None, paths))
    return next(filter(is_alive, known), known[-1] if known else "")


def netns_path(noun: str) -> str:
    """The path of a namespace that may be gone already: of a path, a pid or a name."""
    if "/" in noun:
        return noun
    if noun.isdigit() and not (NAMED / noun).exists():
        return f"/proc/{noun}/ns/net"
    return str(NAMED / noun)


def require_alive(netns: str) -> None:
    """Raises `CniError` where the path leads to no network namespace."""
    if is_alive(netns):
        return
    path = Path(netns)
    if path.parent == NAMED:
        create = command("ip", "netns", "add", path.name)
        raise _unknown(f"{netns} is not a network namespace; create it: {create}")
    if path.parts[:2] == ("/", "proc") and not Path(*path.parts[:3]).exists():
        raise _unknown(f"there is no process {path.parts[2]}")
    raise _unknown(f"{netns} is not a network namespace; make one, and name it: `ip netns add c1`")


def refuse_own(noun: str, netns: str) -> None:
    """Raises `CniError` where the container has no namespace of its own but this host's.

    A plugin that is told so by CNI_NETNS_OVERRIDE attaches that, too.
    """
    if same_namespace(netns, _OWN) and not own_namespace_allowed(os.environ):
        raise _unknown(
            f"{noun} has no network namespace of its own ({netns} is this host's): there is"
            " nothing to connect; `ip netns add c1` makes one"
        )


def default_container(netns: str) -> str:
    """The container id cnitool gives: what one of the two attached the other can detach."""
    return f"cnitool-{sha512(netns.encode()).digest()[:10].hex()}"


def friendly_container(netns: str) -> str:
    """The name of a named namespace, where that can be a container id; else cnitool's."""
    path = Path(netns)
    if path.parent == NAMED and not name_problem(path.name):
        return path.name
    return default_container(netns)


def same_namespace(one: str, other: str) -> bool:
    """Whether two paths are one, or lead to one namespace."""
    if one == other:
        return bool(one)
    try:
        return os.path.samestat(os.stat(one), os.stat(other))  # noqa: PTH116
    except OSError:
        return False


def _with_id(netns: str, attachments: Iterable[Cached]) -> Sandbox:
    """The container there: by what is attached, else by the processes in it."""
    for cached in attachments:
        if same_namespace(cached.target.netns, netns):
            return Sandbox(netns, cached.target.container)
    return Sandbox(netns, containers.in_namespace(netns))


def _unknown(message: str) -> CniError:
    return CniError(message, code=Code.INVALID_NETNS)
