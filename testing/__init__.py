"""What a plugin's author tests with: no root, no namespace, no daemon.

    from pynet.testing import RecordingWorld, memory_engine, request, seen

`plan(request, seen({...}))` tests a plan; `memory_engine(world)` runs ADD, CHECK and DEL
over a world that only remembers what it was told.
"""

from .fakes import RecordingWorld, memory_engine, request, seen

__all__ = ["RecordingWorld", "memory_engine", "request", "seen"]
