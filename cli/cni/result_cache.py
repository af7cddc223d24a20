"""What ADD answered, kept for CHECK, DEL and GC: files as libcni writes and reads them.

Rules that hold here:
- A file appears whole or not at all (libcni writes in place).
- One that can't be read is as good as none: it must never keep a DEL from its work.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from ...cni.config import decode
from ...cni.conflist import LIMIT, NetworkList, parse_list
from ...model.errors import CniError
from ...model.place import HIGHEST_NUMBER, NO_NUMBER
from ...store.records import Record, State
from ..interfaces import UNSEEN, Sandbox
from .execution import Target

Value = TypeVar("Value")

KIND = "cniCacheV1"
_SANDBOX = "pynetSandbox"
ROOTS = Path("/var/lib/cni")
_LONGEST = 4 * LIMIT
"""Bytes of an entry: the configuration in base64, the result, and what capabilities were given."""


def default_directory() -> Path:
    """libcni's for root; for anybody else beside pynet's state. Raises `CniError`."""
    if os.geteuid() == 0:
        return ROOTS
    from ...daemon.settings import settings

    return settings(os.environ).state / "cni"


@dataclass(frozen=True)
class Cached:
    """One attachment: what it was made with, and the result document of its ADD."""

    network: str
    target: Target
    result: Mapping[str, Any] = field(default_factory=dict)
    config: bytes = b""
    sandbox: Sandbox = UNSEEN

    def remembered(self) -> Record:
        """As a record that is in no store: what its namespace is found by."""
        return Record(
            id=0,
            host=self.sandbox.host,
            network=self.network,
            container=self.target.container,
            interface=self.target.interface,
            plugin="",
            digest="",
            state=State.READY,
            claim=0,
            sandbox=self.sandbox.cookie,
            netns=self.target.netns,
            request="",
            result=json.dumps(self.result),
            created=0.0,
            nsid=self.sandbox.number,
        )

    def network_list(self) -> NetworkList | None:
        """The network as it was at ADD; None where the file does not say."""
        try:
            return parse_list(decode(self.config))
        except CniError:
            return None


class ResultCache:
    def __init__(self, directory: Path) -> None:
        self.results = directory / "results"

    def write(
        self,
        network: NetworkList,
        target: Target,
        result: Mapping[str, Any],
        sandbox: Sandbox = UNSEEN,
    ) -> None:
        """Keep `result`, in place of an earlier one. Raises OSError."""
        pairs = [pair.split("=", 1) for pair in target.args.split(";") if "=" in pair]
        document = {
            "kind": KIND,
            "containerId": target.container,
            "config": base64.b64encode(_configuration(network)).decode(),
            "ifName": target.interface,
            "networkName": network.name,
            "netns": target.netns,
            "cniArgs": pairs,
            "capabilityArgs": target.capabilities,
            "result": result,
            # Ours alone: whose the namespace is once no path leads there.
            _SANDBOX: vars(sandbox) if sandbox.cookie else None,
        }
        document = {key: value for key, value in document.items() if value}
        self.results.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._path(network.name, target)
        # A name that no attachment can have: container ids begin with a letter or digit.
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            temporary.write_text(json.dumps(document))
            temporary.chmod(0o600)
            temporary.replace(path)
        except BaseException as error:
            temporary.unlink(missing_ok=True)
            if isinstance(error, OSError):
                error.filename = str(path)  # a refused write names no file
            raise

    def read(self, network: str, target: Target) -> Cached | None:
        """The attachment's entry; None where there is none that can be read."""
        found = _read(self._path(network, target))
        mine = found and (found.network, found.target.container, found.target.interface)
        return found if mine == (network, target.container, target.interface) else None

    def remove(self, network: str, target: Target) -> None:
        """Forget it; its absence is no error. Raises OSError."""
        self._path(network, target).unlink(missing_ok=True)

    def attachments(self, network: str | None = None) -> Iterator[Cached]:
        """All that can be read, or those of one network, by file name."""
        try:
            paths = sorted(self.results.iterdir())
        except OSError:
            return
        for path in paths:
            found = None if path.name.startswith(".") else _read(path)
            if found and network in (None, found.network):
                yield found

    def _path(self, network: str, target: Target) -> Path:
        return self.results / f"{network}-{target.container}-{target.interface}"


def _configuration(network: NetworkList) -> bytes:
    """The list with everything drawn into it from other files."""
    return json.dumps(
        {
            "cniVersion": network.cni_version,
            "name": network.name,
            "disableCheck": network.disable_check,
            "disableGC": network.disable_gc,
            "loadOnlyInlinedPlugins": True,
            "plugins": network.plugins,
        }
    ).encode()


def _read(path: Path) -> Cached | None:
    if not path.is_file():  # what may never end is not waited for
        return None
    try:
        with path.open("rb") as file:
            document = json.loads(file.read(_LONGEST))
        return _cached(document) if document["kind"] == KIND else None
    except (OSError, ValueError, RecursionError, KeyError, TypeError, binascii.Error):
        return None


def _cached(document: Mapping[str, Any]) -> Cached:
    """Raises ValueError, KeyError, TypeError for what is no entry."""
    pairs = document.get("cniArgs") or []
    target = Target(
        container=_of(str, document["containerId"]),
        netns=_of(str, document.get("netns", "")),
        interface=_of(str, document["ifName"]),
        args=";".join(f"{key}={value}" for key, value in pairs),
        capabilities=_of(dict, document.get("capabilityArgs") or {}),
    )
    config = base64.b64decode(document.get("config", ""))
    result = _of(dict, document.get("result") or {})
    network = _of(str, document["networkName"])
    return Cached(network, target, result, config, _sandbox(document.get(_SANDBOX) or {}))


def _sandbox(document: Mapping[str, Any]) -> Sandbox:
    number = _of(int, document.get("number", NO_NUMBER))
    if not NO_NUMBER <= number <= HIGHEST_NUMBER:
        raise ValueError(f"{number} is no number of a namespace")
    return Sandbox(_of(str, document.get("host", "")), _of(str, document.get("cookie", "")), number)


def _of(kind: type[Value], value: Any) -> Value:
    if not isinstance(value, kind):
        raise TypeError(f"{value!r} is not a {kind.__name__}")
    return value
