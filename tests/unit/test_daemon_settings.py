"""Flags before environment before defaults, and one error for what is not known."""

from __future__ import annotations

from pathlib import Path

import pytest

from pynet.daemon.settings import Mode, Settings, settings
from pynet.model.errors import InvalidEnvironment

ENVIRON = {"PYNET_STATE_DIR": "/s", "PYNET_SOCKET": "/k", "PYNET_DAEMON": "never"}


def test_the_environment_says_where_everything_is() -> None:
    assert settings(ENVIRON) == Settings(Path("/s"), Path("/k"), Mode.NEVER)


def test_flags_win_and_the_socket_follows_the_state() -> None:
    assert settings(ENVIRON, state=Path("/t"), socket=Path("/l")).socket == Path("/l")
    found = settings({"PYNET_STATE_DIR": "/s"}, state=Path("/t"))
    assert found == Settings(Path("/t"), Path("/t/pynetd.sock"), Mode.AUTO)


def test_a_mode_that_is_not_known_is_named() -> None:
    with pytest.raises(InvalidEnvironment, match="perhaps"):
        settings({**ENVIRON, "PYNET_DAEMON": "perhaps"})
