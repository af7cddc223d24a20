"""`dhcp daemon`, as units for the reference's write it: pynet's agent, in the foreground.

Its flags are Go's: one dash or two, a value behind `=` or a space, durations as in 1m30s.
"""

from __future__ import annotations

import os
import re
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from . import home
from .asking import socket_of
from .settings import settings

VARIABLES = {
    "timeout": "PYNET_DHCP_TIMEOUT",
    "resendmax": "PYNET_DHCP_RESENDMAX",
    "resendtimeout": "PYNET_DHCP_RESENDTIMEOUT",
    "broadcast": "PYNET_DHCP_BROADCAST",
    "hostprefix": "PYNET_DHCP_HOSTPREFIX",
}
"""By which the agent is told of the flags."""
_LOOK_SECONDS = 1.0
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "\u00b5s": 1e-6, "ns": 1e-9}
_PART = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)(h|ms|m|s|us|\u00b5s|ns)")


def become(words: Sequence[str]) -> NoReturn:
    """The agent, in this process's place; exits with 2 where a flag makes no sense."""
    flags = _parser().parse_args(words)
    _refuse_nowhere(flags)
    for name, variable in VARIABLES.items():
        if (value := getattr(flags, name)) is not None:
            os.environ[variable] = "" if value is False else str(value)
    # The socket that a unit may have handed over is the reference's; the agent has its own.
    for variable in ("LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"):
        os.environ.pop(variable, None)
    try:
        state = settings(os.environ).state
        _say_what_counts(flags, state)
        arguments = ["-I", "-m", f"{__package__.rpartition('.')[0]}.agent", "--state", str(state)]
        if flags.pidfile:
            arguments += ["--pidfile", flags.pidfile]
        os.execv(sys.executable, [sys.executable, *arguments])
    except OSError as error:
        print(f"dhcp daemon: {error}", file=sys.stderr)
        sys.exit(1)


def _refuse_nowhere(flags: Namespace) -> None:
    """Exits with 2 where a flag names a directory that is not there."""
    folders = {"hostprefix": flags.hostprefix}
    if flags.pidfile:
        folders["pidfile"] = Path(flags.pidfile).parent
    for name, folder in folders.items():
        if folder and not Path(folder).is_dir():
            print(f"dhcp daemon: -{name}: there is no directory {folder}", file=sys.stderr)
            sys.exit(2)


def _say_what_counts(flags: Namespace, state: Path) -> None:
    if flags.socketpath:
        print(
            f"dhcp daemon: nothing listens at {flags.socketpath}: pynet's plugins find the agent"
            " without it",
            file=sys.stderr,
        )
    given = [f"-{name}" for name in ("pidfile", *VARIABLES) if getattr(flags, name) is not None]
    if given and _is_served(state):
        print(
            f"dhcp daemon: an agent serves {state} already, on which {', '.join(given)}"
            " has no effect",
            file=sys.stderr,
        )


def _is_served(state: Path) -> bool:
    try:
        home.connect(socket_of(state), _LOOK_SECONDS).close()
    except OSError:
        return False
    return True


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="dhcp daemon", description="pynet's agent in the foreground, by the reference's flags."
    )

    def flag(name: str, **how: object) -> None:
        parser.add_argument(f"-{name}", f"--{name}", dest=name, **how)  # type: ignore[arg-type]

    flag("pidfile", metavar="PATH", help="write the process's number there")
    flag("hostprefix", metavar="PATH", help="where the host's root is, as this process sees it")
    flag("socketpath", metavar="PATH", help="accepted; the agent has a socket of its own")
    flag("timeout", type=_seconds, metavar="10s", help="how long an ADD waits for a silent server")
    flag("resendmax", type=_seconds, metavar="62s", help="the longest pause between two messages")
    flag("resendtimeout", type=_seconds, metavar="208s", help="how long a lease is asked for")
    flag(
        "broadcast",
        type=_truth,
        nargs="?",
        const=True,
        metavar="true",
        help="have servers broadcast their answers",
    )
    return parser


def _seconds(text: str) -> float:
    """Go's time.ParseDuration, of what is above zero."""
    parts = _PART.findall(text)
    seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if "".join(number + unit for number, unit in parts) != text or seconds <= 0:
        raise ArgumentTypeError(f"{text!r} is no duration, such as 10s or 1m30s")
    return seconds


def _truth(text: str) -> bool:
    """Go's strconv.ParseBool."""
    if text.lower() in ("1", "t", "true"):
        return True
    if text.lower() in ("0", "f", "false"):
        return False
    raise ArgumentTypeError(f"{text!r} is neither true nor false")
