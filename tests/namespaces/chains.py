"""Network lists as a runtime plays them: ADD in order, each given the result of the one before."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import drive
from drive import Outcome, Runtime
from scenes import succeed

Config = Mapping[str, Any]
Call = Callable[[str, dict[str, Any], Runtime], Outcome]

CHAIN: tuple[Config, ...] = (
    drive.LOOPBACK,
    drive.BRIDGE,
    drive.PORTMAP,
    drive.FIREWALL,
    drive.TUNING,
)


@dataclass(frozen=True)
class Part:
    """What of a network's list a test is about, and what stands before it there."""

    before: tuple[Config, ...]
    plugins: tuple[Config, ...]


PARTS = {
    **{name: Part(drive.BEFORE.get(name, ()), (one,)) for name, one in drive.CONFIGS.items()},
    "chain": Part((), CHAIN),
}
"""Each plugin by itself, and a whole list."""


def play(
    command: str,
    plugins: Sequence[Config],
    runtime: Runtime,
    result: Any = None,
    call: Call = drive.call,
) -> Outcome:
    """The outcome of the last call, which is the first that fails.

    `result` is what the first plugin of an ADD is given, or the list's own for all others. DEL
    goes in reverse (CNI spec 1.1.0, section 3); a runtime has a result only of an ADD that was
    finished.
    """
    outcome = Outcome(0, b"")
    for config in reversed(plugins) if command == "DEL" else plugins:
        outcome = call(command, with_result(config, result), runtime)
        if outcome.status:
            break
        if command == "ADD":
            result = outcome.document
    return outcome


def add_list(plugins: Sequence[Config], runtime: Runtime) -> Any:
    """The last plugin's result; None where there is no plugin."""
    return play("ADD", plugins, runtime, call=succeed).document


def delete_list(plugins: Sequence[Config], runtime: Runtime, result: Any) -> None:
    play("DEL", plugins, runtime, result, succeed)


def check_list(plugins: Sequence[Config], runtime: Runtime, result: Any) -> None:
    play("CHECK", plugins, runtime, result, succeed)


def with_result(config: Config, result: Any) -> dict[str, Any]:
    return {**config, **({"prevResult": result} if result else {})}
