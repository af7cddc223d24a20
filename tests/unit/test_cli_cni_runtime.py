"""A runtime's duties: who is run, in which order, with what on stdin, and what after an error."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pynet.cli.cni.execution import PluginError, Plugins, Target
from pynet.cli.cni.result_cache import ResultCache
from pynet.cli.cni.runtime import Runtime
from pynet.cli.failure import line
from pynet.cni.conflist import NetworkList, parse_list
from pynet.model.errors import CniError, Code

TARGET = Target("c1", "/nowhere/c1", "eth0", "K=V", {"mac": "02:00:00:00:00:01", "ips": ["x"]})

# A plugin that writes down each call, adds its name to the result's routes, and fails when told.
PLUGIN = f"""#!{sys.executable} -IS
import json, os, pathlib, sys
here = pathlib.Path(__file__)
command, stdin = os.environ["CNI_COMMAND"], sys.stdin.read()
environ = {{key: text for key, text in os.environ.items() if key.startswith("CNI_")}}
with open(here.parent / "calls", "a") as calls:
    calls.write(json.dumps([here.name, command, json.loads(stdin), environ]) + "\\n")
told = here.with_suffix(f".{{command}}")
if told.exists():
    sys.stdout.write(told.read_text())
    sys.exit("it said this on stderr")
if command == "ADD":
    result = json.loads(stdin).get("prevResult", {{"cniVersion": "1.1.0", "routes": []}})
    result["routes"].append({{"dst": here.name}})
    print(json.dumps(result))
if command == "VERSION":
    print(json.dumps({{"cniVersion": "1.1.0", "supportedVersions": ["1.0.0", "1.1.0"]}}))
"""


class Bench:
    """Two plugins in a directory of their own, and what they were called with."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        for name in ("one", "two"):
            (directory / name).write_text(PLUGIN)
            (directory / name).chmod(0o755)
        self.cache = ResultCache(directory / "cache")
        self.runtime = Runtime(Plugins((str(directory),)), self.cache)

    def tell_to_fail(self, name: str, command: str, answer: Any = "") -> None:
        text = answer if isinstance(answer, str) else json.dumps(answer)
        (self.directory / f"{name}.{command}").write_text(text)

    def calls(self) -> list[tuple[str, str, dict[str, Any], dict[str, str]]]:
        path = self.directory / "calls"
        lines = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return [tuple(json.loads(line)) for line in lines]

    def ran(self) -> list[str]:
        return [f"{name} {command}" for name, command, _, _ in self.calls()]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def network(**keys: Any) -> NetworkList:
    first = {"type": "one", "capabilities": {"mac": True, "ips": False}, "own": 1}
    document = {"cniVersion": "1.1.0", "name": "web", "plugins": [first, {"type": "two"}]}
    return parse_list(document | keys)


def test_results_go_down_the_chain_and_the_last_is_the_answer(bench: Bench) -> None:
    result = bench.runtime.add(network(), TARGET)
    assert [route["dst"] for route in result["routes"]] == ["one", "two"]
    first, second = bench.calls()
    assert "prevResult" not in first[2]
    assert [route["dst"] for route in second[2]["prevResult"]["routes"]] == ["one"]
    # Each plugin gets the arguments of the capabilities it declares, and no declaration.
    assert first[2]["runtimeConfig"] == {"mac": "02:00:00:00:00:01"}
    assert "runtimeConfig" not in second[2]
    assert "capabilities" not in first[2]
    assert (first[2]["name"], first[2]["cniVersion"], first[2]["own"]) == ("web", "1.1.0", 1)
    assert first[3] == {
        "CNI_COMMAND": "ADD",
        "CNI_CONTAINERID": "c1",
        "CNI_NETNS": "/nowhere/c1",
        "CNI_IFNAME": "eth0",
        "CNI_ARGS": "K=V",
        "CNI_PATH": str(bench.directory),
    }


def test_del_and_check_are_given_the_result_of_the_whole_add(bench: Bench) -> None:
    result = bench.runtime.add(network(), TARGET)
    bench.calls()
    assert bench.runtime.check(network(), TARGET)
    bench.runtime.delete(network(), TARGET)
    calls = bench.calls()
    ran = [f"{name} {command}" for name, command, _, _ in calls]
    assert ran == ["one CHECK", "two CHECK", "two DEL", "one DEL"]
    assert all(config["prevResult"] == result for _, _, config, _ in calls)
    assert list(bench.cache.attachments()) == []


def test_before_0_4_0_del_is_given_no_result(bench: Bench) -> None:
    old = network(cniVersion="0.3.1")
    bench.runtime.add(old, TARGET)
    bench.calls()
    bench.runtime.delete(old, TARGET)
    assert not any("prevResult" in config for _, _, config, _ in bench.calls())


@pytest.mark.parametrize("failing", ["one", "two"])
def test_a_failed_add_is_taken_back_whole(bench: Bench, failing: str) -> None:
    bench.tell_to_fail(failing, "ADD", {"code": 7, "msg": "not like this", "details": "at all"})
    with pytest.raises(PluginError) as caught:
        bench.runtime.add(network(), TARGET)
    assert caught.value.msg == f"network web: {failing} ADD: not like this"
    assert (caught.value.code, caught.value.details) == (Code.INVALID_CONFIG, "at all")
    added = ["one ADD"] if failing == "one" else ["one ADD", "two ADD"]
    assert bench.ran() == [*added, "two DEL", "one DEL"]
    assert list(bench.cache.attachments()) == []


def test_what_fails_while_taking_back_is_said_and_does_not_end_it(bench: Bench) -> None:
    bench.tell_to_fail("two", "ADD", {"code": 999, "msg": "no"})
    bench.tell_to_fail("two", "DEL", {"code": 999, "msg": "nor back"})
    with pytest.raises(PluginError, match="two ADD: no") as caught:
        bench.runtime.add(network(), TARGET)
    assert bench.ran() == ["one ADD", "two ADD", "two DEL", "one DEL"]
    assert caught.value.__notes__ == ["undoing it failed at two: nor back"]


def test_a_reason_that_is_the_adds_is_told_once(bench: Bench) -> None:
    for name, command in (("two", "ADD"), ("two", "DEL"), ("one", "DEL")):
        bench.tell_to_fail(name, command, {"code": 5, "msg": "the store is locked"})
    with pytest.raises(PluginError) as caught:
        bench.runtime.add(network(), TARGET)
    assert line(caught.value) == (
        "network web: two ADD: the store is locked; undoing it failed, too (two, one)"
    )


def test_a_refused_second_add_leaves_the_first_alone(bench: Bench) -> None:
    bench.runtime.add(network(), TARGET)
    bench.calls()
    bench.tell_to_fail("one", "ADD", {"code": 999, "msg": "eth0 exists"})
    with pytest.raises(PluginError):
        bench.runtime.add(network(), TARGET)
    assert bench.ran() == ["one ADD"]
    assert bench.cache.read("web", TARGET) is not None


@pytest.mark.parametrize("code", [Code.ALREADY_ATTACHED, Code.INCOMPATIBLE_VERSION])
def test_a_refusal_is_never_taken_back(bench: Bench, code: Code) -> None:
    bench.tell_to_fail("one", "ADD", {"code": int(code), "msg": "no"})
    with pytest.raises(PluginError):
        bench.runtime.add(network(), TARGET)
    assert bench.ran() == ["one ADD"]


def test_del_ends_at_the_first_error_and_can_be_tried_again(bench: Bench) -> None:
    bench.runtime.add(network(), TARGET)
    bench.calls()
    bench.tell_to_fail("two", "DEL", {"code": 11, "msg": "later"})
    with pytest.raises(PluginError) as caught:
        bench.runtime.delete(network(), TARGET)
    assert caught.value.code is Code.TRY_AGAIN_LATER
    assert bench.ran() == ["two DEL"]
    (bench.directory / "two.DEL").unlink()
    bench.runtime.delete(network(), TARGET)
    assert [("prevResult" in config) for _, _, config, _ in bench.calls()] == [True, True]


@pytest.mark.parametrize("broken", [b"", b"{", b"[]", b'{"kind": "other"}'])
def test_a_broken_cache_does_not_block_del(bench: Bench, broken: bytes) -> None:
    bench.runtime.add(network(), TARGET)
    bench.calls()
    (bench.cache.results / "web-c1-eth0").write_bytes(broken)
    bench.runtime.delete(network(), TARGET)
    assert bench.ran() == ["two DEL", "one DEL"]
    assert list(bench.cache.results.iterdir()) == []


def test_check_can_be_switched_off_and_needs_a_result(bench: Bench) -> None:
    assert not bench.runtime.check(network(disableCheck="TRUE"), TARGET)
    with pytest.raises(CniError, match="nothing is known of c1 on web as eth0"):
        bench.runtime.check(network(), TARGET)
    with pytest.raises(CniError, match=r"CHECK exists since 0\.4\.0"):
        bench.runtime.check(network(cniVersion="0.3.1"), TARGET)
    assert bench.ran() == []


def test_status_asks_in_order_up_to_the_first_that_is_not_ready(bench: Bench) -> None:
    assert bench.runtime.status(network())
    assert bench.ran() == ["one STATUS", "two STATUS"]
    bench.tell_to_fail("one", "STATUS", {"code": 50, "msg": "no address left"})
    with pytest.raises(PluginError) as caught:
        bench.runtime.status(network())
    assert caught.value.code is Code.NOT_AVAILABLE
    assert bench.ran() == ["one STATUS"]
    assert not bench.runtime.status(network(cniVersion="1.0.0"))
    assert bench.ran() == []


def test_gc_names_the_living_and_goes_on_past_errors(bench: Bench) -> None:
    bench.tell_to_fail("one", "GC", {"code": 5, "msg": "disk"})
    with pytest.raises(ExceptionGroup) as caught:
        bench.runtime.collect(network(), {("c2", "eth0"), ("c1", "eth1")})
    assert caught.group_contains(PluginError, match="disk")
    first, second = bench.calls()
    assert (first[:2], second[:2]) == (("one", "GC"), ("two", "GC"))
    living = [
        {"containerID": "c1", "ifname": "eth1"},
        {"containerID": "c2", "ifname": "eth0"},
    ]
    assert first[2]["cni.dev/valid-attachments"] == living
    assert second[2]["cni.dev/valid-attachments"] == living


@pytest.mark.parametrize("keys", [{"disableGC": True}, {"cniVersion": "1.0.0"}])
def test_gc_is_not_sent_where_it_is_switched_off_or_unknown(
    bench: Bench, keys: Mapping[str, Any]
) -> None:
    assert not bench.runtime.collect(network(**keys), set())
    assert bench.ran() == []


def test_gc_of_none_is_not_gc_of_all_unknown(bench: Bench) -> None:
    assert bench.runtime.collect(network(), set())
    assert bench.calls()[0][2]["cni.dev/valid-attachments"] == []


def test_versions_are_asked_of_each_plugin(bench: Bench) -> None:
    bench.tell_to_fail("two", "VERSION", {"code": 4, "msg": "unknown CNI_COMMAND: VERSION"})
    missing = replace(network(), plugins=(*network().plugins, {"type": "three"}))
    answers = dict(bench.runtime.versions(missing))
    assert answers["one"] == ("1.0.0", "1.1.0")
    assert answers["two"] == ("0.1.0",)
    assert isinstance(answers["three"], CniError)


def answering(text: str) -> Callable[[Bench], None]:
    return lambda bench: bench.tell_to_fail("one", "ADD", text)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (answering(""), "exit status 1: it said this on stderr"),
        (answering("not JSON"), "exit status 1: it said this on stderr"),
        (lambda bench: (bench.directory / "one").write_text("#!/bin/echo"), "is not JSON"),
        (lambda bench: (bench.directory / "one").chmod(0o644), "can't be executed"),
        (lambda bench: (bench.directory / "one").unlink(), 'there is no plugin "one" in'),
    ],
)
def test_a_plugin_that_can_not_be_run_is_named(
    bench: Bench, spoil: Callable[[Bench], None], said: str
) -> None:
    spoil(bench)
    with pytest.raises(CniError, match="one") as caught:
        bench.runtime.add(network(), TARGET)
    assert said in caught.value.msg


def test_the_first_directory_that_has_it_wins(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "empty" / "one").mkdir(parents=True)  # a directory is no plugin
    plugins = Plugins((str(tmp_path / "empty"), str(tmp_path / "absent"), str(bench.directory)))
    assert plugins.binary("one") == str(bench.directory / "one")
    assert plugins.binary("nobody") == ""
    assert not plugins.is_ours("one")
    assert plugins.is_ours("bridge")  # nowhere installed: it runs in process
    (bench.directory / "bridge").write_text("somebody else's")
    assert not plugins.is_ours("bridge")
