"""A DHCP client driven on a wire, of either family, as whoever has one would.

The clock can be put forward, so that a lease of a day is renewed without waiting for it. And who
waits for a server that has just been started.
"""

from __future__ import annotations

import select
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from pynet.dhcp.client import Action, Bound, Client, Lease, Lost, Probe, Send

INTERFACE = "eth0"


class Driven(ABC):
    """One client on one interface of this namespace; what it did is in `log`, in order."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.log: list[Action] = []
        self._wire: Any = None
        self._probe: Any = None
        self._asked = ""
        self._ahead = 0.0
        """Seconds by which its clock is put forward."""

    @abstractmethod
    def open_wire(self) -> Any: ...

    @abstractmethod
    def open_probe(self, address: str) -> Any: ...

    def now(self) -> float:
        return time.monotonic() + self._ahead

    def clock(self) -> float:
        return time.time() + self._ahead

    def start(self) -> None:
        self.do(self.client.start(self.now()))

    def resume(self, lease: Lease) -> None:
        self.do(self.client.resume(lease, self.now(), self.clock()))

    def until(self, kind: type[Action], within: float = 20) -> Any:
        """The next action of that kind. Raises AssertionError with all that happened instead."""
        begun = len(self.log)

        def found() -> Any:
            return next((each for each in self.log[begun:] if isinstance(each, kind)), None)

        self.spin(lambda: found() is not None, within)
        return found()

    def spin(self, condition: Callable[[], bool], within: float = 20) -> None:
        """Until it is true. Raises AssertionError with all that happened instead."""
        end = time.monotonic() + within
        while not condition():
            assert time.monotonic() < end, (self.client.trouble, self.log)
            self._step(0.05)

    def put_forward(self) -> None:
        """To when the client wants to do something next, which it does."""
        assert self.client.due is not None
        self._ahead += max(0.0, self.client.due - self.now())
        self.do(self.client.tick(self.now(), self.clock()))

    def configure(self, lease: Lease) -> None:
        subprocess.run(["ip", "addr", "replace", lease.address, "dev", INTERFACE], check=True)

    def do(self, actions: list[Action]) -> None:
        for action in actions:
            self.log.append(action)
            if isinstance(action, Bound | Lost):
                self.close()
            elif isinstance(action, Probe):
                self._asked = action.address
                self._probe = self.open_probe(action.address)
            else:
                assert isinstance(action, Send)
                self._wire = self._wire or self.open_wire()
                self._wire.send(action)

    def close(self) -> None:
        if self._wire is not None:
            self._wire.close()
            self._wire = None

    def _step(self, patience: float) -> None:
        waiting = [part for part in (self._wire, self._probe) if part is not None]
        dues = [part.due for part in (self.client, self._probe) if part and part.due is not None]
        patience = max(0.0, min([patience, *(due - self.now() for due in dues)]))
        readable, _, _ = select.select(waiting, [], [], patience)
        now, clock = self.now(), self.clock()
        if self._wire is not None and self._wire in readable:
            while self._wire is not None and (payload := self._wire.receive()) is not None:
                self.do(self.client.receive(payload, now, clock))
        if self._probe is not None:
            self._probe.receive()
            self._probe.tick(now)
            if self._probe.done:
                probe, self._probe = self._probe, None
                probe.close()
                self.do(self.client.probed(self._asked, probe.taken_by, now, clock))
        self.do(self.client.tick(now, clock))


def wait_for_server(condition: Any, process: subprocess.Popen[bytes], within: float = 20) -> None:
    end = time.monotonic() + within
    while time.monotonic() < end:
        assert process.poll() is None, process.returncode
        try:
            if condition():
                return
        except FileNotFoundError:
            pass
        time.sleep(0.01)
    raise AssertionError("the server does not start")
