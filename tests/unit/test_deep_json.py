"""JSON of others that is nested more deeply than can be read is not JSON that can be read."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from pynet.cli import failure
from pynet.cli.cni import attachment, execution, result_cache
from pynet.daemon import agent_wire

DEEP = "[" * 100_000


def test_what_a_plugin_prints_and_tells_of_an_error() -> None:
    assert execution._document(DEEP.encode()) is None
    assert failure._decoded(DEEP) == DEEP


def test_an_entry_of_the_cache(tmp_path: Path) -> None:
    entry = tmp_path / "web-c1-eth0"
    entry.write_text(DEEP)
    assert result_cache._read(entry) is None


def test_what_the_agent_is_asked() -> None:
    with pytest.raises(agent_wire.Malformed):
        agent_wire.read(DEEP.encode())


def test_capabilities() -> None:
    with pytest.raises(click.BadParameter, match="not JSON"):
        attachment._capabilities(DEEP)
