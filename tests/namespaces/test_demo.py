"""`scripts/demo`: its story comes true, says so, and ends with a picture."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

from pynet.testnets.demo.demo import PUBLISHED

TREE = Path(__file__).parents[2]


def test_it_comes_to_its_end(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, TREE / "scripts/demo.py"],
        capture_output=True,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    told = ended.stdout
    for caller in ("203.0.113.1", "2001:db8:ffff::1"):
        assert f"Hello {caller}, this is 'server'." in told
    for address in ("192.168.0.1", "fd00:c0a8::1"):
        assert f"Hello {address}, this is 'outside'." in told
    assert told.count(f":{PUBLISHED}/") == 4
    assert told.count("nobody answers there: Connection refused") == 2
    assert "the host's own interfaces: lo, eth0\n" in told
    (picture,) = tmp_path.iterdir()
    assert told.endswith(f"What it looked like: {picture}\n")
    drawn = " ".join(ElementTree.parse(picture).getroot().itertext())
    for word in ("h1", "outside", "server", "10.1.0.2", str(PUBLISHED)):
        assert word in drawn
