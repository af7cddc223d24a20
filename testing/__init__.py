"""What a plugin's author tests with: no root, no namespace, no daemon.

    from pynet.testing import RecordingWorld, memory_engine, request, seen

`plan(request, seen({...}))` tests a plan; `memory_engine(world)` runs ADD, CHECK and DEL
over a world that only remembers what it was told; `ServiceHarness(kind)` asks a service as the
agent does.
"""

from .fakes import RecordingWorld, memory_engine, request, seen
from .services import ServiceHarness

__all__ = ["RecordingWorld", "ServiceHarness", "memory_engine", "request", "seen"]
