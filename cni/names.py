"""The grammar of every name the protocol carries.

Each function says what is wrong with a name, "" where nothing is. Names end up in
paths, rules and netlink messages, so the kernel's own limits hold here too.
"""

from __future__ import annotations

import re

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.\-]*")
_INTERFACE_BYTES = 15  # IFNAMSIZ less the final NUL
# Unicode's White_Space property. str.isspace() is wider: it has U+001C to U+001F too.
_SPACE = frozenset(
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009"
    "\u200a\u2028\u2029\u202f\u205f\u3000"
)


def name_problem(name: str) -> str:
    """For container ids and network names.

    CNI spec 1.1.0, "Section 1" and "Parameters": "Must start with an alphanumeric
    character, optionally followed by any combination of one or more alphanumeric
    characters, underscore (), dot (.) or hyphen (-)."
    """
    if _NAME.fullmatch(name):
        return ""
    if not name:
        return "is empty"
    return "must start with a letter or digit and hold only letters, digits, '_', '.' and '-'"


def interface_problem(name: str) -> str:
    """For CNI_IFNAME: the reference's rules, and two of the kernel's (dev_valid_name, '%')."""
    if not name:
        return "is empty"
    raw = name.encode("utf-8", "surrogatepass")
    if len(raw) > _INTERFACE_BYTES:
        return f"is longer than {_INTERFACE_BYTES} bytes"
    if name in (".", ".."):
        return "is a directory's name"
    for character in "/:\0":
        if character in name:
            return f"holds {character!r}"
    # The kernel looks for spaces byte by byte, as Latin-1: it refuses 0xa0 inside a letter.
    if not _SPACE.isdisjoint(name) or b"\xa0" in raw:
        return "holds a space, or a byte that is one to the kernel"
    if "%" in name:
        return "holds '%', which the kernel would replace by a number"
    return ""


def type_problem(name: str) -> str:
    """For the `type` of a plugin: the name of a file in CNI_PATH, never a path."""
    if not name:
        return "is empty"
    if "/" in name or "\0" in name or name in (".", ".."):
        return "is not the plain name of an executable"
    return ""
