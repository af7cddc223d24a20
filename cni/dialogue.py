"""One execution of a plugin: from environment and stdin to a request, and back to stdout.

The order of the checks is the reference's: environment (4), decoding (6), network name
(7), version (1), the plugin's own configuration (7). VERSION needs none of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from ..model.errors import CniError, ConfigError
from ..model.plugin import Plugin
from ..model.request import Command, Request
from ..model.result import Result
from ..model.value import compact
from . import environment, version
from .config import decode, network_name, parse_model, without_odd_characters
from .environment import command_of as command_of  # the first thing a caller asks
from .keys import get, get_object, shown
from .result import from_json, to_json

_REMEMBERED = 1 << 14
"""Configurations up to this many bytes are kept parsed."""


def read_request(plugin: Plugin, environ: Mapping[str, str], stdin: bytes, host: str) -> Request:
    """Everything a call says, checked. Raises `CniError` with the spec's codes, nothing else.

    `host` identifies the caller's network namespace. For VERSION, stdin may hold anything.
    """
    reads_args = plugin.arguments is not None
    call = environment.parse(environ, reads_args=reads_args)
    if plugin.arguments is not None and call.command in (Command.ADD, Command.CHECK):
        environment.refuse_unknown(call.args, plugin.arguments)
    if call.command is Command.VERSION:
        answer = version.document(plugin.versions, _asked_version(stdin))
        return Request(call.command, plugin.name, "", "", "", answer["cniVersion"], {}, host=host)
    if call.command is Command.DEL:
        stdin = without_odd_characters(stdin)
    config = _decoded(stdin)
    network = network_name(config)
    cni_version = version.of_config(config)
    version.check(call.command, cni_version, plugin.versions)
    conf, common = _conf(plugin, call.command, config, stdin)
    return Request(
        call.command,
        plugin.name,
        network,
        call.container,
        call.interface,
        cni_version,
        config,
        conf,
        netns=call.netns,
        args=call.args,
        path=call.path,
        runtime_config=_runtime_config(call.command, config),
        prev_result=_prev_result(plugin, call.command, config, cni_version),
        valid_attachments=_valid_attachments(config) if call.command is Command.GC else None,
        host=host,
        common=common,
    )


def _decoded(stdin: bytes) -> dict[str, Any]:
    return _decoded_before(stdin) if len(stdin) <= _REMEMBERED else decode(stdin)


@lru_cache(maxsize=64)
def _decoded_before(stdin: bytes) -> dict[str, Any]:
    """All first plugins of a network's ADDs are given the same configuration. Read only."""
    return decode(stdin)


@lru_cache(maxsize=64)
def _parsed_before(plugin: Plugin, stdin: bytes) -> tuple[Any, dict[str, Any]]:
    return parse_model(plugin.config, _decoded(stdin)), {}


def _conf(
    plugin: Plugin, command: Command, config: Mapping[str, Any], stdin: bytes
) -> tuple[Any, dict[str, Any]]:
    """The plugin's model, None for a DEL whose configuration is wrong by now: records do.

    With it comes what all requests with this configuration share.
    """
    try:
        if len(stdin) <= _REMEMBERED:
            return _parsed_before(plugin, stdin)
        return parse_model(plugin.config, config), {}
    except CniError:
        if command is Command.DEL:
            return None, {}
        raise


def _runtime_config(command: Command, config: Mapping[str, Any]) -> Mapping[str, Any]:
    """A DEL does without."""
    try:
        return get_object(config, "runtimeConfig") or {}
    except ConfigError:
        if command is Command.DEL:
            return {}
        raise


def _prev_result(
    plugin: Plugin, command: Command, config: Mapping[str, Any], cni_version: str
) -> Result | None:
    """The result of what ran before. CHECK can't do without; a DEL does with what it can get."""
    if command in (Command.GC, Command.STATUS):
        return None
    try:
        document = get_object(config, "prevResult")
        if document is not None:
            return from_json(document, cni_version)
    except ConfigError:
        if command is Command.DEL:
            return None
        raise
    if command is Command.CHECK and plugin.checks_result:
        raise ConfigError("prevResult: missing; CHECK compares with it", details="prevResult")
    return None


def _valid_attachments(config: Mapping[str, Any]) -> frozenset[tuple[str, str]] | None:
    """GC's (container, interface) pairs that live; None where the runtime gave no list.

    An empty list says that all are stale, an absent one says nothing: the two must never
    be mixed up, and an entry that can't be read must not make a live attachment stale.
    libcni gave the list another key at first.
    """
    key = "cni.dev/valid-attachments"
    entries = get(config, key)
    if entries is None:
        key = "cni.dev/attachments"
        entries = get(config, key)
    if entries is None:
        return None
    if not isinstance(entries, list):
        raise ConfigError(f"{key}: {shown(entries)} is not a list", details=key)
    return frozenset(_pair(entry, f"{key}[{place}]") for place, entry in enumerate(entries))


def _pair(entry: Any, at: str) -> tuple[str, str]:
    if isinstance(entry, dict):
        container, interface = get(entry, "containerID"), get(entry, "ifname")
        if isinstance(container, str) and isinstance(interface, str) and container and interface:
            return container, interface
    raise ConfigError(f"{at}: {shown(entry)} does not name containerID and ifname", details=at)


# --- the answer: exactly one JSON document, or nothing --------------------------------


def version_document(plugin: Plugin, stdin: bytes = b"") -> bytes:
    """What VERSION prints, whatever stdin holds."""
    return _document(version.document(plugin.versions, _asked_version(stdin)))


@lru_cache(maxsize=64)  # it is tried before anything is made, and then given
def result_bytes(result: Result, cni_version: str) -> bytes:
    """What a successful ADD prints. Raises `CniError` where the version can't hold it."""
    return _document(to_json(result, cni_version))


def error_bytes(error: CniError, cni_version: str) -> bytes:
    """What a failure prints: on stdout too, that is where every runtime looks for it."""
    return _document(error.to_json(cni_version))


def wanted_version(stdin: bytes) -> str:
    """The `cniVersion` of an error for this call; never raises.

    CNI spec 1.1.0, "Error": "The protocol version in use by the plugin". Where none could
    be agreed on (stdin unreadable, a version that is not supported) that is our newest.
    """
    try:
        asked = version.of_config(decode(stdin))
    except CniError:
        return version.CURRENT
    return asked if asked in version.SUPPORTED else version.CURRENT


def _document(document: Mapping[str, Any]) -> bytes:
    return compact(document).encode() + b"\n"


def _asked_version(stdin: bytes) -> Any:
    try:
        return get(decode(stdin), "cniVersion")
    except CniError:
        return None
