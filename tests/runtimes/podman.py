"""Podman 4 with its CNI backend in a fake host, its state in that host's /run."""

from __future__ import annotations

from clients import Client, write
from image import NAME

from pynet.testnets.lab.lab import Host


class Podman(Client):
    """Podman with its CNI backend; what it keeps is the host's own (conftest.py)."""

    CONFIG = """[containers]
default_ulimits = ["nofile=1000:1000", "nproc=1000:1000"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
[network]
network_backend = "cni"
cni_plugin_dirs = ["/opt/cni/bin"]
"""

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        write(host, "/run/test-podman/containers.conf", self.CONFIG)

    def podman(self, *argv: str) -> str:
        """One `podman` command. Raises `CommandFailed`."""
        environment = {"CONTAINERS_CONF": "/run/test-podman/containers.conf", "TMPDIR": "/run"}
        places = ["--root", "/run/test-podman/root", "--runroot", "/run/test-podman/run"]
        return self.host.run(["podman", *places, *argv], env=environment).stdout.decode()

    def run(self, name: str, *options: str) -> None:
        """Start a container."""
        self.podman("run", "--detach", "--name", name, "--env", f"NAME={name}", *options, NAME)

    def inside(self, container: str, *argv: str) -> str:
        return self.podman("exec", container, *argv)
