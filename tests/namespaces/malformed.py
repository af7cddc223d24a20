"""Values that a configuration or an environment should not have, and what must come of them.

The keys are read off the plugins' own models, so that a new key is covered as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import drive
from drive import CONFIGS, Outcome
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from scenes import the_error

from pynet.cni.config import keys_of as keys_of_model
from pynet.plugins.host_local import HostLocalIpam, RuntimeRanges
from pynet.plugins.registry import OURS, plugin_named
from pynet.plugins.static import StaticIpam

Config = dict[str, Any]
Path = tuple[str | int, ...]

FOR_A_CONFIGURATION = {1, 2, 6, 7}


def examples(count: int) -> settings:
    """Without shrinking: an example is small, or says which part of it failed."""
    return settings(
        max_examples=count,
        phases=(Phase.generate,),
        deadline=None,
        database=None,
        print_blob=False,
        suppress_health_check=list(HealthCheck),
    )


# --- values ---------------------------------------------------------------------

TEXTS = (
    "", " ", "a", "a/b", "..", "%d", "é" * 8, "x" * 300, "\u00a0", "\n", "null", "0", "-1", "1.5",
    "0.0.0.0", "10.1.0.5", "10.1.0.5/24", "10.1.0.0/24", "10.1.0.0/33", "10.1.0.0/-1", "/24",
    "255.255.255.255/32", "0.0.0.0/0", "::/0", "::", "fd00:1::5/64", "fe80::1%eth0", "1.2.3",
    "::ffff:10.1.0.5/120", "02:00:00:00:00:01", "ff:ff:ff:ff:ff:ff", "/nowhere", "/run", "lo",
    "9.9.9", "1.1.0", "0.3.0", "host-local", "static", "\U0001f41d", "10.1.0.9,fd00:1::9",
)  # fmt: skip
NUMBERS = (0, 1, -1, 2, 68, 100, 253, 254, 255, 1280, 4094, 4095, 2**31, 2**32, 2**64, -(2**63))
texts = st.sampled_from(TEXTS) | st.text(max_size=20)
numbers = st.sampled_from(NUMBERS)
leaves = st.none() | st.booleans() | numbers | st.sampled_from((0.5, 1.0, 1e300)) | texts
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(("cni", "mac", "ips", "type", "id", "subnet")), inner)
    ),
    max_leaves=4,
)
LIKELY: dict[Any, Any] = {str: texts, int: numbers, bool: st.booleans()}
"""Values of the right type, which get further than others."""


# --- keys -----------------------------------------------------------------------


@dataclass(frozen=True)
class Key:
    """`base` names the configuration whose `path` is changed; `type` is what should be there."""

    base: str
    path: Path
    type: Any = None


def keys_of(annotation: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    """`path`, and every path below it of a value of this type: its models' keys, its items."""
    arguments = [one for one in get_args(annotation) if one not in (Ellipsis, type(None))]
    if get_origin(annotation) is Annotated:
        yield from keys_of(arguments[0], path)
    elif get_origin(annotation) in (Union, UnionType):
        for one in arguments:
            yield from keys_of(one, path)
    elif keys := keys_of_model(annotation):
        yield path, None
        for name, inner in keys.items():
            yield from keys_of(inner, (*path, name))
    else:
        yield path, annotation if annotation in LIKELY else None
        if get_origin(annotation) in (tuple, list):
            yield from keys_of(arguments[0], (*path, 0))


def put(config: Any, path: Path, value: Any) -> Any:
    """A copy of `config` with `value` at `path`, and what is needed on the way there."""
    head, *rest = path
    inside = deepcopy(config)
    if isinstance(head, int):
        inside = inside if isinstance(inside, list) else []
        inside += [{}] * (head + 1 - len(inside))
    else:
        inside = inside if isinstance(inside, dict) else {}
    held = inside[head] if isinstance(head, int) else inside.get(head)
    inside[head] = put(held, tuple(rest), value) if rest else value
    return inside


BASES: dict[str, Config] = {
    **CONFIGS,
    **drive.NOT_EVERYWHERE,
    "bridge with static": {
        **drive.BRIDGE,
        "ipam": {**drive.STATIC["ipam"], "routes": [{"dst": "10.99.0.0/16"}]},
    },
    "bridge without IPAM": {"cniVersion": "1.1.0", "name": "web", "type": "bridge"},
    "dhcp": {"cniVersion": "1.1.0", "name": "web", "type": "dhcp", "ipam": {"type": "dhcp"}},
}


def every_key() -> list[Key]:
    """Of the plugins' models, of IPAM inside bridge, and what no model names."""
    models = [(plugin, plugin_named(plugin).config, ()) for plugin in OURS]
    models += [("bridge without IPAM", plugin_named("bridge").config, ())]
    inner: list[tuple[str, Any, Path]] = [
        *models,
        ("bridge", HostLocalIpam, ("ipam",)),
        ("bridge with static", StaticIpam, ("ipam",)),
        ("bridge", RuntimeRanges, ("runtimeConfig",)),
        ("host-local", RuntimeRanges, ("runtimeConfig",)),
    ]
    found = [
        Key(base, path, kind) for base, model, at in inner for path, kind in keys_of(model, at)
    ]
    return [key for key in found if key.path] + [
        Key(base, path, str) for base in BASES for path in LOOSE
    ]


LOOSE: list[Path] = [
    ("runtimeConfig", "mac"),
    ("runtimeConfig", "ips"),
    ("runtimeConfig", "ips", 0),
    ("args", "cni"),
    ("args", "cni", "mac"),
    ("args", "cni", "ips", 0),
    ("cni.dev/valid-attachments",),
    ("cni.dev/attachments", 0, "containerID"),
    ("prevResult",),
    ("prevResult", "cniVersion"),
    ("prevResult", "interfaces", 0, "name"),
    ("prevResult", "interfaces", 2, "name"),
    ("prevResult", "ips", 0, "address"),
    *(("prevResult", "routes", 0, key) for key in ("dst", "gw", "mtu", "table")),
]


def likely(key: Key) -> st.SearchStrategy[tuple[Key, Any]]:
    return st.tuples(st.just(key), LIKELY[key.type] if key.type else values)


# --- what must come of them -----------------------------------------------------


def judged(outcome: Outcome, codes: set[int]) -> bool:
    """Whether it succeeded; else its one document must be an error with one of `codes`."""
    if outcome.status:
        assert the_error(outcome)["code"] in codes, outcome.document
        assert outcome.stdout.endswith(b"}\n")
        return False
    assert outcome.stdout == b"" or isinstance(outcome.document, dict)
    return True


def codes_here(base: str) -> set[int]:
    """What ADD and STATUS say where the kernel that runs this makes no links of that kind."""
    return {50, 102} if base in drive.NOT_EVERYWHERE and base not in CONFIGS else set()


def codes_for(key: Key, command: str) -> set[int]:
    """DEL needs no more than what names the attachment."""
    if command == "DEL":
        return {1, 6, 7} if key.path[0] in ("name", "cniVersion") else set()
    found = set(FOR_A_CONFIGURATION)
    if key.path[0] in ("ipam", "runtimeConfig", "args", "mtu"):
        found |= {5, 102}  # paths that can't be read, what only the kernel can judge
    found |= codes_here(key.base)
    if key.base == "dhcp":
        found |= {50}  # there is no agent, and none may be left behind
    if command == "CHECK":
        found.add(101)
    return found
