"""What a container runtime does with plugins, no more: executes them and hands their results on.

Everything happens in the namespaces of the caller; `Host.call` brings it into a fake host.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..lab.forked import LabError
from ..lab.host import Container, plain_environment

Config = Mapping[str, Any]


class PluginFailed(LabError):
    """A plugin ended with an error; `document` is what it said on stdout, or {}.

    `status` is its exit status, or the signal that killed it as a negative number.
    """

    def __init__(
        self, plugin: str, command: str, status: int, stdout: bytes, stderr: bytes
    ) -> None:
        self.status = status
        try:
            self.document = json.loads(stdout)
        except ValueError:
            self.document = {}
        said = self.document.get("msg") or (stdout + stderr).decode(errors="replace").strip()
        super().__init__(f"{command} of {plugin} failed with status {status}: {said}")

    def __reduce__(self) -> tuple[Any, ...]:
        return _failed, (str(self), self.status, self.document)


def _failed(message: str, status: int, document: dict[str, Any]) -> PluginFailed:
    error = PluginFailed.__new__(PluginFailed)
    LabError.__init__(error, message)
    error.status = status
    error.document = document
    return error


Ended = tuple[int, bytes, bytes]
"""How a plugin ended: its exit status, or minus the signal, its stdout, its stderr."""


def execute(binary: str, stdin: bytes, environ: Mapping[str, str]) -> Ended:
    """Run a plugin to its end: (status, stdout, stderr).

    Files in memory instead of pipes: nothing has to be pumped while the plugin runs, so what
    a caller measures is the plugin.
    """
    names = ("stdin", "stdout", "stderr")
    files = [os.memfd_create(name, os.MFD_CLOEXEC) for name in names]
    try:
        os.write(files[0], stdin)
        os.lseek(files[0], 0, os.SEEK_SET)
        inherited = [(os.POSIX_SPAWN_DUP2, file, number) for number, file in enumerate(files)]
        child = os.posix_spawn(binary, [binary], environ, file_actions=inherited)
        _, status = os.waitpid(child, 0)
        stdout, stderr = (os.pread(file, os.fstat(file).st_size, 0) for file in files[1:])
        return os.waitstatus_to_exitcode(status), stdout, stderr
    finally:
        for file in files:
            os.close(file)


@dataclass(frozen=True)
class Runtime:
    """The plugins in `directories`, called for one network: a list of plugin configurations."""

    name: str
    plugins: Sequence[Config]
    directories: Sequence[str] = ("/opt/cni/bin",)
    version: str = "1.0.0"
    environment: Mapping[str, str] = field(default_factory=dict)
    execute: Callable[[str, bytes, Mapping[str, str]], Ended] = execute

    def add(self, container: Container, interface: str = "eth0") -> dict[str, Any]:
        """ADD of each plugin in turn, each with the result before it; the last result."""
        result: dict[str, Any] = {}
        for plugin in self.plugins:
            result = self._execute("ADD", plugin, container, interface, result)
        return result

    def check(self, container: Container, result: Config, interface: str = "eth0") -> None:
        """CHECK of each plugin in turn. Raises `PluginFailed`."""
        for plugin in self.plugins:
            self._execute("CHECK", plugin, container, interface, result)

    def delete(
        self, container: Container, result: Config | None = None, interface: str = "eth0"
    ) -> None:
        """DEL of each plugin, the last one first. Raises `PluginFailed`."""
        for plugin in reversed(self.plugins):
            self._execute("DEL", plugin, container, interface, result or {})

    def _execute(
        self, command: str, plugin: Config, container: Container, interface: str, result: Config
    ) -> dict[str, Any]:
        config = {"cniVersion": self.version, "name": self.name, **plugin}
        if result:
            config["prevResult"] = result
        environ = {
            **plain_environment(),
            **self.environment,
            "CNI_COMMAND": command,
            "CNI_CONTAINERID": container.name,
            "CNI_NETNS": container.path,
            "CNI_IFNAME": interface,
            "CNI_PATH": ":".join(self.directories),
        }
        status, stdout, stderr = self.execute(
            self._binary(plugin["type"]), json.dumps(config).encode(), environ
        )
        if status:
            raise PluginFailed(plugin["type"], command, status, stdout, stderr)
        document: dict[str, Any] = json.loads(stdout) if stdout.strip() else {}
        return document

    def _binary(self, plugin: str) -> str:
        paths = [os.path.join(directory, plugin) for directory in self.directories]  # noqa: PTH118
        for path in paths:
            if os.access(path, os.X_OK):
                return path
        raise LabError(f"there is no plugin {plugin!r} in {':'.join(self.directories)}")
