"""The thread that watches nf_tables goes on, whatever it met: nobody would miss it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pynet.daemon import recovery
from pynet.daemon.recovery import Recovery
from pynet.daemon.serve import Services
from pynet.engine import faults


class Over(BaseException):
    """The end of the test."""


class Watch:
    """Raises these, one a look, and then ends the thread."""

    def __init__(self, *errors: Exception) -> None:
        self.errors: list[BaseException] = [*errors, Over()]

    def wait(self, seconds: float | None = None) -> list[Any]:
        raise self.errors.pop(0)


def test_it_goes_on_after_what_has_run_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(recovery, "AGAIN_SECONDS", 0)
    monkeypatch.setattr(faults, "pass_by", lambda: None)
    watch: Any = Watch(MemoryError(), OSError(24, "Too many open files"))
    warm: Any = None
    with pytest.raises(Over):
        Recovery(Services(tmp_path), warm, watch)._run()
    assert "Too many open files" in capsys.readouterr().err
