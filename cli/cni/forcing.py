"""An attachment ended though a plugin of its network fails for good: what can be undone is undone.

What pynet has on record it undoes itself, whether or not that plugin is still there. Of what
somebody else's plugin has made nobody knows: that is named.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from ...cni.conflist import NetworkList
from ...model.errors import CniError, Code
from ...model.shown import command, command_line
from ...store.records import NOT_ON_RECORD, Record
from ..interfaces import interface_stands
from ..recorded import records
from ..site import site, undo_all
from .execution import Target
from .runtime import Runtime

_LASTING = (Code.INVALID_CONFIG, Code.DELEGATE_FAILED, Code.INTERNAL)


@contextmanager
def offered(*words: str) -> Iterator[None]:
    """The command of these words is named where a plugin fails in a way that does not pass."""
    try:
        yield
    except (CniError, ExceptionGroup) as error:
        several = error.exceptions if isinstance(error, ExceptionGroup) else (error,)
        if any(isinstance(one, CniError) and one.code in _LASTING for one in several):
            error.add_note(f"if that is so for good, go on without it: {command(*words)}")
        raise


def detaching(network: str, container: str, interface: str) -> str:
    """The command that detaches it, whoever has attached it, and whether or not it has a path.

    What was lost with the store is of no network: there are no plugins to ask about it.
    """
    words = ["pynet", "detach", container, network, "--ifname", interface]
    return command_line(*words, *(["--force"] if network == NOT_ON_RECORD else []))


def detach(runtime: Runtime, network: NetworkList | None, name: str, target: Target) -> list[str]:
    """DEL past every error, then what is on record; a line for each thing that may be left.

    `network` is None where nothing tells any more which plugins it had. Raises `CniError` where
    what is ours can't be undone: then it is still on record.
    """
    recorded = {record.plugin for record in _records(name, target)}
    failed = runtime.delete_past_errors(network, target) if network else {}
    left = _undo(name, target)
    runtime.cache.remove(name, target)
    lines = [
        f"whatever {kind} has made for it: {reason}"
        for kind, reason in failed.items()
        if kind not in recorded
    ]
    lines += map(str, left)
    return lines + standing(target)


def standing(target: Target) -> list[str]:
    """What a DEL that succeeded has left in the container all the same: it is looked at.

    No plugin removes what another store of pynet's has on record.
    """
    if target.netns and interface_stands(target.netns, target.interface):
        return [f"interface {target.interface} in {target.netns}"]
    return []


def _records(name: str, target: Target) -> list[Record]:
    return [
        record
        for record in records(name)
        if (record.container, record.interface) == (target.container, target.interface)
    ]


def _undo(name: str, target: Target) -> list[Exception]:
    from ...daemon.settings import settings

    remaining = _records(name, target)
    if not remaining:
        return []
    with site(settings(os.environ).state) as here:
        failures, left = undo_all(here, remaining) if here else ([], [])
    if failures:
        raise ExceptionGroup("not all of it could be undone; it can be tried again", failures)
    return left
