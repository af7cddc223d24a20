"""An IPAM plugin put where only some see it: it writes down each call, and from where it came."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from drive import PLAIN_BRIDGE
from elsewhere import write

from pynet.testnets.lab.lab import Host

THEIR_IPAM = """#!/bin/sh
cat >/dev/null
echo "$CNI_COMMAND $(cat /mnt/whose) $(pwd)" >>/mnt/calls
ls -l /proc/self/ns/net /proc/self/ns/mnt | sed 's/.*-> //' >/mnt/where
[ $CNI_COMMAND != ADD ] || cat /mnt/result
"""
RESULT = {"cniVersion": "1.1.0", "ips": [{"address": "10.1.0.9/24", "gateway": "10.1.0.1"}]}
WITH_THEIRS: dict[str, Any] = {**PLAIN_BRIDGE, "ipam": {"type": "their-ipam"}}
IN_MNT = {"CNI_PATH": "/mnt/bin"}


def their_ipam(host: Host, folder: str, whose: str, name: str = "their-ipam") -> None:
    write(host, f"{folder}/bin/{name}", THEIR_IPAM, 0o755)
    write(host, f"{folder}/whose", whose)
    write(host, f"{folder}/result", json.dumps(RESULT))


def calls(host: Host, folder: str) -> list[str]:
    return [str(line) for line in host.call(_lines, f"{folder}/calls")]


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []
