"""Which version of the protocol a call speaks, and what each version allows.

CNI spec 1.1.0, "Version considerations". A version is supported when it is listed:
there is no logic of ranges, "0.5.0" never existed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..model.errors import ConfigError, DecodingError, IncompatibleVersion
from ..model.request import Command
from .keys import get, shown

SUPPORTED = ("0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0")
CURRENT = SUPPORTED[-1]
DEFAULT = "0.1.0"
"""What a configuration without `cniVersion` means, to the reference's libraries."""

_ONE_ADDRESS_A_FAMILY = ("0.1.0", "0.2.0")
"""Their results have `ip4` and `ip6`, and no list."""

_SINCE = {Command.CHECK: "0.4.0", Command.GC: "1.1.0", Command.STATUS: "1.1.0"}
_GRAMMAR = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9}){0,2}", re.ASCII)


def parse(text: str) -> tuple[int, int, int]:
    """A version as numbers that compare. Raises ValueError."""
    if not _GRAMMAR.fullmatch(text):
        raise ValueError(f"{text!r} is not a version such as {CURRENT!r}")
    numbers = [int(part) for part in text.split(".")]
    major, minor, micro = (*numbers, 0, 0)[:3]
    return major, minor, micro


def of_config(config: Mapping[str, Any]) -> str:
    """The version a configuration asks for.

    Raises `DecodingError` where it is no string: code 6 is for "failed to decode version
    info from string" too (CNI spec 1.1.0, "Error").
    """
    version = get(config, "cniVersion")
    if version is None or version == "":
        return DEFAULT
    if not isinstance(version, str):
        raise DecodingError(f"cniVersion: {shown(version)} is not a string")
    return version


def check(command: Command, version: str, versions: Sequence[str]) -> None:
    """Raises `IncompatibleVersion` where a plugin of `versions` can't do this in `version`."""
    if version not in versions:
        raise IncompatibleVersion(
            "incompatible CNI versions",
            details=f"config is {shown(version)}, plugin supports {', '.join(versions)}",
        )
    since = _SINCE.get(command)
    if since and parse(version) < parse(since):
        raise IncompatibleVersion(
            f"config version does not allow {command}",
            details=f"config is {shown(version)}, {command} exists since {since}",
        )


def negotiated(config: Mapping[str, Any]) -> str:
    """The version of a configuration list: the highest we speak of `cniVersions` and `cniVersion`.

    As libcni does it: higher versions are passed over, a malformed entry is an error, and
    where nothing is left `cniVersion` stands as it is. Raises `DecodingError`.
    """
    version = of_config(config)
    offered = config.get("cniVersions")
    if offered is None:
        return version
    if not isinstance(offered, list):
        raise DecodingError(f"cniVersions: {shown(offered)} is not a list")
    if config.get("cniVersion"):
        offered = [*offered, version]
    usable = [entry for entry in offered if _parse_offered(entry) <= parse(CURRENT)]
    return max(usable, key=parse, default=version)


def _parse_offered(entry: Any) -> tuple[int, int, int]:
    try:
        return parse(entry)
    except (TypeError, ValueError):
        raise DecodingError(f"cniVersions: {shown(entry)} is not a version") from None


def document(versions: Sequence[str], asked: Any) -> dict[str, Any]:
    """What VERSION answers.

    CNI spec 1.1.0, "VERSION": "cniVersion: The value of cniVersion specified on input".
    The reference ignores its input, so nothing there may be an error.
    """
    echo = isinstance(asked, str) and _GRAMMAR.fullmatch(asked)
    return {"cniVersion": asked if echo else versions[-1], "supportedVersions": list(versions)}


def supported_by(reply: Mapping[str, Any]) -> tuple[str, ...]:
    """The versions of a plugin that answered VERSION with `reply`.

    With the reference's rules for plugins older than the command. Raises `DecodingError`.
    """
    listed = get(reply, "supportedVersions")
    if isinstance(listed, list) and listed and all(isinstance(one, str) for one in listed):
        return tuple(listed)
    if not listed and get(reply, "msg") == "unknown CNI_COMMAND: VERSION":
        return ("0.1.0",)
    if not listed and get(reply, "code") is None and get(reply, "cniVersion") == "0.2.0":
        return ("0.1.0", "0.2.0")
    raise DecodingError(f"the answer to VERSION names no supportedVersions: {shown(dict(reply))}")


def refuse_two_of_a_family(version: str, families: Sequence[int], where: str) -> None:
    """Raises `ConfigError` naming the key `where`, for addresses a result could not tell of."""
    for family in (4, 6):
        if version in _ONE_ADDRESS_A_FAMILY and families.count(family) > 1:
            raise ConfigError(
                f"{where}: CNI version {version} does not support more than one IPv{family} address"
            )
