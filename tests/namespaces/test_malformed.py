"""Anything at all in environment, stdin and every key: one JSON document, a code, no effect.

Each test is one child in a fake host that plays all of its examples: a fork costs more than
a call.
"""

from __future__ import annotations

import json
from dataclasses import replace
from functools import reduce
from operator import getitem
from typing import Any

import drive
from chains import CHAIN, play
from drive import Outcome, Runtime
from evidence import inside, links, locks, rows
from hypothesis import given
from hypothesis import strategies as st
from malformed import (
    BASES,
    FOR_A_CONFIGURATION,
    Config,
    Key,
    Path,
    codes_for,
    codes_here,
    every_key,
    examples,
    judged,
    likely,
    numbers,
    put,
    texts,
    values,
)
from scenes import container, in_host, ip, run, succeed, whole

from pynet.cni.config import keys_of
from pynet.plugins.registry import OURS, plugin_named

FOR_AN_ENVIRONMENT = {4, 7, 8}
COMMANDS = ("ADD", "CHECK", "DEL", "STATUS", "GC", "VERSION")


KEEPER: Config = {**BASES["bridge without IPAM"], "name": "keep", "bridge": "cni0"}
MAIN: Config = {
    **drive.BRIDGE,
    "name": "chain",
    "bridge": "cni9",
    "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.8.0.0/24"}]]},
}
"""The main plugin before those that want one before them, on a network of its own."""


def test_every_key_of_every_model_is_covered() -> None:
    found = {(key.base, key.path): key.type for key in every_key()}
    assert found["bridge", ("vlanTrunk", 0, "minID")] is int
    assert found["bridge", ("ipam", "routes", 0, "dst")] is str
    assert found["host-local", ("ipam", "ranges", 0, 0, "subnet")] is str
    assert found["bridge", ("isGateway",)] is bool
    for plugin in OURS:
        for name in keys_of(plugin_named(plugin).config) or ():
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


def deleted(outcome: Outcome) -> None:
    assert outcome.status == 0 and outcome.stdout == b"", outcome.stdout


class Place:
    """A host where what is kept on purpose is there already, and somebody uses it."""

    def __init__(self) -> None:
        drive.ready(*drive.CONFIGS, *drive.NOT_EVERYWHERE)
        self.bare = container("c1")
        run("ip -n c1 link set lo up")  # the kernel gives it its address, and leaves it
        run("ip -n c1 link set lo down")
        succeed("ADD", drive.BRIDGE, self.bare)
        succeed("DEL", drive.BRIDGE, self.bare)
        succeed("ADD", KEEPER, container("keeper"))
        self.chained = container("chained")
        self.result = succeed("ADD", MAIN, self.chained).document
        for plugin in drive.BEFORE.keys() & drive.CONFIGS.keys():
            succeed("ADD", self.config(plugin), self.chained)
            succeed("DEL", self.config(plugin), self.chained)
        self.before = state()
        self.everything = whole()

    def config(self, base: str) -> Config:
        if base in drive.BEFORE or base == "dhcp":
            return {**BASES[base], "name": "chain", "prevResult": self.result}
        return BASES[base]

    def runtime(self, base: str) -> Runtime:
        if base == "dhcp":  # no server is waited for
            return replace(self.chained, environ={"PYNET_DAEMON": "never"})
        return self.chained if base in drive.BEFORE else self.bare

    def one_change(self, key: Key, value: Any, command: str) -> None:
        config = put(self.config(key.base), key.path, value)
        runtime = self.runtime(key.base)
        plugin = BASES[key.base]["type"]

        def call(command: str) -> Outcome:
            return drive.raw_call(plugin, runtime.environment(command), json.dumps(config).encode())

        if judged(call(command), codes_for(key, command)) and command == "ADD":
            deleted(call("DEL"))

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
        codes = set(FOR_AN_ENVIRONMENT)
        if environ.get("CNI_IFNAME") == "lo":
            codes.add(100)  # every container has that one
        good = judged(drive.raw_call("bridge", environ, stdin), codes)
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

        codes = FOR_A_CONFIGURATION | codes_here(plugin)
        if judged(call(command), codes) and command == "ADD":
            deleted(call("DEL"))
        place.unchanged()

    any_bytes()
    place.wholly_unchanged()


@in_host
def test_every_key() -> None:
    changed_at_random(Place(), every_key(), 80)


def changed_at_random(place: Place, keys: list[Key], count: int) -> None:
    """Several changes an example: looking at the host costs more than most calls."""
    any_key = st.sampled_from(keys)
    changes = any_key.flatmap(likely) | st.tuples(any_key, values)
    commands = st.sampled_from(("ADD", "ADD", "ADD", "CHECK", "DEL", "STATUS", "GC"))

    @examples(count)
    @given(st.lists(st.tuples(changes, commands), min_size=15, max_size=15))
    def any_values(several: list[tuple[tuple[Key, Any], str]]) -> None:
        for (key, value), command in several:
            try:
                place.one_change(key, value, command)
            except BaseException as error:
                error.add_note(f"{command} of {key.base} with {key.path} = {value!r}")
                raise
        place.unchanged()

    any_values()


@in_host
def test_any_key_of_any_plugin_of_a_list() -> None:
    """The runtime takes down what the plugins before have made: with that very list."""
    place = Place()
    own = {"name", "cniVersion", "type", "prevResult"}
    """What a runtime writes into each configuration itself."""
    listed = {config["type"] for config in CHAIN}
    keys = [key for key in every_key() if key.base in listed and key.path[0] not in own]
    failed: list[str] = []

    @examples(120)
    @given(st.sampled_from(sorted(listed)).flatmap(lambda plugin: changes_of(plugin)))
    def any_value(change: tuple[Key, Any]) -> None:
        key, value = change
        plugins = [put(c, key.path, value) if c["type"] == key.base else c for c in CHAIN]
        added = play("ADD", plugins, place.bare)
        good = judged(added, codes_for(key, "ADD"))
        failed.extend([] if good else [key.base])
        deleted(play("DEL", plugins, place.bare, added.document if good else None))
        place.unchanged()
        assert inside("c1") == fresh

    def changes_of(plugin: str) -> st.SearchStrategy[tuple[Key, Any]]:
        of_it = st.sampled_from([key for key in keys if key.base == plugin])
        return of_it.flatmap(likely) | st.tuples(of_it, values)

    fresh = inside("c1")
    any_value()
    assert {"bridge", "portmap", "tuning"} <= {*failed}


@in_host
def test_check_of_what_is_attached_with_any_result() -> None:
    place = Place()
    told = [("interfaces", 2, "name"), ("interfaces", 2, "mac"), ("interfaces", 2, "sandbox")]
    told += [("ips", 0, "address"), ("ips", 0, "interface"), ("ips", 0, "gateway")]
    told += [("routes", 0, key) for key in ("dst", "gw", "mtu", "priority", "table", "scope")]

    @examples(150)
    @given(st.sampled_from(told), values | texts | numbers)
    def any_value(path: Path, value: Any) -> None:
        config = {**MAIN, "prevResult": put(place.result, path, value)}
        stdin = json.dumps(config).encode()
        outcome = drive.raw_call("bridge", place.chained.environment("CHECK"), stdin)
        good = judged(outcome, {6, 7, 101})
        if is_wrong(path, value):
            assert not good, (path, value)
            found.add(path)

    def is_wrong(path: Path, value: Any) -> bool:
        """Says of the interface what is not so: of the rest CHECK has no view."""
        section, _, key = path
        if (section, key) not in JUDGED or (key == "mac" and not value):
            return False
        said = reduce(getitem, path, place.result)
        return bool(str(value).lower() != said)

    found: set[Path] = set()
    any_value()
    assert {(section, key) for section, _, key in found} == JUDGED
    place.wholly_unchanged()


JUDGED = {
    ("interfaces", "name"),
    ("interfaces", "mac"),
    ("interfaces", "sandbox"),
    ("ips", "address"),
    ("routes", "dst"),
}
