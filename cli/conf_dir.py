"""The directory of network configurations that runtimes read: NETCONFPATH, /etc/cni/net.d."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..cni.conflist import NetworkList, find_network, read_file
from ..cni.keys import get
from ..cni.version import SUPPORTED
from ..model.errors import CniError, ConfigError, IncompatibleVersion
from .lazy import did_you_mean

DEFAULT = "/etc/cni/net.d"
_SUFFIXES = (".conflist", ".conf", ".json")

File = tuple[str, bytes]


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
    return [
        (str(path.relative_to(root)), path.read_bytes()) for path in sorted(paths) if path.is_file()
    ]


def networks(directory: str) -> list[Found]:
    """Every file that runtimes would read there, in their order: lists first, by file name."""
    read = files(directory)
    own = [one for one in read if "/" not in one[0]]
    return [_read(one, read) for one in sorted(own, key=lambda one: _order(one[0]))]


def network_named(name: str, directory: str) -> NetworkList:
    """The network of that name. Raises `ConfigError` that says which there are."""
    read = files(directory)
    known = [found.network.name for found in networks(directory) if found.network]
    try:
        return _of_known_version(find_network(name, read))
    except ConfigError:
        if name in known or any(found.error for found in networks(directory)):
            raise
    near = did_you_mean(name, known)
    there = f"it has {', '.join(dict.fromkeys(known))}" if known else "it has none at all"
    raise ConfigError(f'there is no network "{name}" in {directory}: {there}{near}')


def _of_known_version(network: NetworkList) -> NetworkList:
    if network.cni_version not in SUPPORTED:
        raise IncompatibleVersion(
            f'network {network.name}: cniVersion "{network.cni_version}" is not one of '
            f"{', '.join(SUPPORTED)}"
        )
    return network


def _order(file: str) -> tuple[bool, str]:
    return not file.endswith(".conflist"), file


def _read(file: File, drop_ins: list[File]) -> Found:
    try:
        return Found(file[0], read_file(*file, drop_ins))
    except CniError as error:
        return Found(file[0], None, error)
