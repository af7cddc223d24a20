"""How callers get to another mount namespace or root directory, and how they call from there.

Each place holds other files than the daemon's. The calls require the daemon, but where told
otherwise.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from drive import PLAIN_BRIDGE, Outcome
from executables import REQUIRE, Executables

from pynet.testnets.lab.lab import Host

# Each is a shell script that goes somewhere and becomes "$@" there. In /mnt stands what stood
# in /run/theirs, and /run/root is a root directory that is otherwise the host's own.
_ROOT = """
mkdir -p /run/root
mountpoint -q /run/root || mount --rbind / /run/root
[ -e /run/root/mnt/theirs ] || mount --rbind /run/theirs /run/root/mnt
"""
PLACES = {
    "mount namespace": "mount --rbind /run/theirs /mnt",
    "root": f'{_ROOT}exec chroot /run/root "$@"',
    "mount namespace and root": f'{_ROOT}exec chroot /run/root "$@"',
    "root of its mount namespace": f"""
        {_ROOT}
        mount --make-rprivate /
        cd /run/root
        pivot_root . run
        umount -l /run""",
}


def from_place(place: str) -> tuple[str, ...]:
    unshared = ("unshare", "-m") if "mount namespace" in place else ()
    return (*unshared, "sh", "-ec", f'{PLACES[place]}\nexec "$@"', "sh")


@pytest.fixture(autouse=True)
def files(host: Host) -> None:
    """/mnt is the daemon's; /run/theirs is what a caller elsewhere has at /mnt."""
    script = "mount -t tmpfs tmpfs /mnt; mkdir /run/theirs; mount -t tmpfs tmpfs /run/theirs"
    host.run(["sh", "-ec", f"{script}; touch /run/theirs/theirs"])


def write(host: Host, path: str, text: str, mode: int = 0o644) -> None:
    host.call(_write, path, text, mode)


def _write(path: str, text: str, mode: int) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text)
    Path(path).chmod(mode)


def exists(host: Host, path: str) -> bool:
    return bool(host.call(_exists, path))


def _exists(path: str) -> bool:
    return Path(path).exists()


def config(**ipam: Any) -> dict[str, Any]:
    return {**PLAIN_BRIDGE, "ipam": {**PLAIN_BRIDGE["ipam"], **ipam}}


def call(
    host: Host, plugins: Executables, command: str, wanted: Any, place: tuple[str, ...], **env: str
) -> Outcome:
    return plugins.call(host, command, wanted, prefix=place, **{**REQUIRE, **env})


def succeed(*given: Any, **env: str) -> Any:
    outcome = call(*given, **env)
    assert outcome.status == 0, outcome
    return outcome.document
