"""A plugin for pytest: a failure is told as it happens, for the machine may have to end early."""

from __future__ import annotations

import pytest


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.failed:
        print(f"\n{report.nodeid}\n{report.longreprtext}", flush=True)
