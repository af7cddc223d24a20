"""The directory of network configurations that runtimes read: NETCONFPATH, /etc/cni/net.d."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ...cni.conflist import LIMIT, NetworkList, find_network, read_file
from ...cni.keys import get
from ...cni.version import SUPPORTED
from ...model.errors import CniError, ConfigError, DecodingError, IncompatibleVersion
from ...model.shown import command
from ..lazy import did_you_mean

DEFAULT = "/etc/cni/net.d"
_SUFFIXES = (".conflist", ".conf", ".json")

File = tuple[str, bytes]


def directory() -> str:
    """Where it is for commands that are not told."""
    return os.environ.get("NETCONFPATH") or DEFAULT


@dataclass(frozen=True)
class Found:
    """One file of the directory: the network it describes, or what is wrong with it."""

    file: str
    network: NetworkList | None
    error: CniError | None = None

    @property
    def types(self) -> list[str]:
        """The names of its plugins, in the order of ADD."""
        return [str(get(plugin, "type")) for plugin in self.network.plugins] if self.network else []


def files(directory: str) -> list[File]:
    """All that describes networks, the drop-ins in `<network>/*.conf` too; [] without directory.

    Raises OSError for what is there and can't be read.
    """
    root = Path(directory)
    paths = [path for path in root.glob("*") if path.suffix in _SUFFIXES]
    paths += root.glob("*/*.conf")
    found = []
    for path in sorted(paths):
        with suppress(FileNotFoundError):  # somebody has removed it meanwhile
            if path.is_file():
                found.append((str(path.relative_to(root)), document(path)))
    return found


def document(path: Path) -> bytes:
    """What stands there, up to what is known to be too much. Raises OSError."""
    with path.open("rb") as file:
        return file.read(LIMIT + 1)


def networks(directory: str) -> list[Found]:
    """Every file that runtimes would read there, in their order: lists first, by file name."""
    found = files(directory)
    own = [one for one in found if "/" not in one[0]]
    return [read(one, found) for one in sorted(own, key=lambda one: _order(one[0]))]


def network_named(name: str, directory: str, *, wanted: bool = False) -> NetworkList:
    """The network of that name. Raises `ConfigError` that says which there are.

    Whoever is about to attach a container `wanted` one: where there is none it can be made.
    """
    found = files(directory)
    known = [found.network.name for found in networks(directory) if found.network]
    try:
        return _of_known_version(_found(name, found, directory))
    except ConfigError:
        if name in known or any(found.error for found in networks(directory)):
            raise
    near = did_you_mean(name, known)
    there = f"it has {', '.join(dict.fromkeys(known))}" if known else "it has none at all"
    create = command("pynet", "network", "create", name)
    hint = near or (f"; create it: {create}" if wanted else "")
    raise ConfigError(f'there is no network "{name}" in {directory}: {there}{hint}')


def refuse_hidden(name: str, file: File, directory: str) -> None:
    """Raises `CniError` where runtimes would not find the network `name` once `file` is there.

    A broken file that comes before it stands in its way.
    """
    _found(name, [*files(directory), file], directory)


def _found(name: str, found: list[File], directory: str) -> NetworkList:
    """Raises `CniError` that says which file is to be corrected."""
    try:
        return find_network(name, found)
    except (ConfigError, DecodingError) as error:
        if not any(error.msg.startswith(f"{path}: ") for path, _ in found):
            raise
        said = f"{Path(directory, error.msg)}; correct this file, or move it away"
        raise type(error)(said, details=error.details) from None


def _of_known_version(network: NetworkList) -> NetworkList:
    if network.cni_version not in SUPPORTED:
        raise IncompatibleVersion(
            f'network {network.name}: cniVersion "{network.cni_version}" is not one of '
            f"{', '.join(SUPPORTED)}"
        )
    return network


def _order(file: str) -> tuple[bool, str]:
    return not file.endswith(".conflist"), file


def read(file: File, drop_ins: list[File]) -> Found:
    """The network that one file describes, with what it draws from others."""
    try:
        return Found(file[0], read_file(*file, drop_ins))
    except CniError as error:
        return Found(file[0], None, error)
