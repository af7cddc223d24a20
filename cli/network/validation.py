"""What is wrong with network configurations, before a container is the first to find out.

Every plugin of ours parses its configuration with the model it will use at ADD; what that
leaves out is said too: keys nobody reads, plugins nobody has, names given twice.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, get_args

from ...cni import conflist
from ...cni.config import find_problems, keys_of
from ...cni.dialogue import read_request
from ...cni.keys import get
from ...cni.result import to_json
from ...cni.version import CURRENT, SUPPORTED
from ...model.errors import CniError
from ...model.plugin import Plugin
from ...model.query import Answers, Unanswered
from ...model.result import Address, Interface, Result
from ..cni.conf_dir import File, Found
from ..cni.execution import Plugins
from ..lazy import did_you_mean
from .in_use import addresses_of, gateways_of, subnets_of

ERROR, NOTE = "error", "note"
_LIST_KEYS = (
    "cniVersion", "cniVersions", "name", "disableCheck", "disableGC", "loadOnlyInlinedPlugins",
    "plugins",
)  # fmt: skip


@dataclass(frozen=True)
class Finding:
    """`plugin` is "" for what is not a plugin's, `key` a path such as ipam.ranges[0][0].subnet."""

    level: str
    file: str
    plugin: str
    key: str
    message: str

    def __str__(self) -> str:
        where = " ".join(filter(None, (self.plugin, self.key)))
        return f"{self.file}: {where + ': ' if where else ''}{self.message}"


def validate(file: File, drop_ins: Iterable[File], plugins: Plugins) -> list[Finding]:
    """What is wrong with one file; [] for nothing."""
    path, document = file
    try:
        network = conflist.read_file(path, document, drop_ins)
    except CniError as error:
        return [_of_error(path, error)]
    findings: list[Finding] = []
    if network.cni_version not in SUPPORTED:
        known = ", ".join(SUPPORTED)
        message = f'"{network.cni_version}" is not one of {known}'
        findings.append(Finding(ERROR, path, "", "cniVersion", message))
        network = replace(network, cni_version=CURRENT)  # said once, not by every plugin
    if path.endswith(".conflist"):
        findings += _unknown_list_keys(path, document)
    for place, first in conflist.repeated(network):
        kind = str(get(network.plugins[place], "type"))
        if plugins.is_ours(kind):
            said = f"plugins[{place}] is the same as plugins[{first}]: an ADD refuses it"
            findings.append(Finding(ERROR, path, kind, "", said))
    for place, plugin in enumerate(network.plugins):
        config = conflist.plugin_config(network, plugin)
        if place:
            config = {**config, "prevResult": to_json(_BEFORE, network.cni_version)}
        findings += [
            Finding(level, path, str(get(plugin, "type")), key, message)
            for level, key, message in _of_plugin(config, plugin, plugins)
        ]
    return findings


_SANDBOX = "/run/netns/validated"
_BEFORE = Result(
    interfaces=(Interface("eth0", sandbox=_SANDBOX),),
    ips=(Address("192.0.2.2/24", interface=0), Address("2001:db8::2/64", interface=0)),
)
"""What a plugin that is not a list's first is given: the interface that those before it made."""


def overlapping(networks: Iterable[Found]) -> list[Finding]:
    """Networks of one subnet: the host's route to it leads to one of their bridges alone."""
    first: dict[str, tuple[str, str]] = {}
    findings = []
    for found in networks:
        for plugin in found.network.plugins if found.network else ():
            bridge = str(get(plugin, "bridge") or "cni0")
            for subnet in (*subnets_of(plugin), *addresses_of(plugin)):
                file, taken = first.setdefault(subnet, (found.file, bridge))
                if taken != bridge and get(plugin, "type") == "bridge":
                    message = (
                        f"{subnet} is on bridge {taken} already, of {file}: this host has one route"
                        " to it, and reaches the containers of one of them"
                    )
                    findings.append(Finding(ERROR, found.file, "bridge", "ipam", message))
    return findings


def quarrelling(networks: Iterable[Found]) -> list[Finding]:
    """Networks with gateways on one bridge that an ADD refuses beside each other."""
    first: dict[str, tuple[str, frozenset[str]]] = {}
    findings = []
    for found in networks:
        for link, gateways in gateways_of(found):
            file, others = first.setdefault(link, (found.file, gateways))
            if file == found.file or others <= gateways:
                continue
            said = (
                f"{link} has {' and '.join(sorted(others))} already, of {file}, and an ADD refuses"
                f" {' and '.join(sorted(gateways))} beside it: give this network a bridge of its"
                " own"
            )
            findings.append(Finding(ERROR, found.file, "bridge", "bridge", said))
    return findings


def repeated(networks: Iterable[Found]) -> list[Finding]:
    """Networks of a name that an earlier file has taken: nobody ever uses them."""
    first: dict[str, str] = {}
    findings = []
    for found in networks:
        if found.network is None:
            continue
        name = found.network.name
        if name in first:
            message = f'"{name}" is the network of {first[name]} already; this one is never used'
            findings.append(Finding(ERROR, found.file, "", "name", message))
        first.setdefault(name, found.file)
    return findings


def strangers(networks: Iterable[Found], plugins: Plugins) -> list[str]:
    """The plugins of these networks, IPAM plugins too, that are somebody else's."""
    named: dict[str, None] = {}
    for found in networks:
        for plugin in found.network.plugins if found.network else ():
            ipam = get(plugin, "ipam")
            inner = get(ipam, "type") if isinstance(ipam, dict) else None
            named |= dict.fromkeys(str(kind) for kind in (get(plugin, "type"), inner) if kind)
    return [kind for kind in named if not plugins.is_ours(kind) and plugins.binary(kind)]


Said = tuple[str, str, str]
"""Level, path of the key, message."""


def _of_plugin(
    config: Mapping[str, Any], written: Mapping[str, Any], plugins: Plugins
) -> Iterator[Said]:
    from ...plugins import registry
    from ...plugins.delegation import as_ipam

    kind = str(get(config, "type"))
    if not plugins.is_ours(kind):
        if not plugins.binary(kind):
            near = did_you_mean(kind, list(registry.names()))
            yield ERROR, "type", f'there is no plugin "{kind}" in {_path(plugins)}{near}'
        return
    yield from _of_ours(registry.plugin_named(kind), config)
    yield from _unknown_keys(registry.plugin_named(kind), written)
    ipam = get(config, "ipam")
    name = get(ipam, "type") if isinstance(ipam, dict) else None
    if not isinstance(name, str) or not name:
        if registry.plugin_named(kind).creates_interface:
            yield from _without_an_address(str(get(config, "cniVersion")))
        return
    if plugins.is_ours(name):
        try:
            inner = as_ipam(name)
        except CniError as error:
            yield ERROR, *_split(error.msg)
            return
        yield from _of_ours(inner, config)
        yield from _unknown_keys(inner, {"ipam": ipam})
    elif not plugins.binary(name):
        near = did_you_mean(name, list(registry.names()))
        yield ERROR, "ipam.type", f'there is no plugin "{name}" in {_path(plugins)}{near}'


def _without_an_address(version: str) -> Iterator[Said]:
    """What a result of that version can't say of an interface that has none."""
    try:
        to_json(Result(interfaces=(Interface("eth0", sandbox=_SANDBOX),)), version)
    except CniError as error:
        yield ERROR, *_split(error.msg)


def _of_ours(plugin: Plugin, config: Mapping[str, Any]) -> Iterator[Said]:
    """What its model refuses; where that takes it, what its plan refuses before it looks."""
    problems = find_problems(plugin.config, config)
    if not problems:
        environ = {
            "CNI_COMMAND": "ADD",
            "CNI_CONTAINERID": "validated",
            "CNI_NETNS": _SANDBOX,
            "CNI_IFNAME": "eth0",
        }
        try:
            request = read_request(plugin, environ, json.dumps(config).encode(), "")
            plugin.plan(request, Answers())
        except Unanswered:
            return
        except CniError as error:
            problems = [("", error.msg)]
    for key, message in problems:
        path, said = (key, message.removeprefix(f"{key}: ")) if key else _split(message)
        yield ERROR, path, said


def _split(message: str) -> tuple[str, str]:
    """The path that a message opens with, "" where it has none, and the rest."""
    path, colon, rest = message.partition(": ")
    return (path, rest) if colon and " " not in path else ("", message)


def _path(plugins: Plugins) -> str:
    return ":".join(plugins.directories)


# --- keys nobody reads -------------------------------------------------------------


def _unknown_list_keys(path: str, document: bytes) -> Iterator[Finding]:
    from ...cni.config import decode

    for key in decode(document):
        if key not in _LIST_KEYS and not key.startswith("cni.dev/"):
            message = f"nobody reads this key{did_you_mean(key, list(_LIST_KEYS))}"
            yield Finding(NOTE, path, "", key, message)


def _unknown_keys(plugin: Plugin, written: Mapping[str, Any]) -> Iterator[Said]:
    for path, near in _strangers(keys_of(plugin.config) or {}, written, ""):
        yield NOTE, path, f"{plugin.name} does not read this key{near}"


def _strangers(
    keys: Mapping[str, Any], value: Mapping[str, Any], at: str
) -> Iterator[tuple[str, str]]:
    """(path, did you mean) of each key in `value` that is none of a model's `keys`, or inside."""
    spelled = {name.lower(): name for name in keys}
    for key, inside in value.items():
        name = key if key in keys else spelled.get(key.lower())
        path = f"{at}{key}"
        if name is None:
            if at or not key.startswith("cni.dev/"):  # the runtime's own
                yield path, did_you_mean(key, list(keys))
            continue
        inner = _keys_in(keys[name])
        if inner:
            yield from _strangers_in(inner, inside, path)


def _strangers_in(keys: Mapping[str, Any], value: Any, at: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _strangers_in(keys, item, f"{at}[{index}]")
    elif isinstance(value, dict):
        yield from _strangers(keys, value, f"{at}.")


def _keys_in(annotation: Any) -> Mapping[str, Any] | None:
    """The keys of the model a field's value is made of, however deep in lists."""
    keys = keys_of(annotation)
    return keys or next(filter(None, map(_keys_in, get_args(annotation))), None)


def _of_error(path: str, error: CniError) -> Finding:
    message = error.msg.removeprefix(f"{path}: ")
    return Finding(ERROR, path, "", *_split(message))
