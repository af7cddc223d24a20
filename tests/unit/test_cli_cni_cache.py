"""The cache of results, as libcni reads and writes it; who a noun is; what GC takes for dead."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pynet.cli.cni import containers, garbage, nouns
from pynet.cli.cni.execution import Target
from pynet.cli.cni.result_cache import Cached, ResultCache
from pynet.cli.interfaces import Sandbox
from pynet.cni.conflist import NetworkList
from pynet.engine.witness import Fate
from pynet.model.errors import CniError
from pynet.store.records import Record, State

NETWORK = NetworkList("web", "1.1.0", ({"type": "bridge", "bridge": "br0"},))
RESULT = {"cniVersion": "1.1.0", "ips": [{"address": "10.1.0.2/16"}]}
TARGET = Target("c1", "/run/netns/c1", "eth0", "A=1;B=2", {"mac": "02:00:00:00:00:01"})

names = st.from_regex(r"[a-zA-Z0-9][a-zA-Z0-9_.\-]{0,20}", fullmatch=True)


def test_the_file_is_libcnis(tmp_path: Path) -> None:
    ResultCache(tmp_path).write(NETWORK, TARGET, RESULT)
    (path,) = (tmp_path / "results").iterdir()
    assert path.name == "web-c1-eth0"
    assert path.stat().st_mode & 0o777 == 0o600
    document = json.loads(path.read_text())
    config = json.loads(base64.b64decode(document.pop("config")))
    assert (config["name"], config["plugins"]) == ("web", [{"type": "bridge", "bridge": "br0"}])
    assert document == {
        "kind": "cniCacheV1",
        "containerId": "c1",
        "ifName": "eth0",
        "networkName": "web",
        "netns": "/run/netns/c1",
        "cniArgs": [["A", "1"], ["B", "2"]],
        "capabilityArgs": {"mac": "02:00:00:00:00:01"},
        "result": RESULT,
    }


@pytest.mark.parametrize("number", [-1, 0, 7, 2**31 - 1])
def test_every_number_of_a_namespace_is_read(tmp_path: Path, number: int) -> None:
    ResultCache(tmp_path).write(NETWORK, TARGET, RESULT, Sandbox("1", "2", number))
    found = ResultCache(tmp_path).read("web", TARGET)
    assert found
    assert found.sandbox == Sandbox("1", "2", number)


@pytest.mark.parametrize("number", [-2, 2**31, "7", None, 1.5])
def test_what_is_no_number_of_a_namespace_is_no_entry(tmp_path: Path, number: object) -> None:
    ResultCache(tmp_path).write(NETWORK, TARGET, RESULT, Sandbox("1", "2", number))  # type: ignore[arg-type]
    assert ResultCache(tmp_path).read("web", TARGET) is None


@given(names, names, st.sampled_from(["eth0", "a-b", "x"]), st.booleans())
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory,
    network: str,
    container: str,
    interface: str,
    with_arguments: bool,
) -> None:
    cache = ResultCache(tmp_path_factory.mktemp("cache"))
    more = (TARGET.args, TARGET.capabilities) if with_arguments else ("", {})
    target = Target(container, "/run/netns/x", interface, *more)
    listed = NetworkList(network, "1.1.0", NETWORK.plugins, disable_check=True)
    cache.write(listed, target, RESULT)
    found = cache.read(network, target)
    assert found is not None
    assert (found.target, found.result) == (target, RESULT)
    again = found.network_list()
    assert again is not None
    assert (again.name, again.plugins, again.disable_check) == (network, NETWORK.plugins, True)
    assert [one.target for one in cache.attachments(network)] == [target]
    cache.remove(network, target)
    cache.remove(network, target)
    assert cache.read(network, target) is None


def test_a_file_name_is_no_identity(tmp_path: Path) -> None:
    """Network a-b with container c has the file of network a with container b-c."""
    cache = ResultCache(tmp_path)
    cache.write(NetworkList("a-b", "1.1.0", NETWORK.plugins), Target("c", "", "eth0"), RESULT)
    assert cache.read("a", Target("b-c", "", "eth0")) is None
    assert cache.read("a-b", Target("c", "", "eth0")) is not None


@given(st.binary(max_size=200) | st.recursive(st.none(), st.lists).map(repr).map(str.encode))
def test_nothing_in_a_file_is_an_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    cache = ResultCache(tmp_path_factory.mktemp("cache"))
    cache.results.mkdir()
    (cache.results / "web-c1-eth0").write_bytes(content)
    assert cache.read("web", TARGET) is None
    assert list(cache.attachments()) == []


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    cache = ResultCache(tmp_path)
    cache.write(NETWORK, TARGET, RESULT)
    os.mkfifo(cache.results / "web-c0-eth0")
    (cache.results / "web-c2-eth0").symlink_to("/dev/zero")
    assert [found.target.container for found in cache.attachments()] == [TARGET.container]


@pytest.mark.parametrize(
    "key", ["kind", "containerId", "ifName", "networkName", "config", "cniArgs", "result"]
)
@pytest.mark.parametrize("value", [None, 7, [1], {"a": 1}, "&"])
def test_no_key_of_a_wrong_type_is_an_error(tmp_path: Path, key: str, value: object) -> None:
    cache = ResultCache(tmp_path)
    cache.write(NETWORK, TARGET, RESULT)
    path = cache.results / "web-c1-eth0"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    for found in cache.attachments():
        found.network_list()
        assert isinstance(found.target.container, str)
        assert isinstance(found.result, dict)
    cache.read("web", TARGET)


def test_a_cache_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert list(ResultCache(tmp_path / "absent").attachments()) == []
    assert ResultCache(tmp_path / "absent").read("web", TARGET) is None


# --- nouns ---------------------------------------------------------------------------


def test_the_default_id_is_cnitools() -> None:
    """As in cnitool's own documentation, for /var/run/netns/testing."""
    assert nouns.default_container("/var/run/netns/testing") == "cnitool-77383ca0a0715733ca6f"


def test_a_noun_is_a_path_a_name_or_a_pid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nouns, "NAMED", tmp_path)
    monkeypatch.setattr(containers, "CLIENTS", {})
    (tmp_path / "c1").touch()
    (tmp_path / "42").touch()
    assert nouns.sandbox("/some/path", []).netns == "/some/path"
    assert nouns.sandbox("c1", []).netns == str(tmp_path / "c1")
    assert nouns.sandbox("42", []).netns == str(tmp_path / "42")  # a name before a pid
    own = str(os.getpid())
    assert nouns.sandbox(own, []).netns == nouns.netns_path(own) == f"/proc/{own}/ns/net"
    assert nouns.netns_path("gone") == str(tmp_path / "gone")
    assert nouns.friendly_container(str(tmp_path / "c1")) == "c1"
    assert nouns.friendly_container("/proc/1/ns/net").startswith("cnitool-")
    assert nouns.friendly_container(str(tmp_path / "-c1")).startswith("cnitool-")
    with pytest.raises(CniError, match="no process 99999999"):
        nouns.sandbox("99999999", [])
    with pytest.raises(CniError, match="ip netns add c9"):
        nouns.sandbox("c9", [])


def test_a_noun_is_the_beginning_of_a_container_id() -> None:
    known = [
        Cached("web", Target("abc123", "/n/1", "eth0")),
        Cached("db", Target("abc123", "/n/1", "eth1")),
        Cached("web", Target("abd", "/n/2", "eth0")),
        Cached("web", Target("ab", "/n/3", "eth0")),
    ]
    assert nouns.sandbox("abc", known) == nouns.Sandbox("/n/1", "abc123")
    assert nouns.sandbox("ab", known) == nouns.Sandbox("/n/3", "ab")  # a whole id wins
    assert nouns.sandbox("/n/2", known) == nouns.Sandbox("/n/2", "abd")
    with pytest.raises(CniError, match="abc123, abd"):
        nouns.sandbox("a", [one for one in known if one.target.container != "ab"])


# --- GC ----------------------------------------------------------------------------------


def record(container: str, *, netns: str, sandbox: str = "1") -> Record:
    return Record(
        id=1, host="h", network="web", container=container, interface="eth0", plugin="bridge",
        digest="", state=State.READY, claim=1, sandbox=sandbox, netns=netns, request="",
        result="", created=0.0,
    )  # fmt: skip


ALIVE = "/proc/self/ns/net"


def fates(**known: Fate) -> Callable[[Record], Fate]:
    """By container."""
    return lambda record: known[record.container]


def nobody(record: Record) -> Fate:
    raise AssertionError(f"{record.container} is not known by its namespace")


def test_without_a_namespace_on_record_a_path_proves_life_and_nothing_death(
    tmp_path: Path,
) -> None:
    regular = tmp_path / "left-behind"
    regular.touch()
    cached = [
        Cached("web", Target("alive", ALIVE, "eth0")),
        Cached("web", Target("gone", "/nowhere/c1", "eth0")),
        Cached("web", Target("left", str(regular), "eth0")),
    ]
    found = garbage.survey(cached, [], nobody)
    assert found.kept == {("alive", "eth0"), ("gone", "eth0"), ("left", "eth0")}
    assert found.gone == ()
    assert found.unseen == {("gone", "eth0"): "/nowhere/c1", ("left", "eth0"): str(regular)}
    assert "`pynet detach gone web --ifname eth0`" in found.doubts("web")[0]


def test_what_the_cache_remembers_of_a_namespace_is_judged() -> None:
    seen = Sandbox("h", "7", 1 << 30 | 7)
    cached = [
        Cached("web", Target("dead", "/nowhere/c1", "eth0"), sandbox=seen),
        Cached("web", Target("hidden", "/nowhere/c2", "eth0"), sandbox=seen),
        Cached("web", Target("unknown", ALIVE, "eth0"), sandbox=seen),
    ]
    judge = fates(dead=Fate.DEAD, hidden=Fate.ALIVE, unknown=Fate.UNKNOWN)
    found = garbage.survey(cached, [], judge)
    assert [entry.target.container for entry in found.stale] == ["dead"]
    assert found.kept == {("hidden", "eth0"), ("unknown", "eth0")}
    assert found.unseen == {("unknown", "eth0"): ALIVE}


def test_the_sandbox_is_remembered(tmp_path: Path) -> None:
    cache, seen = ResultCache(tmp_path), Sandbox("1", "7", 1 << 30 | 7)
    cache.write(NETWORK, TARGET, RESULT, seen)
    cached = cache.read(NETWORK.name, TARGET)
    assert cached is not None
    assert cached.sandbox == seen
    record = cached.remembered()
    assert (record.host, record.sandbox, record.nsid) == ("1", "7", 1 << 30 | 7)
    assert json.loads(record.result) == RESULT


def test_a_record_tells_whether_the_path_is_anothers_now() -> None:
    cached = [Cached("web", Target("c1", ALIVE, "eth0"))]
    known = [record("c1", netns=ALIVE, sandbox="not this one")]
    found = garbage.survey(cached, known, fates(c1=Fate.DEAD))
    assert not found.kept
    assert [entry.target.container for entry in found.stale] == ["c1"]
    assert found.forgotten == ()


def test_who_has_come_back_under_its_name_is_kept() -> None:
    """An older record of the same container and interface, of a namespace that is gone."""
    known = [
        record("c1", netns=ALIVE, sandbox="old"),
        record("c1", netns=ALIVE, sandbox="new"),
    ]
    found = garbage.survey([], known, lambda one: Fate.DEAD if one.sandbox == "old" else Fate.ALIVE)
    assert found.kept == {("c1", "eth0")}
    assert found.gone == ()


def test_who_is_recorded_only_counts_too() -> None:
    records = [record("dead", netns="/nowhere/c1"), record("unknown", netns="", sandbox="")]
    found = garbage.survey([], records, fates(dead=Fate.DEAD))
    assert found.kept == {("unknown", "eth0")}
    assert [one.container for one in found.forgotten] == ["dead"]
    assert found.lines() == ["dead eth0 (/nowhere/c1 is gone)"]
