"""A plugin killed while a container comes or goes, and then the DEL that has to clear it away.

A plugin of pynet that is started with PYNET_FAULT=n kills itself at the n-th of its fault points,
which lie between any two of its effects.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from ..lab.forked import LabError
from ..spec.topology import Container as Wanted
from ..spec.topology import Membership
from .attaching import planned
from .runtime import PluginFailed, Runtime

if TYPE_CHECKING:
    from ..lab.host import Container, Host
    from .testnet import Testnet

Command = Literal["ADD", "DEL"]

_NAME = "crash-test"


@dataclass(frozen=True)
class Crash:
    """`killed` is False where the plugin came to its end before the point it was to die at.

    `container` is the one it was working on: a name in the host's /run/netns.
    """

    killed: bool
    container: str


@dataclass(frozen=True)
class _Attachment:
    """A container that is there to be attached, and how."""

    container: Container
    runtime: Runtime
    interface: str

    def play(self, command: Command, doomed: str = "", at: int = 0) -> None:
        """All plugins in turn, `doomed` so that it kills itself. Raises `PluginFailed`."""
        host, plugins = self.container.host, self.runtime.plugins
        result: dict[str, Any] = {}
        for plugin in plugins if command == "ADD" else reversed(plugins):
            # The daemon would not die for it: a fault point is one of the process itself.
            fault = {"PYNET_FAULT": str(at), "PYNET_DAEMON": "never"}
            config = {**plugin, "prevResult": result} if result else plugin
            step = replace(
                self.runtime,
                plugins=(config,),
                environment=fault if plugin["type"] == doomed else {},
            )
            if command == "ADD":
                result = host.call(step.add, self.container, self.interface)
            else:
                host.call(step.delete, self.container, None, self.interface)


@contextlib.contextmanager
def crash(
    testnet: Testnet, host: Host, network: str, *, command: Command, plugin: str, at: int
) -> Iterator[Crash]:
    """A new container's ADD or DEL; `plugin` (the network's first, if "") is killed at point `at`.

    At the end of the `with` block a DEL is made, and the container goes. Raises `LabError` for a
    network or plugin that the host has not, and `PluginFailed` where a plugin fails by itself.
    """
    attachment = _attachment(testnet, host, network)
    known = [config["type"] for config in attachment.runtime.plugins]
    if plugin and plugin not in known:
        raise LabError(f"network {network!r} has no plugin {plugin!r}; it has {', '.join(known)}")
    host.container(_NAME)
    try:
        if command == "DEL":
            attachment.play("ADD")
        yield Crash(_dies(attachment, command, plugin or known[0], at), _NAME)
        attachment.play("DEL")
    finally:
        host.delete_container(_NAME)


def _attachment(testnet: Testnet, host: Host, network: str) -> _Attachment:
    topology = testnet.topology
    if network not in topology.networks or host.name not in topology.networks[network].hosts:
        raise LabError(f"host {host.name!r} has no network {network!r}")
    wanted = Wanted(host=host.name, networks=(Membership(network=network),))
    update = {"containers": {**topology.containers, _NAME: wanted}}
    attached = planned(topology.model_copy(update=update), _NAME, host)
    (connection,) = attached.connections
    return _Attachment(attached.container, connection.runtime(), connection.interface)


def _dies(attachment: _Attachment, command: Command, plugin: str, at: int) -> bool:
    try:
        attachment.play(command, plugin, at)
    except PluginFailed as error:
        if error.status == -signal.SIGKILL:
            return True
        raise
    return False
