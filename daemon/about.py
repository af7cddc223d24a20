"""What the daemon says of itself, to whoever asks in the name of no plugin at all."""

from __future__ import annotations

import json
import os
import time

from .. import __version__
from .call import Call, Handler, Reply

PLUGIN = ""
"""The name a request of this kind bears: no executable has it, so no runtime sends it."""


def introduced(handler: Handler) -> Handler:
    """`handler`, answering such requests too, with version, pid and start (seconds since 1970)."""
    started = time.time()

    def answer(call: Call) -> Reply:
        if call.plugin != PLUGIN:
            return handler(call)
        document = {"version": __version__, "pid": os.getpid(), "started": started}
        return Reply(0, json.dumps(document).encode())

    return answer
