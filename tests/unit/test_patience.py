"""Who waits for whom: a call gives up before its launcher does, and for nothing sooner."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

from pynet import launcher
from pynet.engine import engine, keyed
from pynet.ipam import delegate
from pynet.ipam.takeover import takeover
from pynet.launcher import fallback
from pynet.model import patience
from pynet.store.store import Store


def test_launchers_wait_longer_than_any_call() -> None:
    text = Path(launcher.FOLDER, "settings.c").read_text()
    found = re.search(r"\.reply_ms = (\d+)", text)
    assert found is not None
    assert found[1] == fallback._DEFAULTS["reply_ms"]
    assert int(found[1]) / 1000 - 5 >= patience.SECONDS


def test_calls_are_as_patient_with_the_store_as_with_each_other() -> None:
    for function in (Store.open, takeover):
        assert inspect.signature(function).parameters["patience"].default == patience.SECONDS
    assert {engine.LOCK_SECONDS, keyed.LOCK_SECONDS, delegate.PATIENCE} == {patience.SECONDS}
