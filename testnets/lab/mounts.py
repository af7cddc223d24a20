"""What a lab and a fake host see of the file system: the machine's own, but for their own state.

Nothing is created on the machine: where a mount point is missing, its parent is replaced by a
tmpfs of links to what was in it, in the lab's mount namespace only.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from . import syscalls

# Where network managers and runtimes keep state and configuration: each host's own.
PRIVATE = (
    "/run",
    "/etc/cni",
    "/etc/pynet",
    "/etc/systemd",
    "/opt/cni",
    "/var/lib/cni",
    "/var/lib/pynet",
    "/var/log",
)


_NAME_SERVERS = """\
# A lab has no name server: the names of its nodes are in /etc/hosts. What is asked of this address
# is refused at once, where the machine's own servers would be waited for.
nameserver 127.0.0.1
options timeout:1 attempts:1
"""


def private_lab() -> None:
    """Make mounts private, /proc that of our pid namespace, and every mount point exist."""
    syscalls.mount("none", "/", flags=syscalls.MS_REC | syscalls.MS_PRIVATE)
    # Inside a container with a masked /proc the kernel forbids a new one: the old one will do.
    with contextlib.suppress(PermissionError):
        syscalls.mount("proc", "/proc", "proc")
    syscalls.mount("tmpfs", "/run", "tmpfs", data="mode=755")
    Path("/run/netns").mkdir()
    for parent in ("/etc", "/opt", "/var/lib"):
        _replace_by_links(Path(parent))
    for path in PRIVATE:
        Path(path).mkdir(parents=True, exist_ok=True)
    servers = Path("/etc/resolv.conf")
    servers.unlink(missing_ok=True)  # a link to the machine's own
    servers.write_text(_NAME_SERVERS)


def private_host() -> None:
    """Give this mount namespace its own state directories, and /sys that of its network."""
    for network in Path("/run/netns").iterdir():
        syscalls.unmount(str(network))  # the lab's own: else they would live as long as this host
    hidden = os.open("/run/machine", os.O_PATH)
    for path in PRIVATE:
        syscalls.mount("tmpfs", path, "tmpfs", data="mode=755")
    _bind(f"/proc/self/fd/{hidden}", Path("/run/machine"))
    os.close(hidden)
    Path("/run/netns").mkdir()
    Path("/run/lock").mkdir(mode=0o1777)
    with contextlib.suppress(PermissionError):
        _own_sysfs()


def _replace_by_links(parent: Path) -> None:
    hidden = Path("/run/machine") / parent.name
    hidden.parent.mkdir(exist_ok=True)
    _bind(str(parent), hidden)
    syscalls.mount("tmpfs", str(parent), "tmpfs", data="mode=755")
    for entry in hidden.iterdir():
        place = parent / entry.name
        if str(place) not in PRIVATE:
            # What is gone by now is the machine's, and of nobody in here.
            with contextlib.suppress(FileNotFoundError):
                # A link keeps its text: it may be relative to where it stood.
                place.symlink_to(entry.readlink() if entry.is_symlink() else entry)


def _own_sysfs() -> None:
    """A sysfs shows the links of the namespace it was mounted in; cgroups are kept."""
    groups = os.open("/sys/fs/cgroup", os.O_PATH)
    try:
        syscalls.mount("sysfs", "/sys", "sysfs")
        _bind(f"/proc/self/fd/{groups}", Path("/sys/fs/cgroup"))
    finally:
        os.close(groups)


def _bind(source: str, target: Path) -> None:
    """`mount --rbind SOURCE TARGET`"""
    target.mkdir(exist_ok=True)
    syscalls.mount(source, str(target), flags=syscalls.MS_BIND | syscalls.MS_REC)
