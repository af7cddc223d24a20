"""How ids, times and commands are written in messages: short, as a date, and as a shell reads them.

A message that advises a command has it from here: names hold spaces, brackets, whatever people
chose, and what is copied into a shell has to be what was meant.
"""

from __future__ import annotations

import os
import re
import time

_DIGEST = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{52}\b")


def short_id(container: str) -> str:
    """A runtime's id of 64 hexadecimal digits as its first twelve; any other as it is."""
    return _DIGEST.sub(r"\1", container) if len(container) == 64 else container


def shortened(text: str) -> str:
    """The same for each that stands in `text`."""
    return _DIGEST.sub(r"\1", text)


def minute(seconds: float) -> str:
    """Seconds since 1970 as local time, such as "2026-11-28 14:02"."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


def moment(seconds: float) -> str:
    """The same with seconds and the zone, such as "2026-11-28 14:02:31 CET"."""
    return time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(seconds))


def command(*words: str) -> str:
    """A command line in backquotes, as messages have it; in `words` a container's id is whole.

    A word in capitals, such as CONTAINER, is for the reader to replace.
    """
    return f"`{command_line(*words)}`"


def command_line(*words: str) -> str:
    """The same without backquotes: a shell (bash, zsh, ksh) reads these very words."""
    return " ".join(map(_quoted, words))


def set_up(name: str, netns: str = "") -> str:
    """The command for an interface of somebody else's, which pynet leaves as it is.

    `netns` is the path of the namespace that it is in, "" where it is on the host.
    """
    inside = ("nsenter", f"--net={netns}") if netns else ()
    return command_line(*inside, "ip", "link", "set", name, "up")


def _quoted(word: str) -> str:
    from shlex import quote

    if word.isprintable() and "`" not in word:
        return quote(word)
    # In quotes it would be written out for the terminal's sake, and be another word.
    return "$'" + "".join(map(_escaped, word)) + "'"


def _escaped(character: str) -> str:
    if character.isprintable() and character not in "`'\\":
        return character
    return "".join(f"\\x{byte:02x}" for byte in os.fsencode(character))
