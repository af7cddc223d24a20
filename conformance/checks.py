"""What a check is, and what comes of one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ..cni.version import parse
from .calls import Call
from .scene import Scene
from .subject import ROLES
from .verdicts import FAILED


@dataclass(frozen=True)
class Check:
    """`clause` is the heading of the CNI specification 1.1.0 that asks for it.

    It is asked of plugins in `roles` that speak version `since` or a newer one.
    """

    family: str
    name: str
    title: str
    clause: str
    ask: Callable[[Scene], None]
    roles: frozenset[str] = ROLES
    since: str = "0.1.0"

    @property
    def full_name(self) -> str:
        """`deleting.twice`: what `--only` and `--skip` know it by."""
        return f"{self.family}.{self.name}"

    def reason_against(self, role: str, versions: tuple[str, ...]) -> str:
        """Why it can't be asked of such a plugin, or ""."""
        if role not in self.roles:
            return f"it is asked of no {role} plugin"
        if all(parse(version) < parse(self.since) for version in versions):
            return f"it is of CNI {self.since}, and the plugin speaks up to {versions[-1]}"
        return ""


@dataclass
class Family:
    """A module's checks, in the order in which they stand there."""

    name: str
    checks: list[Check] = field(default_factory=list)

    def check(
        self, clause: str, *roles: str, since: str = "0.1.0"
    ) -> Callable[[Callable[[Scene], None]], Callable[[Scene], None]]:
        """A function as a check: its name is the check's, its docstring's first line the title."""

        def register(ask: Callable[[Scene], None]) -> Callable[[Scene], None]:
            name = ask.__name__.replace("_", "-")
            title = (ask.__doc__ or "").strip().partition("\n")[0].rstrip(".")
            self.add(name, title, clause, ask, *roles, since=since)
            return ask

        return register

    def add(
        self,
        name: str,
        title: str,
        clause: str,
        ask: Callable[[Scene], None],
        *roles: str,
        since: str = "0.1.0",
    ) -> None:
        """The same for one of many that are made from a table."""
        known = frozenset(roles) or ROLES
        self.checks.append(Check(self.name, name, title, clause, ask, known, since))


@dataclass(frozen=True)
class Outcome:
    """What came of one check of one plugin; `calls` are all that were made, of a failed one.

    `call` is the place among them of the one that shows it, -1 where there was none.
    """

    plugin: str
    check: Check
    verdict: str
    message: str = ""
    calls: tuple[Call, ...] = ()
    call: int = -1
    seconds: float = 0.0

    @property
    def failed(self) -> bool:
        return self.verdict == FAILED

    @property
    def shown(self) -> Call | None:
        """The call that shows what is wrong."""
        return self.calls[self.call] if 0 <= self.call < len(self.calls) else None

    def to_json(self) -> dict[str, Any]:
        """As it stands in the documents of `pynet conformance --json`."""
        return {
            "plugin": self.plugin,
            "check": self.check.full_name,
            "title": self.check.title,
            "clause": self.check.clause,
            "verdict": self.verdict,
            "message": self.message or None,
            "seconds": round(self.seconds, 3),
            "call": self.call if self.shown else None,
            "calls": [call.to_json() for call in self.calls],
        }
