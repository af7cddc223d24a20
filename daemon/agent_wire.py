"""What the agent is asked, and what it answers: JSON documents to bytes and back, no I/O.

One question a connection: a document in one line, with its descriptors (SCM_RIGHTS) at its first
byte, and one line back. `look` has no answer. That the agent reads from the store what it is asked
for keeps the questions small:

    {"v": 1, "op": "lease" | "release", "keeper", "record", "claim", "key", "seconds"}
    {"v": 1, "op": "about" | "look" | "stop"}
    {"v": 1, "answer": ...} or {"v": 1, "error": {"code", "msg", "details", "asked"}}

`asked` is false where no service was: there is nothing to give back.
"""

from __future__ import annotations

import json
from typing import Any

from ..model.errors import AgentMissing, CniError, Code, TryLater

VERSION = 1
LIMIT = 1 << 20
"""The longest line, in bytes."""
HOST, SANDBOX = range(2)
"""Which of a lease's descriptors is which; the sandbox's may be missing."""


class Malformed(Exception):
    """This line is none of ours."""


def line(**fields: Any) -> bytes:
    return json.dumps({"v": VERSION, **fields}).encode() + b"\n"


def failure(error: CniError) -> bytes:
    return line(
        error={
            "code": int(error.code),
            "msg": error.msg,
            "details": error.details,
            "asked": not isinstance(error, AgentMissing),
        }
    )


def read(data: bytes) -> dict[str, Any]:
    """Raises `Malformed`."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"no JSON: {error}") from error
    if not isinstance(document, dict):
        raise Malformed("no JSON object")
    if document.get("v") != VERSION:
        raise Malformed(
            f"version {document.get('v')} of the agent's protocol, this is {VERSION}: "
            "restart the agent, or pynetd"
        )
    return document


def answer(data: bytes) -> Any:
    """What was answered. Raises the `CniError` that was, `TryLater` for what is no answer."""
    try:
        document = read(data)
        if "answer" in document:
            return document["answer"]
        said = document["error"]
        kind = CniError if said["asked"] else AgentMissing
        error = kind(str(said["msg"]), code=Code(said["code"]), details=str(said["details"]))
    except (Malformed, KeyError, TypeError, ValueError) as unread:
        raise TryLater(f"the agent's answer can't be read: {unread}") from unread
    raise error
