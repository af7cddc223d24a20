"""`scripts/demo`: its story comes true, and says so."""

from __future__ import annotations

import subprocess
import sys

from pynet.testnets.demo import PUBLISHED
from pynet.testnets.internet import ADDRESSES, HOST_ADDRESSES


def test_it_comes_to_its_end() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "pynet.testnets.demo"], capture_output=True, text=True
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    told = ended.stdout
    for caller in ADDRESSES.values():
        assert f"Hello {caller}, this is container 'web'." in told
    for address in HOST_ADDRESSES.values():
        assert told.count(address) > 1
    assert told.count(f":{PUBLISHED}/") == 4
    assert told.count("nobody answers there: Connection refused") == 2
    assert "the host's own interfaces: lo, eth0\n" in told
