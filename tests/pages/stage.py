"""Where the commands of a page are run: a fresh fake host for root, a folder for anybody."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from blocks import Command

from pynet.testnets.lab import syscalls
from pynet.testnets.lab.host import Host

_MS_RDONLY, _MS_REMOUNT = 1, 32
_PATIENCE = 100
"""Seconds; nothing on a page takes so long."""
_KINDS_IN_MEMORY = (
    "autofs", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devpts",
    "devtmpfs", "efivarfs", "fusectl", "hugetlbfs", "mqueue", "proc", "pstore", "ramfs",
    "securityfs", "sysfs", "tmpfs", "tracefs",
)  # fmt: skip
# The interpreter of the tests lies where others may write, and here that is no danger.
_PYNET = f"""\
#!/bin/sh
[ "$1" != install ] || {{ shift; set -- install --allow-writable-interpreter "$@"; }}
exec {sys.executable} -m pynet.cli "$@"
"""


@dataclass(frozen=True)
class Stage:
    """What a page's reader has in front of him; both kinds of commands begin in `folder`."""

    host: Host
    folder: Path
    programs: Path
    runtime: Path

    @classmethod
    def build(cls, host: Host, place: Path) -> Stage:
        """On `host`, which can't write to the machine but in `place`."""
        stage = cls(host, *(place / name for name in ("here", "bin", "runtime")))
        for folder in (stage.folder, stage.programs, stage.runtime):
            folder.mkdir(mode=0o700)
        (stage.programs / "pynet").write_text(_PYNET)
        (stage.programs / "pynet").chmod(0o755)
        host.call(_protect_the_machine, str(place))
        return stage

    @property
    def pynet(self) -> str:
        """The program of that name."""
        return str(self.programs / "pynet")

    def run(self, command: Command) -> tuple[int, list[str]]:
        """Exit status, and the lines that a terminal would show."""
        if command.prompt == "#":
            argv = ["bash", "-c", f"cd {self.folder}\n{command.text}"]
            outputs = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
            done = self.host.run(
                argv, env=self._environment(), check=False, timeout=_PATIENCE, **outputs
            )
        else:
            done = subprocess.run(
                ["bash", "-c", command.text],
                cwd=self.folder,
                env={**os.environ, **self._environment()},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=_PATIENCE,
            )
        return done.returncode, done.stdout.decode(errors="replace").splitlines()

    def write(self, path: str, text: str) -> None:
        """A file that the page shows; on the host where its path is absolute."""
        if path.startswith("/"):
            self.host.run(["install", "-D", "-m", "644", "/dev/stdin", path], input=text.encode())
        else:
            (self.folder / path).write_text(text)

    def _environment(self) -> dict[str, str]:
        return {
            "HOME": str(self.folder),
            "PATH": f"{self.programs}:{os.environ['PATH']}:/usr/sbin:/sbin",
            "PYNET_DAEMON": "never",  # what a daemon mends meanwhile would be a race
            "PYTHONDONTWRITEBYTECODE": "1",
            "XDG_RUNTIME_DIR": str(self.runtime),
        }


def _protect_the_machine(place: str) -> None:
    """Root's commands see this machine's files; none of them may be changed by one."""
    syscalls.mount(place, place, flags=syscalls.MS_BIND)
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        target = before.split()[4].encode().decode("unicode_escape")
        if after.split()[0] in _KINDS_IN_MEMORY or target == place:
            continue
        try:
            kept = os.statvfs(target).f_flag & ~_MS_RDONLY & 0xFFF
            syscalls.mount("none", target, flags=_MS_REMOUNT | syscalls.MS_BIND | _MS_RDONLY | kept)
        except FileNotFoundError:
            continue  # another mount covers it
