"""`pynet`: the table of its commands, the options all of them share, and where errors end.

No traceback reaches a user: whatever a command raises becomes one line on stderr here.
Exit status: 0 all is well, 1 findings or a failure, 2 wrong usage.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from .. import __version__
from .lazy import LazyGroup

COMMANDS = {
    "attach": (".attach:attach", "Connect a container to a network."),
    "detach": (".attach:detach", "Disconnect a container from a network."),
    "inspect": (".inspect:inspect", "Show what is connected, how, and whether it is as it should."),
    "status": (".status:status", "Say whether this host is ready to connect containers."),
    "network": (".network:network", "List, show and validate the configured networks."),
    "cni": (".cni:cni", "Run a network's plugins, as a container runtime does."),
    "install": (".install:install", "Put the plugins where runtimes look for them."),
    "uninstall": (".uninstall:uninstall", "Take the plugins away and put back what was there."),
    "reload": (".reload:reload", "Put back what others have deleted of the host's rules."),
    "daemon": (".daemon:daemon", "Run pynetd in the foreground."),
    "testnet": (".testnet:testnet", "Labs of hosts and containers, from topology files."),
    "completion": (".completion:completion", "Print the completion script of a shell."),
}

FAILED, USAGE, INTERRUPTED = 1, 2, 130

EPILOG = """\
\b
A first try, without a container runtime:
  ip netns add c1
  pynet attach c1 web
  pynet inspect
"""


@click.group(cls=LazyGroup, table=COMMANDS, epilog=EPILOG)
@click.option("--state-dir", metavar="DIR", help="Where the state is (PYNET_STATE_DIR).")
@click.option("--socket", metavar="PATH", help="Where the daemon listens (PYNET_SOCKET).")
@click.option(
    "--daemon",
    type=click.Choice(["auto", "never", "require"]),
    help="Whether plugins may use, and leave behind, a daemon (PYNET_DAEMON).",
)
@click.version_option(__version__, prog_name="pynet", message="%(prog)s %(version)s")
def pynet(state_dir: str | None, socket: str | None, daemon: str | None) -> None:
    """The network of this host's containers: connect, show, explain."""
    given = {"PYNET_STATE_DIR": state_dir, "PYNET_SOCKET": socket, "PYNET_DAEMON": daemon}
    # In the environment, because the plugins we execute must see the same.
    os.environ.update({name: value for name, value in given.items() if value})


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The console script."""
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command line (this process's, where none is given); its exit status."""
    try:
        status = pynet.main(arguments, prog_name="pynet", standalone_mode=False)
        sys.stdout.flush()
        return status if isinstance(status, int) else 0
    except Exception as error:
        return _end_with(error)
    except KeyboardInterrupt:
        return INTERRUPTED


def _end_with(error: Exception) -> int:
    from ..model.errors import CniError

    if isinstance(error, click.UsageError):
        return _wrong_usage(error)
    if isinstance(error, click.ClickException):
        return _complain(error.format_message(), error.exit_code)
    if isinstance(error, click.Abort):
        return INTERRUPTED
    if isinstance(error, BrokenPipeError):
        # Whoever read our output has seen enough; Python's last flush must not complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return FAILED
    if isinstance(error, CniError | OSError | ExceptionGroup):
        return _complain(describe(error), FAILED)
    where = _place(error)
    return _complain(f"internal error: {type(error).__name__}: {error} ({where})", FAILED)


def describe(error: BaseException) -> str:
    """What went wrong, in one line; a group names every member."""
    from ..model.errors import CniError

    if isinstance(error, BaseExceptionGroup):
        said = "; ".join(describe(member) for member in error.exceptions)
    elif isinstance(error, CniError):
        # Details are for machines where they are JSON; else they say more of the same.
        more = error.details if error.details[:1] not in ("[", "{") else ""
        said = error.msg if not more or more in error.msg else f"{error.msg} ({more})"
    elif isinstance(error, OSError) and error.strerror and error.filename:
        said = f"{error.filename}: {error.strerror}"
    else:
        said = str(error)
    return "; ".join([said, *getattr(error, "__notes__", ())])


def _wrong_usage(error: click.UsageError) -> int:
    if isinstance(error, getattr(click.exceptions, "NoArgsIsHelpError", ())):
        error.show()  # its message is the help
        return USAGE
    path = error.ctx.command_path if error.ctx else "pynet"
    message = error.format_message().rstrip(".")
    return _complain(f"{message}; see {path} --help", USAGE)


def _complain(message: str, status: int) -> int:
    line = " ".join(message.split())
    click.echo(f"pynet: {line}", err=True)
    return status


def _place(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return "nowhere"
    code = trace.tb_frame.f_code
    return f"{os.path.basename(code.co_filename)}:{trace.tb_lineno}"  # noqa: PTH119
