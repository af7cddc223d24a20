"""`pynetd`: the daemon as a process. `python -I -m pynet.daemon --help`."""

from __future__ import annotations

import os
import sys
import time
from argparse import ArgumentParser
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

from ..model.errors import CniError, NewerLayout
from ..store import location
from ..store.failure import Newer
from ..store.locks import FileLock
from . import home
from .about import introduced
from .call import Handler
from .descriptors import standing
from .installed import Replaced, installed, watched
from .limits import Limits, limits, open_already, raised, roomy
from .preload import preload
from .server import LOOK_SECONDS, Server
from .settings import Mode, Settings, settings
from .wire import declined


class Equipment(NamedTuple):
    """What answers requests, what is to be done every half minute, and within which limits."""

    handler: Handler
    housekeeping: Callable[[], None]
    limits: Limits = Limits()


def main() -> int:
    """Serve until told to stop. 0 also where another daemon serves already; 1 where it can't."""
    arguments = _parser().parse_args()
    try:
        config = settings(os.environ, state=arguments.state, socket=arguments.socket)
        return run(config, arguments.idle_exit, partial(_equip, mode=config.mode))
    except (CniError, OSError) as error:
        print(f"pynetd: {error}", file=sys.stderr)
        return 1


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog="pynetd", description="Serves pynet's plugins from warm memory.")
    parser.add_argument("--state", type=Path, help="state directory (PYNET_STATE_DIR)")
    parser.add_argument("--socket", type=Path, help="where to listen (PYNET_SOCKET)")
    parser.add_argument(
        "--idle-exit", type=float, metavar="SECONDS", help="leave after so long without a request"
    )
    return parser


def run(config: Settings, idle_exit: float | None, equip: Callable[[Path], Equipment]) -> int:
    """Serve `config.state` until told to stop; the exit status. Raises `StoreError`, OSError."""
    location.prepare(config.state)
    listener = home.activated()
    lock = home.lock(config.state)
    if lock is None and listener is not None:
        lock = _outwait(config.state, listener)
    if lock is None:
        print(f"pynetd: another one serves {config.state} already", file=sys.stderr)
        return 0
    with lock:
        package = installed()
        equipment = equip(config.state)

        def tidy_up() -> None:
            equipment.housekeeping()
            if not package.is_as_it_was():
                server.stop()

        server = Server(
            watched(introduced(roomy(equipment.handler)), package),
            listener or home.listen(config.socket),
            standing(config.state),
            limits=equipment.limits,
            idle_exit=idle_exit,
            retire_on=(Newer, NewerLayout, Replaced),
            housekeeping=tidy_up,
        )
        server.stop_on_signals()
        server.run()
    return 0


def _equip(state: Path, mode: Mode) -> Equipment:
    descriptors = raised()
    preload()
    from ..kernel.machine import machine
    from ..kernel.nft.events import Watch
    from ..kernel.warm import HostEntry, Warm
    from .asking import see_to_it
    from .recovery import Recovery
    from .serve import Services, serve

    watch: Watch[HostEntry] = Watch()
    bounds = limits(descriptors, open_already())
    warm = Warm(watch, bounds.hosts)
    services = Services(state, warm=warm)
    machine()
    Recovery(services, warm, watch).start()

    def housekeeping() -> None:
        warm.expire()
        see_to_it(state, lambda: services.store, mode)

    return Equipment(partial(serve, services=services), housekeeping, bounds)


def _outwait(state: Path, listener: home.Listener) -> FileLock | None:
    """The lock, once a daemon whose socket systemd has replaced sees that and leaves.

    Until then callers are sent away at once, rather than left to wait for a second each.
    """
    refusal = declined("another daemon is about to leave its place to this one")
    deadline = time.monotonic() + 2 * LOOK_SECONDS
    lock = None
    listener.socket.settimeout(0.5)
    while lock is None and time.monotonic() < deadline:
        with suppress(OSError):
            connection, _ = listener.socket.accept()
            with connection:
                connection.sendall(refusal)
        lock = home.lock(state)
    listener.socket.settimeout(None)
    return lock


if __name__ == "__main__":
    sys.exit(main())
