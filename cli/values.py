"""What can't be a value of an option, whatever this host has: said before anything is done.

Such a value is wrong usage. One that this host or a network refuses (an address outside its
subnets, a name that nothing has) is a failure.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from ..cni.addresses import is_address, is_cidr
from ..cni.names import interface_problem, name_problem

Value = TypeVar("Value")
Callback = Callable[[click.Context, click.Parameter, Value], Value]

_LONGEST_SOCKET = 107
"""Bytes of a unix socket's path, less the final NUL: unix(7)."""
_LONGEST_NETWORK = 128
"""A file name has 255 bytes: that of a result has the network's name, a container's id of 64, and
an interface's name in it.
"""


def checked(problem_of: Callable[[Any], str]) -> Callback[Any]:
    """A callback that refuses what `problem_of` says something of: the value, or each of several.

    An option that was not given has none.
    """

    def callback(ctx: click.Context, parameter: click.Parameter, value: Any) -> Any:
        values = value if isinstance(value, tuple) else (value,)
        for one in values:
            if one is not None and (problem := problem_of(one)):
                raise click.BadParameter(f"{str(one)!r} {problem}", ctx, parameter)
        return value

    return callback


def noun_problem(text: str) -> str:
    return "" if text else "is empty"


def new_network_problem(text: str) -> str:
    """Of a network that is to be made: its name is a part of file names."""
    longer = len(text) > _LONGEST_NETWORK
    return name_problem(text) or (f"is longer than {_LONGEST_NETWORK} letters" if longer else "")


def address_problem(text: str) -> str:
    """Of an address, which may have its prefix length."""
    return "" if is_address(text) or is_cidr(text) else "is not an IP address"


def mac_problem(text: str) -> str:
    from ..model.errors import ConfigError
    from ..plugins.mac import unicast_mac

    try:
        known = unicast_mac(text)
    except ConfigError:
        known = ""
    return "" if known else "is not a unicast MAC address (six bytes as in 02:..)"


PUBLISHED = re.compile(
    r"((?P<ip>[0-9.]+|\[[0-9a-fA-F:.]+\]):)?(?P<host>\d{1,5}):(?P<port>\d{1,5})(/(?P<protocol>\w+))?",
    re.ASCII,
)
"""A port of the host that leads to one of a container: [IP:]PORT:PORT[/PROTO]."""


def published_problem(text: str) -> str:
    from ..plugins.portmap_config import MAX_PORT, PROTOCOLS

    found = PUBLISHED.fullmatch(text)
    if found is None or (found["ip"] and not is_address(found["ip"].strip("[]"))):
        return "is not HOST-PORT:PORT, such as 8080:80, 127.0.0.1:8080:80 or 53:53/udp"
    if not all(1 <= int(found[side]) <= MAX_PORT for side in ("host", "port")):
        return f"has a port that is not within 1..{MAX_PORT}"
    if (found["protocol"] or "tcp").lower() not in PROTOCOLS:
        return f"has a protocol that is none of {', '.join(PROTOCOLS)}"
    return ""


def socket_problem(path: str | Path) -> str:
    length = len(os.fsencode(Path(path).absolute()))
    return f"is a path longer than {_LONGEST_SOCKET} bytes" if length > _LONGEST_SOCKET else ""


interface = checked(interface_problem)
name = checked(name_problem)
new_network = checked(new_network_problem)
noun = checked(noun_problem)
address = checked(address_problem)
mac = checked(mac_problem)
published = checked(published_problem)
socket = checked(socket_problem)
