"""Anything at all in environment, stdin and every key: one JSON document, a code, no effect.

Each test is one child in a fake host that plays all of its examples: a fork costs more than
a call. The keys are read off the plugins' own models, so that a new key is covered as well.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import drive
from drive import CONFIGS, Outcome, Runtime
from evidence import links, locks, rows
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from scenes import container, in_host, ip, run, succeed, the_error, whole

from pynet.plugins.host_local import HostLocalIpam, RuntimeRanges
from pynet.plugins.registry import OURS, plugin_named
from pynet.plugins.static import StaticIpam

Config = dict[str, Any]
Path = tuple[str | int, ...]

FOR_A_CONFIGURATION = {1, 2, 6, 7}
FOR_AN_ENVIRONMENT = {4, 7, 8}
COMMANDS = ("ADD", "CHECK", "DEL", "STATUS", "GC", "VERSION")


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
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield path, None
        for name, field in annotation.model_fields.items():
            yield from keys_of(field.annotation, (*path, name))
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
    "bridge with static": {
        **drive.BRIDGE,
        "ipam": {**drive.STATIC["ipam"], "routes": [{"dst": "10.99.0.0/16"}]},
    },
    "bridge without IPAM": {"cniVersion": "1.1.0", "name": "web", "type": "bridge"},
}


KEEPER: Config = {**BASES["bridge without IPAM"], "name": "keep", "bridge": "cni0"}
CHAIN: Config = {
    **drive.BRIDGE,
    "name": "chain",
    "bridge": "cni9",
    "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.8.0.0/24"}]]},
}
"""The main plugin before those that want one before them, on a network of its own."""


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


def test_every_key_of_every_model_is_covered() -> None:
    found = {(key.base, key.path): key.type for key in every_key()}
    assert found["bridge", ("vlanTrunk", 0, "minID")] is int
    assert found["bridge", ("ipam", "routes", 0, "dst")] is str
    assert found["host-local", ("ipam", "ranges", 0, 0, "subnet")] is str
    assert found["bridge", ("isGateway",)] is bool
    for plugin in OURS:
        for name in plugin_named(plugin).config.model_fields:
            assert (plugin, (name,)) in found


# --- what must hold -------------------------------------------------------------


def state() -> set[str]:
    """What can be asked quickly: links, the host's addresses, the store."""
    inner = {
        f"{netns}: {link['ifname']} {link['flags']} {link['mtu']} {link.get('address')}"
        for netns in ("c1", "chained")
        for link in ip("addr", netns)
    }
    return links() | inner | rows() | locks()


def judged(outcome: Outcome, codes: set[int]) -> bool:
    """Whether it succeeded; else its one document must be an error with one of `codes`."""
    if outcome.status:
        assert the_error(outcome)["code"] in codes, outcome.document
        assert outcome.stdout.endswith(b"}\n")
        return False
    assert outcome.stdout == b"" or isinstance(outcome.document, dict)
    return True


def deleted(outcome: Outcome) -> None:
    assert outcome.status == 0 and outcome.stdout == b"", outcome.stdout


class Place:
    """A host where what is kept on purpose is there already, and somebody uses it."""

    def __init__(self) -> None:
        self.bare = container("c1")
        run("ip -n c1 link set lo up")  # the kernel gives it its address, and leaves it
        run("ip -n c1 link set lo down")
        succeed("ADD", drive.BRIDGE, self.bare)
        succeed("DEL", drive.BRIDGE, self.bare)
        succeed("ADD", KEEPER, container("keeper"))
        self.chained = container("chained")
        self.result = succeed("ADD", CHAIN, self.chained).document
        for plugin in drive.BEFORE:
            succeed("ADD", self.config(plugin), self.chained)
            succeed("DEL", self.config(plugin), self.chained)
        self.before = state()
        self.everything = whole()

    def config(self, base: str) -> Config:
        if base in drive.BEFORE:
            return {**BASES[base], "name": "chain", "prevResult": self.result}
        return BASES[base]

    def runtime(self, base: str) -> Runtime:
        return self.chained if base in drive.BEFORE else self.bare

    def unchanged(self) -> None:
        """But for the bridges that were made on the way, and that nobody uses."""
        succeed("GC", KEEPER)
        assert state() == self.before

    def wholly_unchanged(self) -> None:
        assert whole() == self.everything


@in_host
def test_environment() -> None:
    place = Place()
    stdin = json.dumps(drive.BRIDGE).encode()
    names = st.sampled_from([*place.bare.environment("ADD"), "CNI_ARGS", "CNI_NETNS_OVERRIDE"])
    pairs = st.lists(
        st.tuples(st.sampled_from(("IP", "MAC", "GATEWAY", "IgnoreUnknown", "")), texts), max_size=3
    ).map(lambda pairs: ";".join(f"{key}={value}" for key, value in pairs))

    @examples(200)
    @given(
        st.dictionaries(names, st.none() | texts | pairs, min_size=1, max_size=2),
        st.sampled_from(COMMANDS),
    )
    def any_value(changes: dict[str, str | None], command: str) -> None:
        changed: dict[str, str | None] = {**place.bare.environment(command), **changes}
        environ = {key: value for key, value in changed.items() if value is not None}
        if not environ.get("CNI_COMMAND"):
            return  # the process says what it is, on stderr, and is not served
        good = judged(drive.raw_call("bridge", environ, stdin), FOR_AN_ENVIRONMENT)
        if good and environ["CNI_COMMAND"] == "ADD":
            deleted(drive.raw_call("bridge", {**environ, "CNI_COMMAND": "DEL"}, stdin))
        place.unchanged()

    any_value()
    place.wholly_unchanged()


@in_host
def test_stdin() -> None:
    place = Place()
    text = json.dumps(drive.BRIDGE).encode()
    cut = st.integers(0, len(text) - 1).map(lambda end: text[:end])
    spoilt = st.tuples(st.integers(0, len(text) - 1), st.binary(max_size=2)).map(
        lambda change: text[: change[0]] + change[1] + text[change[0] + 1 :]
    )
    documents = values.map(lambda value: json.dumps(value).encode())

    @examples(200)
    @given(
        st.binary() | cut | spoilt | documents,
        st.sampled_from(sorted(OURS)),
        st.sampled_from(COMMANDS),
    )
    def any_bytes(stdin: bytes, plugin: str, command: str) -> None:
        def call(command: str) -> Outcome:
            return drive.raw_call(plugin, place.bare.environment(command), stdin)

        if judged(call(command), FOR_A_CONFIGURATION) and command == "ADD":
            deleted(call("DEL"))
        place.unchanged()

    any_bytes()
    place.wholly_unchanged()


def likely(key: Key) -> st.SearchStrategy[tuple[Key, Any]]:
    return st.tuples(st.just(key), LIKELY[key.type] if key.type else values)


@in_host
def test_every_key() -> None:
    """Several changes an example: looking at the host costs more than most calls."""
    place = Place()
    keys = st.sampled_from(every_key())
    changes = keys.flatmap(likely) | st.tuples(keys, values)
    commands = st.sampled_from(("ADD", "ADD", "ADD", "CHECK", "DEL", "STATUS", "GC"))

    @examples(80)
    @given(st.lists(st.tuples(changes, commands), min_size=15, max_size=15))
    def any_values(several: list[tuple[tuple[Key, Any], str]]) -> None:
        for (key, value), command in several:
            try:
                one_change(key, value, command)
            except BaseException as error:
                error.add_note(f"{command} of {key.base} with {key.path} = {value!r}")
                raise
        place.unchanged()

    def one_change(key: Key, value: Any, command: str) -> None:
        config = put(place.config(key.base), key.path, value)
        runtime = place.runtime(key.base)
        plugin = BASES[key.base]["type"]

        def call(command: str) -> Outcome:
            return drive.raw_call(plugin, runtime.environment(command), json.dumps(config).encode())

        if judged(call(command), codes_for(key, command)) and command == "ADD":
            deleted(call("DEL"))

    any_values()


def codes_for(key: Key, command: str) -> set[int]:
    """DEL needs no more than what names the attachment."""
    if command == "DEL":
        return {1, 6, 7} if key.path[0] in ("name", "cniVersion") else set()
    found = set(FOR_A_CONFIGURATION)
    if key.path[0] in ("ipam", "runtimeConfig", "args", "mtu"):
        found |= {5, 102}  # paths that can't be read, what only the kernel can judge
    if command == "CHECK":
        found.add(101)
    return found


@in_host
def test_check_of_what_is_attached_with_any_result() -> None:
    place = Place()
    told = [("interfaces", 2, "name"), ("interfaces", 2, "mac"), ("interfaces", 2, "sandbox")]
    told += [("ips", 0, "address"), ("ips", 0, "interface"), ("ips", 0, "gateway")]
    told += [("routes", 0, key) for key in ("dst", "gw", "mtu", "priority", "table", "scope")]

    @examples(150)
    @given(st.sampled_from(told), values | texts | numbers)
    def any_value(path: Path, value: Any) -> None:
        config = {**CHAIN, "prevResult": put(place.result, path, value)}
        stdin = json.dumps(config).encode()
        outcome = drive.raw_call("bridge", place.chained.environment("CHECK"), stdin)
        judged(outcome, {6, 7, 101})

    any_value()
    place.wholly_unchanged()
