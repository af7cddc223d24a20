"""Where state and socket are, from the environment."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pynet.model.errors import StoreError
from pynet.store.location import socket_path, state_directory


@pytest.mark.parametrize("uid", [0, 1000])
def test_the_environment_wins(monkeypatch: pytest.MonkeyPatch, uid: int) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    environ = {"PYNET_STATE_DIR": "/a/state", "XDG_RUNTIME_DIR": "/run/user/1000"}
    assert state_directory(environ) == Path("/a/state")
    assert socket_path(environ) == Path("/a/state/pynetd.sock")
    assert socket_path({**environ, "PYNET_SOCKET": "/b.sock"}) == Path("/b.sock")


def test_root_and_user_have_their_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert state_directory({"XDG_RUNTIME_DIR": "/run/user/0"}) == Path("/run/pynet")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    runtime = {"XDG_RUNTIME_DIR": "/run/user/1000", "PYNET_STATE_DIR": ""}
    assert state_directory(runtime) == Path("/run/user/1000/pynet")
    with pytest.raises(StoreError, match="PYNET_STATE_DIR"):
        state_directory({})
