"""Containers that a runtime runs here: whose a process is, and where one is by its id or name.

Rules that hold here:
- A process tells by its control group whose it is: runtimes name that after the container. So an id
  is found without asking anybody.
- A name is known to its runtime alone: the command of each that is in use here is asked. Where
  it is not, asking would make places for its state.
- What runs in this command's own network namespace is a runtime's helper, or has no network.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
_ID = re.compile(r"[0-9a-f]{64}")
CLIENTS = {
    "podman": ("/var/lib/containers/storage", "~/.local/share/containers/storage"),
    "docker": ("/run/docker.sock", "/var/run/docker.sock"),
}
"""Command -> what is there where its runtime is in use."""
_ASKED = "{{.Id}} {{.State.Pid}}"
_PATIENCE = 10.0


@dataclass(frozen=True)
class Container:
    id: str
    netns: str


def of_process(pid: str) -> str:
    """The id of the container that the process is in; "" for none, or for this one's own."""
    found = _named_by_group(pid)
    return found if found != _named_by_group("self") else ""


def _named_by_group(pid: str) -> str:
    try:
        group = (PROC / pid / "cgroup").read_text()
    except OSError:
        return ""
    # The last part that has one: a container may run within another.
    found = [match for line in group.splitlines() for match in _ID.findall(line)[-1:]]
    return found[0] if found else ""


def in_namespace(netns: str) -> str:
    """The id of a container with a process in the namespace at that path; "" for none."""
    try:
        wanted = os.stat(netns)  # noqa: PTH116
    except OSError:
        return ""
    for pid, status in _processes():
        if os.path.samestat(status, wanted) and (container := of_process(pid)):
            return container
    return ""


def running(noun: str) -> list[Container]:
    """Those of this id, or of this beginning of one; else those of this name."""
    if re.fullmatch(r"[0-9a-f]{3,64}", noun):
        by_id: dict[str, Container] = {}
        for pid, _ in _processes():
            container = of_process(pid)
            if container.startswith(noun):
                by_id.setdefault(container, Container(container, f"/proc/{pid}/ns/net"))
        if by_id:
            return list(by_id.values())
    return list(dict.fromkeys(filter(None, (_asked(client, noun) for client in CLIENTS))))


def ids() -> list[str]:
    """Of all that have a process here."""
    return sorted({of_process(pid) for pid, _ in _processes()} - {""})


def _processes() -> Iterator[tuple[str, os.stat_result]]:
    """Those outside of this one's network namespace, oldest first, each with its namespace."""
    own = os.stat("/proc/self/ns/net")  # noqa: PTH116
    for pid in sorted((name for name in os.listdir("/proc") if name.isdigit()), key=int):  # noqa: PTH208
        try:
            status = os.stat(f"/proc/{pid}/ns/net")  # noqa: PTH116
        except OSError:
            continue  # it has ended, or is not ours to look at
        if not os.path.samestat(status, own):
            yield pid, status


def _asked(client: str, noun: str) -> Container | None:
    """The container that runs under this name, as its runtime's command tells."""
    from subprocess import DEVNULL, SubprocessError, run

    program = shutil.which(client)
    in_use = any(Path(place).expanduser().exists() for place in CLIENTS[client])
    if program is None or not in_use or noun.startswith("-"):
        return None
    try:
        done = run(
            [program, "inspect", "--type", "container", "--format", _ASKED, noun],
            stdin=DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=_PATIENCE,
        )
    except (OSError, SubprocessError):
        return None
    words = done.stdout.split()
    if done.returncode or len(words) != 2 or not words[1].isdigit() or words[1] == "0":
        return None
    return Container(words[0], f"/proc/{words[1]}/ns/net")
