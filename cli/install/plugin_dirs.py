"""Where container runtimes look for plugins, as their configuration files say."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_PODMANS = ("/usr/local/libexec/cni", "/usr/libexec/cni", "/usr/local/lib/cni", "/usr/lib/cni")
_USUAL = "/opt/cni/bin"


@dataclass(frozen=True)
class Searched:
    """`file` says so; "" where that is what the runtime does by itself."""

    directories: tuple[Path, ...]
    file: str = ""


def searched(runtime: str) -> Searched | None:
    """Where it looks for plugins; None for one that runs none, or whose files can't be read."""
    if runtime not in _RUNTIMES:
        return None
    files, read, usual = _RUNTIMES[runtime]
    found = Searched(tuple(map(Path, usual)))
    for file in _existing(files):
        try:
            named = read(file.read_text())
        except (OSError, ValueError):
            return None
        if named:
            found = Searched(tuple(map(Path, named)), str(file))
    return found


def _existing(patterns: tuple[str, ...]) -> Iterator[Path]:
    """In the order they are read: a later one counts."""
    for pattern in patterns:
        path = Path(pattern)
        yield from sorted(each for each in path.parent.glob(path.name) if each.is_file())


def _containerd(text: str) -> list[str]:
    """Of the CRI plugin, under whatever name the version has it."""
    return list(_named_in(tomllib.loads(text).get("plugins"), "cni", ("bin_dirs", "bin_dir")))


def _crio(text: str) -> list[str]:
    keys = ("plugin_dirs", "plugin_dir")
    return list(_named_in(tomllib.loads(text).get("crio"), "network", keys))


def _podman(text: str) -> list[str]:
    return list(_named_in(tomllib.loads(text), "network", ("cni_plugin_dirs",)))


def _nomad(text: str) -> list[str]:
    found = re.search(r'^\s*"?cni_path"?\s*[:=]\s*"([^"]+)"', text, re.MULTILINE)
    return found[1].split(":") if found else []


def _named_in(document: Any, table: str, keys: tuple[str, ...]) -> Iterator[str]:
    """What the first of `keys` that has a value says, in the tables of that name."""
    if not isinstance(document, dict):
        return
    inner = document.get(table)
    if isinstance(inner, dict):
        value: Any = next((inner[key] for key in keys if inner.get(key)), [])
        yield from [value] if isinstance(value, str) else map(str, value)
        return
    for each in document.values():
        yield from _named_in(each, table, keys)


_RUNTIMES: dict[str, tuple[tuple[str, ...], Callable[[str], list[str]], tuple[str, ...]]] = {
    "containerd": (("/etc/containerd/config.toml",), _containerd, (_USUAL,)),
    "CRI-O": (("/etc/crio/crio.conf", "/etc/crio/crio.conf.d/*"), _crio, (_USUAL,)),
    "Podman": (
        (
            "/usr/share/containers/containers.conf",
            "/etc/containers/containers.conf",
            "/etc/containers/containers.conf.d/*.conf",
        ),
        _podman,
        (*_PODMANS, _USUAL),
    ),
    "Nomad": (("/etc/nomad.d/*.hcl", "/etc/nomad.d/*.json"), _nomad, (_USUAL,)),
}
