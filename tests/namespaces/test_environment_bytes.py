"""An environment holds bytes: by launcher and daemon, and without, what is no text is refused."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
from drive import BRIDGE, Runtime
from executables import NEVER, REQUIRE, Executables, daemon

from pynet.testnets.lab.lab import Host


@pytest.mark.parametrize("mode", [REQUIRE, NEVER])
def test_bytes_that_are_not_utf_8_are_refused(
    host: Host, plugins: Executables, mode: dict[str, str]
) -> None:
    host.container("c1")
    odd = os.fsdecode(b"e\xff")
    with daemon(host):
        for runtime, name in (
            (Runtime(interface=odd), "CNI_IFNAME"),
            (Runtime(netns=f"/run/netns/{odd}"), "CNI_NETNS"),
            (replace(Runtime(), environ={"CNI_ARGS": f"K={odd}"}), "CNI_ARGS"),
        ):
            outcome = plugins.call(host, "ADD", BRIDGE, runtime, **mode)
            assert outcome.code == 4, outcome
            assert name in outcome.document["msg"]
            assert "not UTF-8" in outcome.document["msg"]
