"""The agent in a fake host, with the package of `heartbeat` installed, and what it has done."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import drive
from drive import Outcome, Runtime
from executables import in_host, until

import pynet
from pynet.daemon import asking, home
from pynet.daemon.asking import Asking
from pynet.daemon.serve import Services
from pynet.daemon.settings import Mode
from pynet.engine import faults
from pynet.plugins import registry
from pynet.store.keeping import Kept
from pynet.store.store import Store
from pynet.testnets.lab.lab import DiedBySignal, Host, Process

SOURCES = Path(pynet.__file__).resolve().parent / "src"
AGENT_SOCKET = str(asking.socket_of(drive.STATE))
# The real process, but that a service which was asked once is ended sooner.
AGENT = (
    "-c",
    """
import sys
from pynet.agent import watching
from pynet.agent.__main__ import main
watching.LINGER_SECONDS = 0.1
sys.exit(main())
""",
)


def pid_of_agent(host: Host) -> int | None:
    """Who listens, as a pid of this process's namespace; None if nobody."""
    try:
        with home.connect(in_host(host, AGENT_SOCKET), 5.0) as probe:
            return home.peer(probe)[0]
    except OSError:
        return None


@contextmanager
def serving(host: Host, agent: Process) -> Iterator[Process]:
    """The `agent` of the host, once it answers; it is killed at the end."""
    with agent:
        try:
            until(lambda: pid_of_agent(host), "no agent came up")
            yield agent
        finally:
            with suppress(ProcessLookupError):
                agent.kill()


@dataclass
class Beats:
    """`folder` holds the ledger, the orders to the service, and what pip would have written."""

    host: Host
    folder: Path
    most: int = 1_000_000
    """Beats of a heart, after which it stands still."""

    def __post_init__(self) -> None:
        from heartbeat import ENTRY_POINTS

        self.ledger.mkdir()
        info = self.folder / "heartbeat-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Name: heartbeat\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(ENTRY_POINTS)

    @property
    def ledger(self) -> Path:
        return self.folder / "ledger"

    @property
    def path(self) -> str:
        return os.pathsep.join((str(self.folder), str(Path(__file__).parent), str(SOURCES)))

    def order(self, what: str) -> Path:
        file = self.folder / what
        file.touch()
        return file

    # --- calls -------------------------------------------------------------------------

    def call(
        self,
        command: str,
        container: str = "c1",
        mode: Mode = Mode.NEVER,
        *,
        keeper: str = "heartbeat",
        seconds: float | None = None,
        fault: int = 0,
    ) -> Outcome:
        """One call in the host; `seconds` is how long it waits for the agent."""
        config = {
            "cniVersion": "1.1.0",
            "name": "beats",
            "type": "beating",
            "ledger": str(self.ledger),
            "keeper": keeper,
            "most": self.most,
        }

        def work() -> Outcome:
            self.install_here()
            if seconds is not None:
                asking.LEASE_SECONDS = asking.RELEASE_SECONDS = seconds
            if fault:
                faults.arm(fault)
            environ = {"PYNET_DAEMON": mode}
            runtime = Runtime(container, f"/run/netns/{container}", environ=environ)
            return drive.call(command, config, runtime, Services(drive.STATE))

        return self.host.call(work)

    def add(self, container: str = "c1", mode: Mode = Mode.NEVER, **how: Any) -> Outcome:
        """Into a container of that name, made where there is none."""
        if not in_host(self.host, f"/run/netns/{container}").exists():
            self.host.container(container)
        return self.call("ADD", container, mode, **how)

    def dies(self, command: str, container: str, fault: int) -> bool:
        """Whether the call was killed at its `fault`-th point; if not, it went well."""
        try:
            outcome = self.call(command, container, fault=fault)
        except DiedBySignal:
            return True
        assert outcome.status == 0, outcome
        return False

    def install_here(self) -> None:
        """In this process, a fork in the host: what its interpreter would find."""
        sys.path[:0] = self.path.split(os.pathsep)
        os.environ["PYTHONPATH"] = self.path
        registry.names.cache_clear()
        registry.plugin_named.cache_clear()

    # --- what there is -------------------------------------------------------------------

    def kept(self, keeper: str = "heartbeat") -> list[Kept]:
        def read() -> list[Kept]:
            with closing(Store.open(drive.STATE)) as store, store.read() as tx:
                return tx.kept(keeper)

        return self.host.call(read)

    def answers(self) -> dict[str, Any]:
        """By container, what its lease's answer is now."""
        return {each.record.container: json.loads(each.answer or "{}") for each in self.kept()}

    def on_record(self) -> int:
        """How many records, steps and rows of what is kept there are."""

        def count() -> int:
            with closing(Store.open(drive.STATE)) as store, store.read() as tx:
                tables = ("record", "step", "kept")
                query = " + ".join(f"(SELECT count(*) FROM {table})" for table in tables)
                return int(tx._sql.execute(f"SELECT {query}").fetchone()[0])

        return self.host.call(count)

    def assert_whole(self, *containers: str) -> None:
        """Just these are attached: on record, kept once each, and in the ledger by their token."""
        given = {file.name.split("-")[1]: file.read_text() for file in self.ledger.iterdir()}
        assert {name: answer["token"] for name, answer in self.answers().items()} == given
        assert sorted(given) == sorted(containers)
        assert len(self.kept()) == len(containers)
        assert self.on_record() == 3 * len(containers)

    def has_beaten(self, container: str) -> bool:
        """As often as it will."""
        count: int = self.answers()[container]["count"]
        return count == self.most

    def beats(self, container: str = "c1", more: int = 2) -> dict[str, Any]:
        """Its answer once it has beaten `more` times from now."""
        before = self.answers()[container]["count"]

        def beaten() -> dict[str, Any] | None:
            answer: dict[str, Any] = self.answers()[container]
            return answer if answer["count"] >= before + more else None

        return until(beaten, "the heart does not beat")

    # --- the agent -----------------------------------------------------------------------

    @contextmanager
    def agent(
        self, *flags: str, fault: int = 0, command: Sequence[str] = AGENT
    ) -> Iterator[Process]:
        """One in the host, once it answers; it is killed at the end."""
        with serving(self.host, self.start(*flags, fault=fault, command=command)) as process:
            yield process

    def start(self, *flags: str, fault: int = 0, command: Sequence[str] = AGENT) -> Process:
        return self.host.popen(
            [sys.executable, "-P", *command, *flags],
            env={"PYTHONPATH": self.path, "PYNET_FAULT": str(fault), "PATH": os.environ["PATH"]},
        )

    def agent_pid(self) -> int | None:
        return pid_of_agent(self.host)

    def about(self) -> Any:
        return self.ask(b'{"v": 1, "op": "about"}\n')

    def ask(self, question: bytes) -> Any:
        def work() -> Any:
            return Asking(drive.STATE, Mode.NEVER, "the test").ask(question, 2.0)

        return self.host.call(work)

    def end_left_behind(self) -> None:
        pid = self.agent_pid()
        if pid is not None:
            os.kill(pid, signal.SIGKILL)


def state_of(beats: Beats, name: str) -> Callable[[], str]:
    """What the agent says of the service."""
    return lambda: next(
        (each["state"] for each in beats.about()["services"] if each["name"] == name), ""
    )
