"""What people call a container: a path, a name under /run/netns, a pid, a container id."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha512
from pathlib import Path

from ..cni.names import name_problem
from ..model.errors import CniError, Code
from .interfaces import is_alive
from .result_cache import Cached

NAMED = Path("/run/netns")
"""Where `ip netns add NAME` binds namespaces."""


@dataclass(frozen=True)
class Sandbox:
    """A container: `container` is its id where the noun said it, "" else."""

    netns: str
    container: str = ""


def sandbox(noun: str, known: Iterable[Cached]) -> Sandbox:
    """Who `noun` is. `known` are the attachments among which a container id is looked for.

    Raises `CniError` that says what was tried.
    """
    attachments = list(known)
    if "/" in noun:
        return _with_id(noun, attachments)
    if (NAMED / noun).exists():
        return _with_id(str(NAMED / noun), attachments)
    if noun.isdigit():
        path = f"/proc/{noun}/ns/net"
        if not Path(f"/proc/{noun}").exists():
            raise _unknown(f"there is no process {noun}")
        return _with_id(path, attachments)
    by_id = {
        (cached.target.container, cached.target.netns)
        for cached in attachments
        if cached.target.container.startswith(noun)
    }
    exact = {one for one in by_id if one[0] == noun} or by_id
    if len(exact) > 1:
        several = ", ".join(sorted(container for container, _ in exact))
        raise _unknown(f'"{noun}" may be any of the containers {several}: give more of the id')
    for container, netns in exact:
        return Sandbox(netns, container)
    # A namespace that is gone: what is left of its attachments is found by its path.
    gone = _with_id(str(NAMED / noun), attachments)
    if gone.container:
        return gone
    raise _unknown(
        f'"{noun}" is no network namespace: no path, no name under {NAMED}, no pid, and no '
        f"container id that is known here; `ip netns add {noun}` makes one"
    )


def netns_path(noun: str) -> str:
    """The path of a namespace that may be gone already: of a path, a pid or a name."""
    if "/" in noun:
        return noun
    if noun.isdigit() and not (NAMED / noun).exists():
        return f"/proc/{noun}/ns/net"
    return str(NAMED / noun)


def require_alive(netns: str) -> None:
    """Raises `CniError` where the path leads to no network namespace."""
    if not is_alive(netns):
        raise _unknown(f"{netns} is no network namespace; `ip netns add` makes one")


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
        return True
    try:
        return os.path.samestat(os.stat(one), os.stat(other))  # noqa: PTH116
    except OSError:
        return False


def _with_id(netns: str, attachments: Iterable[Cached]) -> Sandbox:
    for cached in attachments:
        if same_namespace(cached.target.netns, netns):
            return Sandbox(netns, cached.target.container)
    return Sandbox(netns)


def _unknown(message: str) -> CniError:
    return CniError(message, code=Code.INVALID_NETNS)
