"""`pynet`: the table of its commands, the options all of them share, and where errors end.

No traceback reaches a user: whatever a command raises becomes one line on stderr here, or, where
`--json` was asked for, one document on stdout.
Their exit statuses stand in `EPILOG`.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from .. import __version__
from .lazy import Form, LazyGroup

COMMANDS = {
    "attach": (".attach:attach", "Connect a container to a network."),
    "detach": (".attach:detach", "Disconnect a container from a network."),
    "inspect": (
        ".inspect.command:inspect",
        "Show what is connected, how, and whether it is as it should.",
    ),
    "status": (".status:status", "Say whether this host is ready to connect containers."),
    "network": (".network.group:network", "Make, list, show, check and remove networks."),
    "cni": (".cni.attachment:cni", "Run a network's plugins, as a container runtime does."),
    "install": (".install.command:install", "Put the plugins where runtimes look for them."),
    "uninstall": (
        ".uninstall.command:uninstall",
        "Take the plugins away and put back what was there.",
    ),
    "reload": (".reload:reload", "Put back what others have deleted of the host's rules."),
    "daemon": (".daemon:daemon", "Run pynetd in the foreground."),
    "agent": (".agent:agent", "Run pynet-agent in the foreground."),
    "conformance": (
        ".conformance:conformance",
        "Ask plugins, anybody's, what the CNI specification asks of them.",
    ),
    "testnet": (".testnet.group:testnet", "Labs of hosts and containers, from topology files."),
    "completion": (".completion:completion", "Print the completion script of a shell."),
}

_STATELESS = {"install", "uninstall", "testnet", "completion"}
"""Those that have no records to look for, or see to each installation's by themselves."""

_LOOKING = {"inspect", "status", "reload", "detach"}
"""Those that find nothing in a state directory that is not there; others make it."""

FAILED, USAGE, INTERRUPTED = 1, 2, 130
COMPLETING = "_PYNET_COMPLETE"
"""What the shells' scripts have in the environment of their questions."""

EPILOG = """\
\b
A first try, without a container runtime:
  ip netns add c1
  pynet network create web
  pynet attach c1 web
  pynet inspect

\b
Exit status of all commands:
  0    all is well
  1    something was found, or has failed
  2    wrong usage: a command line that can be right on no host
  130  interrupted
"""


def _socket(ctx: click.Context, parameter: click.Parameter, path: str | None) -> str | None:
    if path:
        from . import values

        values.socket(ctx, parameter, path)
    return path


@click.group(
    cls=LazyGroup,
    table=COMMANDS,
    epilog=EPILOG,
    # All commands below inherit it.
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option("--state-dir", metavar="DIR", help="Where the state is (PYNET_STATE_DIR).")
@click.option(
    "--socket",
    metavar="PATH",
    callback=_socket,
    help="Where the daemon listens (PYNET_SOCKET).",
)
@click.option(
    "--daemon",
    type=click.Choice(["auto", "never", "require"]),
    help="Whether plugins may use, and leave behind, a daemon (PYNET_DAEMON).",
)
@click.version_option(__version__, prog_name="pynet", message="%(prog)s %(version)s")
@click.pass_context
def pynet(
    ctx: click.Context, state_dir: str | None, socket: str | None, daemon: str | None
) -> None:
    """The network of this host's containers: connect, show, explain."""
    given = {"PYNET_STATE_DIR": state_dir, "PYNET_SOCKET": socket, "PYNET_DAEMON": daemon}
    # In the environment, because the plugins we execute must see the same.
    os.environ.update({name: value for name, value in given.items() if value})
    if state_dir and ctx.invoked_subcommand in _LOOKING and not os.path.isdir(state_dir):  # noqa: PTH112
        raise click.UsageError(f"--state-dir: there is no directory {state_dir}", ctx)
    if ctx.invoked_subcommand not in _STATELESS:
        from .install import in_force

        in_force.take()


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The console script."""
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command line (this process's, where none is given); its exit status."""
    _open_standard_streams()
    words = sys.argv[1:] if arguments is None else list(arguments)
    form = Form()
    try:
        if COMPLETING in os.environ:
            from .install import in_force

            in_force.take(quiet=True)
        found = pynet.main(
            words, prog_name="pynet", complete_var=COMPLETING, standalone_mode=False, obj=form
        )
        status = found if isinstance(found, int) else 0
    except Exception as error:
        if COMPLETING in os.environ:
            return FAILED  # in the middle of a line that is being typed
        if isinstance(error, click.UsageError):
            error = _placed(error, words)
        # A line that is wrong was not read to its end.
        wrong = isinstance(error, click.UsageError) and "--json" in words
        status = _end_with(error, as_json=form.as_json or wrong)
    except KeyboardInterrupt:
        status = INTERRUPTED
    return status if _is_written() else status or FAILED


def _placed(error: click.UsageError, words: Sequence[str]) -> click.UsageError:
    """The same with the command that it is about, which click's parser does not tell."""
    at = click.Context(pynet, info_name="pynet")
    for word in words:
        command = at.command
        if isinstance(command, click.Group) and word in command.list_commands(at):
            below = command.get_command(at, word)
            at = click.Context(below, info_name=word, parent=at) if below else at
    if isinstance(error, click.NoSuchOption) and error.option_name == "--json":
        path = at.command_path if at.parent else "pynet inspect"
        if not (isinstance(at.command, click.Group) or _has_json(at.command)):
            return click.UsageError(f"{path} has no --json", at)
        return click.UsageError(f"--json stands after the command: {path} --json", at)
    error.ctx = error.ctx or at
    return error


def _has_json(command: click.Command) -> bool:
    return any("--json" in parameter.opts for parameter in command.params)


def _open_standard_streams() -> None:
    """What its encoding lacks is written out. One that was closed is closed no more.

    A file that we open would be in its place, and be written to. What is printed to stdout is
    refused there, as by the kernel; whoever has closed stderr does not want to hear.
    """
    for number, flags in enumerate((os.O_RDONLY, os.O_RDONLY, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, flags), True)  # it is the lowest that is free
    for number, name in ((1, "stdout"), (2, "stderr")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w"))  # noqa: PTH123, SIM115  # as long as we live
        if isinstance(stream := getattr(sys, name), io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _is_written() -> bool:
    """Whether all output found its way; where it did not, that is said, unless nobody listens."""
    try:
        sys.stdout.flush()
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            _write_no_more(1)
        else:
            _unwritten(error)
        return False
    return True


_UNWRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF}
"""What a write to a file, to a terminal that is gone, or to what was closed is refused with."""


def _write_no_more(descriptor: int) -> None:
    """The next flush, of ours or Python's last, must not try once more, and complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)


def _unwritten(error: OSError) -> int:
    _write_no_more(1)
    why = "it was closed" if error.errno == errno.EBADF else error.strerror
    return _complain(f"the output can't be written: {why}", FAILED)


def _end_with(error: Exception, *, as_json: bool) -> int:
    """Say what was wrong, and answer the exit status."""
    if isinstance(error, click.Abort):
        return INTERRUPTED
    if isinstance(error, BrokenPipeError):
        return FAILED  # whoever read our output has seen enough
    if isinstance(error, OSError) and error.filename is None and error.errno in _UNWRITABLE:
        return _unwritten(error)
    from . import failure

    if not as_json and isinstance(error, getattr(click.exceptions, "NoArgsIsHelpError", ())):
        assert isinstance(error, click.ClickException)
        error.show()  # its message is the help
        return USAGE
    failure.advise(error)
    status = error.exit_code if isinstance(error, click.ClickException) else FAILED
    told = _told(error)
    if as_json:
        from .output import print_json

        print_json(failure.SCHEMA, failure.failure(told).to_json())
        return status
    if isinstance(error, failure.Findings):
        with contextlib.suppress(OSError):
            from .output import say

            for each in error.lines:
                say(each, err=True)
        return status
    return _complain(failure.line(told), status)


def _told(error: Exception) -> Exception:
    """`error`, or, where it is a mistake of ours, one that says so."""
    from ..model.errors import CniError

    if isinstance(error, click.ClickException | CniError | OSError | ExceptionGroup):
        return error
    return CniError(f"internal error: {type(error).__name__}: {error} ({_place(error)})")


def _complain(message: str, status: int) -> int:
    from .output import say

    try:
        say(f"pynet: {message}", err=True)
    except OSError:  # nobody hears it, but the status tells
        _write_no_more(2)
    return status


def _place(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return "nowhere"
    code = trace.tb_frame.f_code
    return f"{os.path.basename(code.co_filename)}:{trace.tb_lineno}"  # noqa: PTH119
