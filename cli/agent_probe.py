"""Is there an agent, what does it say of itself, and how is it ended?"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..daemon import agent_wire, home
from ..daemon.asking import Asking, socket_of
from ..daemon.settings import Mode
from ..model.errors import CniError
from .processes import remedy

_PATIENCE = 2.0
_SERVICE = ("name", "state", "since", "failures", "failure", "keeps")


@dataclass(frozen=True)
class Service:
    """`since` and `Agent.started` are in seconds since 1970, 0 where it does not run."""

    name: str
    state: str
    since: float
    failures: int
    failure: str
    keeps: int


@dataclass(frozen=True)
class Agent:
    """`pid` is 0 where it is of another pid namespace; `trouble` says why it can't be asked."""

    running: bool
    pid: int = 0
    version: str = ""
    started: float = 0.0
    trouble: str = ""
    services: tuple[Service, ...] = field(default=())

    @property
    def keeps(self) -> int:
        return sum(service.keeps for service in self.services)


def probe(state: Path) -> Agent:
    """Connect, and ask. Raises nothing: what goes wrong is the answer."""
    try:
        with home.connect(socket_of(state), _PATIENCE) as connection:
            pid, _ = home.peer(connection)
    except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
        return Agent(running=False)
    except OSError as error:
        return Agent(running=False, trouble=f"it can't be asked: {error.strerror or error}")
    try:
        said = _ask(state, "about")
        services = tuple(
            Service(**{name: one[name] for name in _SERVICE}) for one in said["services"]
        )
        return Agent(True, pid, said["version"], said["started"], "", services)
    except CniError as error:
        return Agent(True, pid, trouble=f"{error.msg}; {remedy(pid)}")
    except (KeyError, TypeError):
        return Agent(True, pid, trouble="it is of another version: restart it")


def stop(state: Path) -> bool:
    """Have the agent end, if one runs; whether there was one. What it keeps stays on record."""
    if not probe(state).running:
        return False
    with suppress(CniError):
        _ask(state, "stop")
    return True


def _ask(state: Path, op: str) -> Any:
    """Raises `CniError`."""
    return Asking(state, Mode.NEVER, "a look at it").ask(agent_wire.line(op=op), _PATIENCE)
