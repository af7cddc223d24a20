"""The frames between launcher and daemon: bytes to values and back, no I/O.

The same layout stands at the top of launcher/daemon.c; integers are little-endian:

    0  4  magic "pynt"
    4  2  protocol version
    6  2  kind: 1 request, 3 declined, 4 reply
    8  4  length of the body, at most 16 MiB

    request   u32 length of the plugin's name, u32 of the environment, u32 of stdin;
              then these three; the environment is NAME=VALUE entries, each ended by NUL
    declined  the reason, UTF-8
    reply     u32 exit status; then stdout

With a request's first byte go its descriptors (SCM_RIGHTS): the caller's network, mount
and user namespace, its root directory, the state directory, a pipe to stderr, the token
(token.py), and CNI_NETNS if it could be opened. That a request is accepted is not said: the
token is gone.

The header and `declined` stay as they are in every later version of the protocol: a
launcher must understand the refusal of a daemon of another version.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from struct import Struct
from typing import NamedTuple

MAGIC = b"pynt"
VERSION = 3
LIMIT = 16 << 20
"""The largest body, in bytes."""
DESCRIPTORS = 7
"""How many descriptors every request carries; CNI_NETNS may be one more."""

REQUEST, DECLINED, REPLY = 1, 3, 4
_KINDS = (REQUEST, DECLINED, REPLY)

_HEADER = Struct("<4sHHI")
_LENGTHS = Struct("<III")
_STATUS = Struct("<I")
HEADER_SIZE = _HEADER.size


class Malformed(Exception):
    """These bytes are no frame of ours, or one larger than `LIMIT`."""


class OtherVersion(Exception):
    """A frame of another version of the protocol: the peer's package is older or newer."""

    def __init__(self, version: int) -> None:
        super().__init__(
            f"the peer speaks version {version} of the launcher's protocol, this is {VERSION}: "
            "run `pynet install` again, or restart pynetd"
        )
        self.is_later = version > VERSION


class Request(NamedTuple):
    plugin: str
    environ: dict[str, str]
    stdin: bytes


class Reply(NamedTuple):
    status: int
    stdout: bytes


def _frame(kind: int, body: bytes) -> bytes:
    if len(body) > LIMIT:
        raise Malformed(f"a frame of {len(body)} bytes; {LIMIT} is the most")
    return _HEADER.pack(MAGIC, VERSION, kind, len(body)) + body


def header(data: bytes) -> tuple[int, int]:
    """The kind and the length of the body that a frame's first `HEADER_SIZE` bytes announce.

    Raises `Malformed`, `OtherVersion`.
    """
    if len(data) < HEADER_SIZE:
        raise Malformed("a frame's header is not whole")
    magic, version, kind, length = _HEADER.unpack_from(data)
    if magic != MAGIC:
        raise Malformed("this is not the launcher's protocol")
    if version != VERSION:
        raise OtherVersion(version)
    if kind not in _KINDS:
        raise Malformed(f"there is no frame of kind {kind}")
    if length > LIMIT:
        raise Malformed(f"a frame of {length} bytes; {LIMIT} is the most")
    return kind, length


def encode_request(plugin: str, environ: Mapping[str, str], stdin: bytes) -> bytes:
    """Raises `Malformed` where it would be larger than `LIMIT`."""
    name = os.fsencode(plugin)
    variables = b"".join(os.fsencode(f"{key}={value}\0") for key, value in environ.items())
    lengths = _LENGTHS.pack(len(name), len(variables), len(stdin))
    return _frame(REQUEST, lengths + name + variables + stdin)


def decode_request(body: bytes) -> Request:
    """Raises `Malformed`. Entries without "=" are dropped; of two of a name the first counts."""
    if len(body) < _LENGTHS.size:
        raise Malformed("a request's lengths are not whole")
    name, variables, stdin = _LENGTHS.unpack_from(body)
    if _LENGTHS.size + name + variables + stdin != len(body):
        raise Malformed("a request's lengths do not add up to its size")
    environ_at = _LENGTHS.size + name
    stdin_at = environ_at + variables
    return Request(
        os.fsdecode(body[_LENGTHS.size : environ_at]),
        _environ(os.fsdecode(body[environ_at:stdin_at])),
        body[stdin_at:],
    )


def _environ(text: str) -> dict[str, str]:
    # getenv() finds the first of two entries: reversed, the first is the one that stays.
    pairs = [entry.partition("=") for entry in reversed(text.split("\0"))]
    return {key: value for key, equals, value in pairs if equals}


def declined(reason: str) -> bytes:
    return _frame(DECLINED, reason.encode("utf-8", "replace"))


def encode_reply(status: int, stdout: bytes) -> bytes:
    """Raises `Malformed` where it would be larger than `LIMIT`."""
    return _frame(REPLY, _STATUS.pack(status) + stdout)


def decode_reply(body: bytes) -> Reply:
    """Raises `Malformed`."""
    if len(body) < _STATUS.size:
        raise Malformed("a reply's status is not whole")
    (status,) = _STATUS.unpack_from(body)
    return Reply(status, body[_STATUS.size :])
