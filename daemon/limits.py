"""How much of everything a daemon may be at, by the limits of the process it is.

Rules that hold here:
- A daemon out of descriptors is worse than none. So the soft limit is raised as far as it goes, and
  what takes many, conversations and hosts kept warm, is bounded by what is left.
- Not without a bound: there are programs that go through every number up to the limit, and ours
  start some.
"""

from __future__ import annotations

import os
import resource
from typing import NamedTuple

from ..kernel import memory
from .call import Call, Handler, Reply

MOST_CONVERSATIONS = 512
"""Requests at once; further callers wait in the socket's queue, and go one-shot after 1 s."""
_MOST_TURNS = 256
_MOST_HOSTS = 256
_ENOUGH = 1 << 16
_OWN = 16
"""Descriptors for what it will open for itself: its own host's sockets, the store, a procfs."""
_A_CONVERSATION = 10
"""Descriptors of one that waits for its turn: what came along, and the connection."""
_A_TURN = 18
"""What one that is worked on has more, at its peak: sockets, a lock, the store, a program's pipes,
and a host that is not kept."""
_A_HOST = 10
_MEMORY = 16 << 20
"""Bytes that must be free for a request to begin: what can't go on without ends the process."""
_FEW = 16
"""Descriptors that are open where nothing tells how many."""


class Limits(NamedTuple):
    """`turns` are the conversations that are worked on, `hosts` those kept beside the own one."""

    conversations: int = MOST_CONVERSATIONS
    turns: int = _MOST_TURNS
    hosts: int = _MOST_HOSTS


def limits(descriptors: int, open_already: int) -> Limits:
    """A quarter of what is left for hosts, a quarter for turns, the rest for who waits for one."""
    left = max(0, descriptors - open_already - _OWN)
    hosts = min(_MOST_HOSTS, left // 4 // _A_HOST)
    turns = max(1, min(_MOST_TURNS, left // 4 // _A_TURN))
    conversations = (left - hosts * _A_HOST - turns * _A_TURN) // _A_CONVERSATION
    return Limits(max(turns, min(MOST_CONVERSATIONS, conversations)), turns, hosts)


def raised() -> int:
    """The limit of descriptors (RLIMIT_NOFILE), after it was raised: `ulimit -n`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max(soft, min(hard, _ENOUGH))
    if wanted != soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted


def open_already() -> int:
    try:
        return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - it counts
    except OSError:
        return _FEW


def roomy(handler: Handler) -> Handler:
    """`handler`; where memory is limited it is not begun with a request while little is left."""
    if not _memory_is_limited():
        return handler

    def answer(call: Call) -> Reply:
        memory.look_for(_MEMORY, "a request")
        return handler(call)

    return answer


def _memory_is_limited() -> bool:
    kinds = (resource.RLIMIT_AS, resource.RLIMIT_DATA)
    if any(resource.getrlimit(kind)[0] != resource.RLIM_INFINITY for kind in kinds):
        return True
    try:
        with open("/proc/sys/vm/overcommit_memory") as file:  # noqa: PTH123
            return file.read().strip() == "2"
    except OSError:
        return False
