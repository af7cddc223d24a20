"""The CNI_* environment: which command needs which variable, and what each may hold.

CNI spec 1.1.0, "Parameters". Variables are looked at in the order of `_VARIABLES`; the
first invalid value is the error, then all missing ones together. A variable that a
command has no use for is not looked at: runtimes pass dummies with VERSION.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from msgspec import field

from ..model.errors import InvalidEnvironment
from ..model.request import Command
from ..model.value import Value
from .names import interface_problem, name_problem

_COMMANDS = {str(command): command for command in Command}
_ATTACHING = frozenset({Command.ADD, Command.CHECK, Command.DEL})


class Environment(Value):
    """What the variables said; "" or empty where a command has no use for one."""

    command: Command
    container: str = ""
    netns: str = ""
    interface: str = ""
    args: Mapping[str, str] = field(default_factory=dict)
    path: tuple[str, ...] = ()


def command_of(environ: Mapping[str, str]) -> Command | None:
    """CNI_COMMAND, None where it is absent or empty.

    Without a command the reference prints what it is on stderr and exits 0: nobody
    means to run a plugin by hand. Raises `InvalidEnvironment` for an unknown command.
    """
    text = environ.get("CNI_COMMAND", "")
    if not text:
        return None
    command = _COMMANDS.get(text)
    if command is None:
        raise InvalidEnvironment(
            f"unknown CNI_COMMAND: {text if text.isprintable() else repr(text)}",
            details=f"known commands are {', '.join(_COMMANDS)}",
        )
    return command


def parse(environ: Mapping[str, str], *, reads_args: bool = True) -> Environment:
    """Raises `InvalidEnvironment` naming the variable that is wrong, or all that are missing.

    What can't be read of CNI_ARGS is no error for a plugin that does not look at it.
    """
    command = command_of(environ)
    lenient = command is Command.DEL or not reads_args
    missing = [] if command else ["CNI_COMMAND"]
    values = {}
    for variable, used_by, required_by, problem_of in _VARIABLES:
        if command not in used_by:
            continue
        value = values[variable] = environ.get(variable, "")
        if not value:
            if command in required_by:
                missing.append(variable)
        elif variable == "CNI_ARGS" and lenient:
            continue
        elif problem := (not value.isascii() and _not_text(value)) or problem_of(value):
            raise InvalidEnvironment(f"{variable}: {value!r} {problem}", details=variable)
    args = _pairs(values.get("CNI_ARGS", ""), lenient=lenient)
    if command is None or missing:
        raise InvalidEnvironment(f"required env variables [{','.join(missing)}] missing")
    return Environment(
        command,
        values.get("CNI_CONTAINERID", ""),
        values.get("CNI_NETNS", ""),
        values.get("CNI_IFNAME", ""),
        args,
        tuple(filter(None, values.get("CNI_PATH", "").split(":"))),
    )


def parse_args(text: str) -> dict[str, str]:
    """CNI_ARGS: `K=V;K2=V2`. Raises `InvalidEnvironment` for anything else.

    A value can't hold `=`: the reference refuses it, and nobody could tell what was meant.
    """
    return _pairs(text, lenient=False)


def refuse_unknown(args: Mapping[str, str], known: Collection[str]) -> None:
    """For a plugin that reads CNI_ARGS: keys it does not know are an error.

    Unless IgnoreUnknown is set, as in the reference (keys are matched with regard to
    case). Raises `InvalidEnvironment`.
    """
    if args.get("IgnoreUnknown", "").lower() in ("1", "true"):
        return
    strangers = sorted(args.keys() - {*known, "IgnoreUnknown"})
    if strangers:
        raise InvalidEnvironment(
            f"CNI_ARGS: unknown args {', '.join(strangers)}; IgnoreUnknown=1 passes over them",
            details="CNI_ARGS",
        )


ADDRESSING = frozenset({"IP", "GATEWAY", "MAC"})
"""What a main plugin and its IPAM know between them: both are given the same arguments."""


def own_namespace_allowed(environ: Mapping[str, str]) -> bool:
    """CNI_NETNS_OVERRIDE: CNI_NETNS may be the plugin's own namespace (not in the spec)."""
    return environ.get("CNI_NETNS_OVERRIDE", "").upper() in ("1", "TRUE")


def _pairs(text: str, *, lenient: bool) -> dict[str, str]:
    """With `lenient` what can't be read is passed over, as for a DEL, which must clean up."""
    args = {}
    for pair in filter(None, text.split(";")):
        key, equals, value = pair.partition("=")
        if key and equals and "=" not in value:
            args[key] = value
        elif not lenient:
            raise InvalidEnvironment(
                f"CNI_ARGS: invalid pair {pair!r}; it must be KEY=VALUE, with one '='",
                details="CNI_ARGS",
            )
    return args


def _not_text(value: str) -> str:
    """Bytes that are not UTF-8 stand in an environment as half surrogate pairs (PEP 383).

    No name in a record, a rule or a result can hold them.
    """
    try:
        value.encode()
    except UnicodeEncodeError:
        return "is not UTF-8"
    return ""


def _anything(value: str) -> str:
    return "holds a NUL character" if "\0" in value else ""


_VARIABLES: tuple[tuple[str, frozenset[Command], frozenset[Command], Callable[[str], str]], ...] = (
    # variable, used by, required by, what is wrong with a value
    ("CNI_CONTAINERID", _ATTACHING, _ATTACHING, name_problem),
    ("CNI_NETNS", _ATTACHING, _ATTACHING - {Command.DEL}, _anything),
    ("CNI_IFNAME", _ATTACHING, _ATTACHING, interface_problem),
    ("CNI_ARGS", _ATTACHING, frozenset(), _anything),
    # Optional in the spec but for GC, required throughout in the reference. Only delegation
    # needs it, and says so when it finds no plugin.
    ("CNI_PATH", frozenset(Command) - {Command.VERSION}, frozenset(), _anything),
)
