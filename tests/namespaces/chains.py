"""Network lists as a runtime plays them: ADD in order, each given the result of the one before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from drive import Runtime
from scenes import succeed

Config = Mapping[str, Any]


def add_list(plugins: Sequence[Config], runtime: Runtime) -> Any:
    """The last plugin's result."""
    result = None
    for config in plugins:
        result = succeed("ADD", with_result(config, result), runtime).document
    return result


def delete_list(plugins: Sequence[Config], runtime: Runtime, result: Any) -> None:
    """In reverse, each given the list's result (CNI spec 1.1.0, section 3)."""
    for config in reversed(plugins):
        succeed("DEL", with_result(config, result), runtime)


def check_list(plugins: Sequence[Config], runtime: Runtime, result: Any) -> None:
    for config in plugins:
        succeed("CHECK", with_result(config, result), runtime)


def with_result(config: Config, result: Any) -> dict[str, Any]:
    return {**config, **({"prevResult": result} if result else {})}
