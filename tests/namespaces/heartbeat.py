"""The smallest plugin with a life of its own: a service that gives a file, and counts its beats.

Somebody else's package as far as pynet can tell: it is found by its entry points. Files in the
ledger say what the service has given; those named in `Orders` have it misbehave.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from msgspec.structs import asdict

from pynet.agent.service import Service, Wanted
from pynet.cni.config import NetConf
from pynet.model.errors import CniError
from pynet.model.plan import Plan
from pynet.model.plugin import Plugin
from pynet.model.query import Seen
from pynet.model.request import Request
from pynet.model.resources import KeptLease
from pynet.model.result import Dns, Result
from pynet.store.records import ClaimLost

FAIL, HANG, REFUSE = "fail", "hang", "refuse"
"""Orders: a file of that name beside the ledger has `run` raise, `lease` stand still, or refuse."""
ENTRY_POINTS = """
[pynet.plugins]
beating = heartbeat:Beating

[pynet.services]
heartbeat = heartbeat:Heartbeat
steady = heartbeat:Steady
"""


class BeatingConf(NetConf):
    ledger: str = ""
    keeper: str = "heartbeat"
    most: int = 1_000_000


class Beating(Plugin):
    name = "beating"
    config = BeatingConf
    checks_result = False

    def plan(self, request: Request, seen: Seen) -> Plan:
        lease = KeptLease(
            keeper=request.conf.keeper,
            parameters=(("ledger", request.conf.ledger), ("most", str(request.conf.most))),
        )
        return Plan((lease,), Result(dns=Dns(search=(seen[lease]["token"],))))


class Heartbeat(Service):
    name = "heartbeat"

    def run(self) -> None:
        while self.desk.wait(0.02):
            for kept in self.desk.kept():
                ledger = Path(dict(kept.resource.parameters)["ledger"])
                if (ledger.parent / FAIL).exists():
                    raise RuntimeError("told to fail")
                answer = self.desk.answer(kept)
                beat = {**answer, "count": answer["count"] + 1, "pid": os.getpid()}
                with suppress(ClaimLost):
                    if beat["count"] <= int(dict(kept.resource.parameters)["most"]):
                        self.desk.renew(kept, beat)

    def lease(self, wanted: Wanted) -> Any:
        file = self._file(wanted)
        while (file.parent.parent / HANG).exists():
            time.sleep(0.01)
        if (file.parent.parent / REFUSE).exists():
            raise CniError("told to refuse")
        with suppress(FileExistsError), file.open("x") as new:
            new.write(uuid4().hex)
        return {"count": 0, "pid": os.getpid(), "token": file.read_text()}

    def release(self, wanted: Wanted) -> None:
        self._file(wanted).unlink(missing_ok=True)

    def _file(self, wanted: Wanted) -> Path:
        return Path(wanted.parameters["ledger"]) / "-".join(
            asdict(wanted.record.attachment).values()
        )


class Steady(Heartbeat):
    """Another one, which no order reaches."""

    name = "steady"

    def run(self) -> None:
        while self.desk.wait():
            pass
