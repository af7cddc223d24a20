"""`pynetd`: the daemon as a process. `python -I -m pynet.daemon --help`."""

from __future__ import annotations

import os
import signal
import sys
import time
from argparse import ArgumentParser
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

from ..model.errors import CniError
from ..store.failure import NewerSchema
from ..store.locks import FileLock
from . import home
from .about import introduced
from .call import Handler
from .descriptors import standing
from .preload import preload
from .server import LOOK_SECONDS, Server
from .settings import Settings, settings
from .wire import declined


class Equipment(NamedTuple):
    """What answers requests, and what is to be done every half minute."""

    handler: Handler
    housekeeping: Callable[[], None]


def main() -> int:
    """Serve until told to stop. 0 also where another daemon serves already; 1 where it can't."""
    arguments = _parser().parse_args()
    try:
        config = settings(os.environ, state=arguments.state, socket=arguments.socket)
        return run(config, arguments.idle_exit, _equip)
    except (CniError, home.NotOurs, OSError) as error:
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
    """Serve `config.state` until told to stop; the exit status. Raises `NotOurs`, OSError."""
    home.prepare(config.state)
    listener = home.activated()
    lock = home.lock(config.state)
    if lock is None and listener is not None:
        lock = _outwait(config.state, listener)
    if lock is None:
        print(f"pynetd: another one serves {config.state} already", file=sys.stderr)
        return 0
    with lock:
        equipment = equip(config.state)
        server = Server(
            introduced(equipment.handler),
            listener or home.listen(config.socket),
            standing(config.state),
            idle_exit=idle_exit,
            retire_on=(NewerSchema,),
            housekeeping=equipment.housekeeping,
        )
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: server.stop())
        server.run()
    return 0


def _equip(state: Path) -> Equipment:
    preload()
    from ..kernel.nft_events import Watch
    from ..kernel.warm import HostEntry, Warm
    from .recovery import Recovery
    from .serve import Services, serve

    watch: Watch[HostEntry] = Watch()
    warm = Warm(watch)
    services = Services(state, warm=warm)
    Recovery(services, warm, watch).start()
    return Equipment(partial(serve, services=services), warm.expire)


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
