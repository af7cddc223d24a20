"""`scripts/soak`: containers come and go, and the daemon is killed now and then; nothing may stay.

Callers do what a runtime does: an ADD that fails is answered with a DEL, a DEL that is told to
try again later is tried again. Exit status 1 where something is left, or anything else fails.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence

from rows import daemon_pid
from sides import Side, bridge

from pynet.testnets.installed import BIN_DIR, PYNET, install
from pynet.testnets.lab import Container, Lab
from pynet.testnets.runtime import PluginFailed

TRY_LATER = 11
_BETWEEN_KILLS = 3.0
_TRIES = 20


class Soak:
    """Callers of one fake host's plugins; `failures` and `counts` say how it went."""

    def __init__(self, side: Side, seconds: float) -> None:
        self.failures: list[str] = []
        self.counts: Counter[str] = Counter()
        self._side = side
        self._network = side.runtime(bridge())
        self._end = time.monotonic() + seconds

    def run(self, callers: int) -> None:
        """Let `callers` threads work, and kill the daemon, until the time is over."""
        threads = [threading.Thread(target=self._call, args=(which,)) for which in range(callers)]
        threads.append(threading.Thread(target=self._kill))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _call(self, which: int) -> None:
        host = self._side.host
        containers = [host.container(f"w{which}n{count}") for count in range(5)]
        attached: list[Container] = []
        while time.monotonic() < self._end:
            container = random.choice(containers)
            if container in attached:
                attached.remove(container)
                self._delete(container)
            elif self._add(container):
                attached.append(container)
        for container in attached:
            self._delete(container)

    def _add(self, container: Container) -> bool:
        try:
            self._side.host.call(self._network.add, container)
        except PluginFailed as error:
            self.counts["ADD failed"] += 1
            if error.document.get("code") != TRY_LATER:
                self.failures.append(str(error))
            self._delete(container)
            return False
        self.counts["ADD"] += 1
        return True

    def _delete(self, container: Container) -> None:
        for _ in range(_TRIES):
            try:
                self._side.host.call(self._network.delete, container)
                self.counts["DEL"] += 1
                return
            except PluginFailed as error:
                self.counts["DEL to be tried again"] += 1
                if error.document.get("code") != TRY_LATER:
                    self.failures.append(str(error))
                    return
                time.sleep(0.1)
        self.failures.append(f"DEL of {container.name} was told {_TRIES} times to try again")

    def _kill(self) -> None:
        while time.monotonic() + _BETWEEN_KILLS < self._end:
            time.sleep(_BETWEEN_KILLS)
            self._side.host.call(self._kill_daemon)
            self.counts["daemon killed"] += 1

    @staticmethod
    def _kill_daemon() -> None:
        try:
            os.kill(daemon_pid(), signal.SIGKILL)
        except LookupError:
            return  # none was started since the last one was killed


def left(side: Side) -> list[str]:
    """What stands on the host that nobody uses: interfaces and records of attachments."""
    links = json.loads(side.host.run(["ip", "-j", "link"]).stdout)
    found = [link["ifname"] for link in links if link["ifname"] not in ("lo", "bench0")]
    inspected = json.loads(side.host.run([*PYNET, "inspect", "--json"]).stdout)
    return found + [json.dumps(attachment) for attachment in inspected["attachments"]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Soak, and say what came of it."""
    parser = argparse.ArgumentParser(
        prog="scripts/soak", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--seconds", type=float, default=60, help="how long (default: 60)")
    parser.add_argument("--callers", type=int, default=4, help="how many at once (default: 4)")
    chosen = parser.parse_args(arguments)
    with Lab() as lab:
        host = lab.host("soak")
        install(host)
        side = Side("pynet", host, BIN_DIR)
        soak = Soak(side, chosen.seconds)
        soak.run(chosen.callers)
        remains = left(side)
    for what, count in sorted(soak.counts.items()):
        print(f"{count:7} {what}")
    for failure in soak.failures:
        print(f"failed: {failure}")
    for thing in remains:
        print(f"left: {thing}")
    return 1 if soak.failures or remains else 0


if __name__ == "__main__":
    sys.exit(main())
