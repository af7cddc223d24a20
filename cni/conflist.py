"""Network configuration lists: what a runtime reads, and what each plugin of a list is given.

CNI spec 1.1.0, "Network configuration format" and "Deriving request configuration", read
as libcni reads them where the two differ. Files come as (path, bytes) pairs, paths
relative to the configuration directory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any

from ..model.errors import ConfigError, DecodingError
from ..model.request import Command
from . import version
from .config import decode, digest, network_name
from .keys import get, get_object, shown
from .names import type_problem

Files = Iterable[tuple[str, bytes]]
PluginObject = Mapping[str, Any]

LIMIT = 8 << 20
"""Bytes of a document; the launcher takes no more on stdin. Who reads files reads one more."""


@dataclass(frozen=True)
class NetworkList:
    """One network: `cni_version` is negotiated, `plugins` are in the order of ADD."""

    name: str
    cni_version: str
    plugins: tuple[PluginObject, ...]
    disable_check: bool = False
    disable_gc: bool = False
    load_only_inlined_plugins: bool = False

    def capabilities(self) -> set[str]:
        """Those that at least one plugin declares: of others it is told no arguments."""
        return {
            name
            for plugin in self.plugins
            for name, on in (get_object(plugin, "capabilities") or {}).items()
            if on
        }


# --- reading ---------------------------------------------------------------------


def find_network(name: str, files: Files) -> NetworkList:
    """The network `name`: from the `*.conflist` files by name, then from single configurations.

    As in libcni a broken file before the right one is an error, not passed over. Raises
    `CniError`; its message names the file.
    """
    files = sorted(files)
    for path, document in files:
        if _is_in_directory(path, ".conflist"):
            network = read_file(path, document, files)
            if network.name == name:
                return network
    for path, document in files:
        if (
            _is_in_directory(path, ".conf", ".json")
            and get(_decoded(path, document), "name") == name
        ):
            return read_file(path, document)
    raise ConfigError(f"there is no network configuration with the name {shown(name)}")


def read_file(path: str, document: bytes, drop_ins: Files = ()) -> NetworkList:
    """The network one file describes, `drop_ins` being the files it may draw plugins from.

    Raises `CniError` whose message names the file.
    """
    config = _decoded(path, document)
    try:
        if PurePath(path).suffix != ".conflist":
            return single(config)
        return with_drop_ins(parse_list(config), drop_ins)
    except (ConfigError, DecodingError) as error:
        raise type(error)(f"{path}: {error.msg}", details=error.details) from None


def parse_list(config: Mapping[str, Any]) -> NetworkList:
    """A `*.conflist` document; what it draws from other files is not in it yet.

    Raises `ConfigError`, `DecodingError`.
    """
    only_inlined = _flag(config, "loadOnlyInlinedPlugins")
    plugins = config.get("plugins", None if only_inlined else _ABSENT)
    if plugins is not _ABSENT and (not isinstance(plugins, list) or not plugins):
        raise ConfigError("plugins: must be a list of at least one plugin", details="plugins")
    inlined = () if plugins is _ABSENT else plugins
    return NetworkList(
        network_name(config),
        version.negotiated(config),
        tuple(_plugin(one, f"plugins[{place}]") for place, one in enumerate(inlined)),
        _flag(config, "disableCheck"),
        _flag(config, "disableGC"),
        only_inlined,
    )


def single(config: Mapping[str, Any]) -> NetworkList:
    """A configuration of one plugin, as it was before lists: a list of that one."""
    plugin = _plugin(config, "")
    return NetworkList(network_name(config), version.of_config(config), (plugin,))


def with_drop_ins(network: NetworkList, files: Files) -> NetworkList:
    """`network` with the plugins of `<network name>/*.conf` after its own, in lexical order.

    Raises `ConfigError` where it has no plugin even then.
    """
    plugins = network.plugins
    if not network.load_only_inlined_plugins:
        folder = PurePath(network.name)
        plugins += tuple(
            _plugin(_decoded(path, document), path)
            for path, document in sorted(files)
            if PurePath(path).parent == folder and PurePath(path).suffix == ".conf"
        )
    if not plugins:
        raise ConfigError(f"network {network.name} has no plugins", details="plugins")
    return replace(network, plugins=plugins)


_ABSENT: list[Any] = []


def _is_in_directory(path: str, *suffixes: str) -> bool:
    pure = PurePath(path)
    return len(pure.parts) == 1 and pure.suffix in suffixes


def repeated(network: NetworkList) -> Iterator[tuple[int, int]]:
    """Places of plugins that are the same, configuration and all, as one before, and that one's.

    What is recorded of an attachment is told apart by the configuration: of ours, the second is
    refused at ADD.
    """
    first: dict[str, int] = {}
    for place, plugin in enumerate(network.plugins):
        known = first.setdefault(digest(plugin_config(network, plugin)), place)
        if known != place:
            yield place, known


def _decoded(path: str, document: bytes) -> dict[str, Any]:
    if len(document) > LIMIT:
        raise DecodingError(f"{path}: it is larger than {LIMIT >> 20} MiB")
    if not document.strip():
        raise DecodingError(f"{path}: it is empty")
    try:
        return decode(document)
    except DecodingError as error:
        raise DecodingError(f"{path}: {error.msg}") from None


def _flag(config: Mapping[str, Any], key: str) -> bool:
    """true or false; as a string in any case too."""
    value = config.get(key, False)
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    if not isinstance(value, bool):
        raise ConfigError(f"{key}: {shown(value)} is not true or false", details=key)
    return value


def _plugin(config: Any, at: str) -> PluginObject:
    where = f"{at}: " if at else ""
    if not isinstance(config, dict):
        raise ConfigError(f"{where}{shown(config)} is not an object", details=at)
    kind = get(config, "type")
    if kind is None:
        raise ConfigError(f"{where}type: missing; it names the plugin", details=at)
    if problem := type_problem(kind) if isinstance(kind, str) else "is not a string":
        raise ConfigError(f"{where}type: {shown(kind)} {problem}", details=at)
    return config


# --- running ---------------------------------------------------------------------


def executions(network: NetworkList, command: Command) -> tuple[PluginObject, ...]:
    """The plugins to run for `command`, in order: DEL goes backwards.

    None for a CHECK or GC that the network has switched off: both then count as done.
    """
    if command is Command.CHECK and network.disable_check:
        return ()
    if command is Command.GC and network.disable_gc:
        return ()
    return network.plugins[::-1] if command is Command.DEL else network.plugins


def stops_at_first_error(command: Command) -> bool:
    """GC alone goes on, and reports all errors together."""
    return command is not Command.GC


def takes_prev_result(command: Command, cni_version: str) -> bool:
    """Whether a plugin is given a result: on DEL since 0.4.0, never on GC and STATUS.

    On ADD it is the previous plugin's, on CHECK and DEL that of the whole ADD.
    """
    if command is Command.DEL:
        return version.parse(cni_version) >= version.parse("0.4.0")
    return command in (Command.ADD, Command.CHECK)


def plugin_config(
    network: NetworkList,
    plugin: PluginObject,
    prev_result: Mapping[str, Any] | None = None,
    runtime_args: Mapping[str, Any] | None = None,
    *,
    command: Command = Command.ADD,
    valid_attachments: Iterable[tuple[str, str]] | None = None,
) -> dict[str, Any]:
    """The object one execution of `plugin` reads on stdin.

    `runtime_args` by capability; each plugin gets those it declares. `valid_attachments`
    are GC's (container, interface) pairs: None leaves the key out, which is not the same as
    none. CNI spec 1.1.0, "Deriving request configuration from plugin configuration".
    """
    config = {key: value for key, value in plugin.items() if key.lower() != "capabilities"}
    config |= {"name": network.name, "cniVersion": network.cni_version}
    capabilities = get_object(plugin, "capabilities") or {}
    given = {key: value for key, value in (runtime_args or {}).items() if capabilities.get(key)}
    if given:
        config["runtimeConfig"] = given
    if prev_result is not None and takes_prev_result(command, network.cni_version):
        config["prevResult"] = prev_result
    if command is Command.GC and valid_attachments is not None:
        living = [
            {"containerID": container, "ifname": interface}
            for container, interface in valid_attachments
        ]
        # The second is libcni's first name for it, which some plugins still read.
        config |= {"cni.dev/valid-attachments": living, "cni.dev/attachments": living}
    return config
