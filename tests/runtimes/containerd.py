"""containerd in a fake host, its state in that host's /run. It ends with the lab."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from clients import Client, end, eventually, in_host, write
from image import NAME

from pynet.testnets.lab.lab import Host, Process


class Containerd(Client):
    """containerd with its command `ctr`, in one of containerd's own namespaces."""

    DIRECTORY = "/run/test-containerd"
    SOCKET = f"{DIRECTORY}/socket"
    CONFIG = f"""version = 2
root = "{DIRECTORY}/root"
state = "{DIRECTORY}/state"
[grpc]
  address = "{SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
  restrict_oom_score_adj = true
  sandbox_image = "{NAME}"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/opt/cni/bin"
"""

    def __init__(self, host: Host, namespace: str = "default") -> None:
        super().__init__(host)
        self.namespace = namespace
        self._commands = 0
        write(host, f"{self.DIRECTORY}/config.toml", self.CONFIG)
        self.start()

    def start(self) -> None:
        """Start containerd; it answers when this returns."""
        argv = ["containerd", "--config", f"{self.DIRECTORY}/config.toml"]
        log = in_host(self.host, f"{self.DIRECTORY}/log")
        with log.open("ab") as said:
            self._process = self.host.popen(
                argv, stdin=subprocess.DEVNULL, stdout=said, stderr=said
            )
        eventually(lambda: self.ctr("version"))

    def kill(self) -> None:
        """kill -9"""
        end(self._process)

    def arguments(self, *argv: str) -> list[str]:
        return ["ctr", "--address", self.SOCKET, "--namespace", self.namespace, *argv]

    def ctr(self, *argv: str) -> str:
        """One `ctr` command. Raises `CommandFailed`."""
        return self.host.run(self.arguments(*argv)).stdout.decode()

    def run(self, name: str) -> None:
        """Start a container with a network. (Nothing will ever ask for its removal: see `end`.)"""
        self.ctr("run", "--detach", "--cni", "--env", f"NAME={name}", NAME, name)

    def foreground(self, name: str, *argv: str) -> Process:
        """`ctr run` that stays, and takes the network down when the container ends."""
        options = ["--rm", "--cni", "--env", f"NAME={name}"]
        return self.host.popen(
            self.arguments("run", *options, NAME, name, *argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def end(self, name: str) -> None:
        """Kill a container and forget it. `ctr` asks for no DEL here."""
        self.ctr("task", "kill", "--signal", "SIGKILL", name)
        eventually(lambda: self.ctr("task", "delete", "--force", name))
        self.ctr("container", "delete", name)

    def pid(self, name: str) -> int:
        """Of the container's first process, as the host's processes see it."""
        listed = (line.split() for line in self.ctr("task", "list").splitlines())
        pids = [int(fields[1]) for fields in listed if fields[0] == name]
        if not pids:
            raise ProcessLookupError(f"containerd has no task {name}")
        return pids[0]

    def inside(self, container: str, *argv: str) -> str:
        # `ctr` gives up its pipes at the command's end, opened or not: what a quick one printed
        # may be lost. All that tests ask prints something.
        return eventually(lambda: self._inside(container, argv))

    def _inside(self, container: str, argv: Sequence[str]) -> str:
        self._commands += 1
        said = self.ctr("task", "exec", "--exec-id", f"x{self._commands}", container, *argv)
        if not said:
            raise OSError(f"{argv} in {container} printed nothing")
        return said
