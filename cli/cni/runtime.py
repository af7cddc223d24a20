"""What a container runtime does with a network: its plugins in order, results handed on and kept.

CNI spec 1.1.0, "Section 3: Execution of Network Configurations", read as libcni reads it
where it leaves a choice. What libcni leaves undone, this does: a failed ADD is taken back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ...cni import version
from ...cni.conflist import NetworkList, PluginObject, executions, plugin_config, repeated
from ...cni.keys import get
from ...model.errors import CniError, Code, ConfigError
from ...model.request import Command
from ..interfaces import identified, interface_stands
from .execution import PluginError, Plugins, Target
from .result_cache import ResultCache

_SINCE = {Command.CHECK: "0.4.0", Command.GC: "1.1.0", Command.STATUS: "1.1.0"}


@dataclass
class Runtime:
    plugins: Plugins
    cache: ResultCache

    def add(self, network: NetworkList, target: Target) -> dict[str, Any]:
        """Attach; the result document of the last plugin. Raises `CniError`, OSError.

        After an error nothing of the attachment is left, unless it was there before.
        """
        refuse_repeated(network, self.plugins)
        there_before = self._stands(network, target)
        result: dict[str, Any] | None = None
        try:
            for plugin in executions(network, Command.ADD):
                config = plugin_config(network, plugin, result, target.capabilities)
                result = self._run(network, plugin, Command.ADD, target, config)
            assert result is not None  # a list has at least one plugin
            self.cache.write(network, target, result, identified(target.netns))
        except BaseException as error:
            refused = result is None and (there_before or _says_refused(error))
            if not refused:
                self._take_back(network, target, error)
            raise
        return result

    def delete(self, network: NetworkList, target: Target) -> None:
        """Detach, backwards; the first error ends it, and it can be tried again."""
        cached = self.cache.read(network.name, target)
        for plugin in executions(network, Command.DEL):
            self._delete_one(network, plugin, target, cached.result if cached else None)
        self.cache.remove(network.name, target)

    def delete_past_errors(self, network: NetworkList, target: Target) -> dict[str, str]:
        """The same, whatever fails; by plugin, why. The result stays in the cache."""
        cached = self.cache.read(network.name, target)
        failed: dict[str, str] = {}
        for plugin in executions(network, Command.DEL):
            try:
                self._delete_one(network, plugin, target, cached.result if cached else None)
            except (CniError, OSError) as error:
                failed.setdefault(_type(plugin), _reason(error))
        return failed

    def check(self, network: NetworkList, target: Target) -> bool:
        """Whether there was anything to ask: not where the network has disabled it.

        Raises `CheckFailed` naming what is not as it was made, `CniError`.
        """
        plugins = executions(network, Command.CHECK)
        if not plugins:
            return False
        self._refuse_older(network, Command.CHECK)
        cached = self.cache.read(network.name, target)
        if cached is None:
            raise ConfigError(
                f"nothing is known of {target.container} on {network.name} as {target.interface}: "
                f"{self.cache.results} has no result of its ADD; `pynet inspect` shows what is"
                " attached"
            )
        for plugin in plugins:
            config = plugin_config(
                network, plugin, cached.result, target.capabilities, command=Command.CHECK
            )
            self._run(network, plugin, Command.CHECK, target, config)
        return True

    def status(self, network: NetworkList) -> bool:
        """Whether there was anything to ask: not before 1.1.0.

        Raises the error of the first plugin with which an ADD would not work now.
        """
        if self._is_older(network, Command.STATUS):
            return False
        for plugin in executions(network, Command.STATUS):
            config = plugin_config(network, plugin, command=Command.STATUS)
            self._run(network, plugin, Command.STATUS, Target(), config)
        return True

    def collect(self, network: NetworkList, valid: Iterable[tuple[str, str]]) -> bool:
        """Send GC: all but the `valid` (container, interface) pairs may go.

        Whether there was anything to send: not before 1.1.0, nor where it is disabled. Goes
        on past errors and raises them as one group.
        """
        if not self.collects(network):
            return False
        plugins = executions(network, Command.GC)
        living = sorted(valid)
        failures: list[Exception] = []
        for plugin in plugins:
            config = plugin_config(network, plugin, command=Command.GC, valid_attachments=living)
            try:
                self._run(network, plugin, Command.GC, Target(), config)
            except CniError as error:
                failures.append(error)
        if failures:
            raise ExceptionGroup(f"GC of {network.name}", failures)
        return True

    def collects(self, network: NetworkList) -> bool:
        """Whether there is anything to send a GC to."""
        return bool(executions(network, Command.GC)) and not self._is_older(network, Command.GC)

    def versions(self, network: NetworkList) -> list[tuple[str, tuple[str, ...] | CniError]]:
        """Each plugin's name with the versions it speaks, or with why it can't tell."""
        found: list[tuple[str, tuple[str, ...] | CniError]] = []
        for plugin in network.plugins:
            kind = _type(plugin)
            question = {"cniVersion": network.cni_version}
            try:
                answer: Mapping[str, Any]
                try:
                    answer = self.plugins.run(kind, Command.VERSION, Target(), question)
                except PluginError as error:
                    answer = {"msg": error.msg, "code": error.plugin_code}
                found.append((kind, version.supported_by(answer)))
            except CniError as error:
                found.append((kind, error))
        return found

    def _delete_one(
        self,
        network: NetworkList,
        plugin: PluginObject,
        target: Target,
        result: Mapping[str, Any] | None,
    ) -> None:
        config = plugin_config(network, plugin, result, target.capabilities, command=Command.DEL)
        self._run(network, plugin, Command.DEL, target, config)

    def _take_back(self, network: NetworkList, target: Target, error: BaseException) -> None:
        """DEL after a failed ADD, of every plugin and past every error.

        CNI spec 1.1.0, "Section 3", "Lifecycle & Ordering": what failed halfway is deleted
        by the runtime too, also where it was the first plugin.
        """
        failed: dict[str, list[str]] = {}
        for plugin in executions(network, Command.DEL):
            try:
                self._delete_one(network, plugin, target, None)
            except (CniError, OSError) as another:
                failed.setdefault(_reason(another), []).append(_type(plugin))
        for reason, plugins in failed.items():
            at = ", ".join(plugins)
            same = reason == _reason(error)
            error.add_note(
                f"undoing it failed, too ({at})" if same else f"undoing it failed at {at}: {reason}"
            )

    def _run(
        self,
        network: NetworkList,
        plugin: PluginObject,
        command: Command,
        target: Target,
        config: Mapping[str, Any],
    ) -> dict[str, Any]:
        kind = _type(plugin)
        try:
            return self.plugins.run(kind, command, target, config)
        except PluginError as error:
            # Whoever reads it must know which of the plugins said so.
            msg = f"network {network.name}: {kind} {command}: {error.msg}"
            raise PluginError(msg, error.plugin_code, error.details, reason=error.reason) from None

    def _stands(self, network: NetworkList, target: Target) -> bool:
        """Whether an error of the first plugin may mean: it is attached already.

        Taking that back would cut off a container that works.
        """
        known = self.cache.read(network.name, target) is not None
        return known or interface_stands(target.netns, target.interface)

    def _is_older(self, network: NetworkList, command: Command) -> bool:
        return version.parse(network.cni_version) < version.parse(_SINCE[command])

    def _refuse_older(self, network: NetworkList, command: Command) -> None:
        if self._is_older(network, command):
            raise CniError(
                f"network {network.name} speaks CNI {network.cni_version}, and {command} exists "
                f"since {_SINCE[command]}: raise its cniVersion",
                code=Code.INCOMPATIBLE_VERSION,
            )


def refuse_repeated(network: NetworkList, plugins: Plugins) -> None:
    """Raises `ConfigError` for a plugin of ours that an ADD would find attached by itself."""
    for place, first in repeated(network):
        kind = _type(network.plugins[place])
        if plugins.is_ours(kind):
            raise ConfigError(
                f"network {network.name}: plugins[{place}] is the {kind} that plugins[{first}] is"
                " already: take one of the two out"
            )


def _reason(error: BaseException) -> str:
    """What went wrong, whichever plugin says so."""
    return error.reason if isinstance(error, PluginError) else str(error)


def _says_refused(error: BaseException) -> bool:
    """Whether the plugin has done nothing, so that there is nothing to take back."""
    return isinstance(error, CniError) and error.code in _REFUSALS


_REFUSALS = (Code.ALREADY_ATTACHED, Code.INCOMPATIBLE_VERSION)


def _type(plugin: PluginObject) -> str:
    return str(get(plugin, "type"))
