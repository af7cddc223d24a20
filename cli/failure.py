"""What an error is to whoever called: one line for people, one document under `--json`."""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import click

from ..model.errors import CniError, Code
from ..model.shown import shortened

SCHEMA = "error/1"
_REMEDY = re.compile(r"`((?:pynet|ip|nft) [^`]+|[^` ]+ -m pip [^`]+)`")
"""Commands stand in backquotes; others are those of which something failed."""


class Findings(click.ClickException):
    """Several things that are wrong with what was given, each a line that says itself where."""

    exit_code = 2

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = list(lines)


@dataclass(frozen=True)
class Failure:
    """`code` is CNI's, None where it has none for that; `hint` the command that helps.

    `details` are for programs: of any shape, None where there are none.
    """

    message: str
    code: int | None = None
    details: Any = None
    hint: str | None = None

    def to_json(self) -> dict[str, Any]:
        """As it stands in schema pynet.error/1, and as `error` in the documents of commands."""
        return {
            "code": self.code,
            "message": self.message,
            "details": self.details,
            "hint": self.hint,
        }


def failure(error: BaseException) -> Failure:
    """`error` for a program; a group's members are its details."""
    message = _in_one_line(_said(error, told_apart=True))
    if isinstance(error, BaseExceptionGroup):
        members = [failure(member) for member in error.exceptions]
        details: Any = [member.to_json() for member in members]
        return Failure(message, members[0].code, details, _hint(message))
    if isinstance(error, click.UsageError):
        return Failure(message, hint=f"{_path(error)} --help")
    if isinstance(error, Findings):
        return Failure(message, details=error.lines)
    code = _code(error)
    details = _decoded(error.details) if isinstance(error, CniError) else None
    return Failure(message, code, details, _hint(message))


def line(error: BaseException) -> str:
    """`error` for people: ids are as short as `inspect` shows them."""
    said = _said(error)
    if isinstance(error, click.UsageError):
        said = f"{said}; see {_path(error)} --help"
    return shortened(_in_one_line(said))


def advise(error: BaseException) -> None:
    """Where a user may not do what a command does, say who may."""
    if os.geteuid() != 0 and _is_forbidden(error) and _ROOT not in _said(error):
        error.add_note(_ROOT)


_ROOT = "run this as root"
_REFUSALS = ("needs CAP_", "Operation not permitted", "Permission denied")
"""In the words of a plugin, whose answer has no errno."""


def _is_forbidden(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return any(map(_is_forbidden, error.exceptions))
    if getattr(error, "errno", 0) in (errno.EPERM, errno.EACCES):
        return True
    return isinstance(error, CniError) and any(words in _said(error) for words in _REFUSALS)


def _said(error: BaseException, *, told_apart: bool = False) -> str:
    """What went wrong; a group names every member, each reason once.

    An error's details are left out where they are `told_apart`.
    """
    if isinstance(error, BaseExceptionGroup):
        members = (_said(member, told_apart=told_apart) for member in error.exceptions)
        said = "; ".join(dict.fromkeys(members))
    elif isinstance(error, CniError):
        # Details are for machines where they are JSON; else they say more of the same.
        more = "" if told_apart or error.details[:1] in ("[", "{") else error.details
        said = error.msg if not more or more in error.msg else f"{error.msg} ({more})"
    elif isinstance(error, click.UsageError):
        said = error.format_message().rstrip(".")
    elif isinstance(error, click.ClickException):
        said = error.format_message()
    elif isinstance(error, OSError) and error.strerror and error.filename:
        said = f"{error.filename}: {error.strerror}"
    else:
        said = str(error)
    return "; ".join([said, *getattr(error, "__notes__", ())])


def _code(error: BaseException) -> int | None:
    if isinstance(error, CniError):
        return int(getattr(error, "plugin_code", error.code))
    if isinstance(error, OSError):
        return int(Code.IO_FAILURE)
    return None if isinstance(error, click.ClickException) else int(Code.INTERNAL)


def _decoded(details: str) -> Any:
    try:
        return json.loads(details) if details[:1] in ("[", "{") else details or None
    except (ValueError, RecursionError):
        return details


def _hint(message: str) -> str | None:
    """The command that a message advises; of several the last."""
    commands = _REMEDY.findall(message)
    return commands[-1] if commands else None


def _path(error: click.UsageError) -> str:
    return error.ctx.command_path if error.ctx else "pynet"


def _in_one_line(text: str) -> str:
    return " ".join(text.split())
