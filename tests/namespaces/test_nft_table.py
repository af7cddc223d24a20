"""Our nftables tables in a namespace of their own; `nft` is the oracle for what they hold."""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from pynet.kernel import namespaces
from pynet.kernel.netlink.nft_socket import NftSocket
from pynet.kernel.nft import encoder, library
from pynet.kernel.nft.layout import NftSet, prefix_rules
from pynet.kernel.nft.table import Table
from pynet.model.errors import KernelError, NewerLayout, TableMissing
from pynet.model.resources import Element, MasqueradePrefix, SharedElement
from pynet.testnets.lab.lab import Host, Lab

FIRST = Element(set="masquerade4", item=("10.1.0.2",))
SECOND = Element(set="masquerade4", item=("10.1.0.3",))
GUARD = Element(set="allowed", item=("veth1", "02:00:00:00:00:01"))
NETWORK = SharedElement(set="network4_16", item=("10.1.0.0", "10.1.0.0"))
SLASH16 = MasqueradePrefix(family=4, length=16)


@pytest.fixture
def host(lab: Lab) -> Host:
    if os.geteuid():
        pytest.skip("needs root, to enter another user's network namespace")
    return lab.host("h")


@pytest.fixture
def table(host: Host) -> Iterator[Table]:
    namespace = namespaces.open_namespace(f"/proc/{host.pid}/ns/net")
    table = Table(namespace)
    os.close(namespace)
    yield table
    table.close()


def nft(host: Host, *commands: str) -> None:
    """`nft -f -`"""
    host.run(["nft", "-f", "-"], input="\n".join(commands).encode())


def listed(host: Host, what: str) -> list[dict[str, Any]]:
    """`nft -j list WHAT`, as the list of objects that it prints."""
    objects: list[dict[str, Any]] = json.loads(
        host.run(["nft", "-j", "list", *what.split()]).stdout
    )["nftables"]
    return objects


def elements(host: Host, family: str, name: str) -> list[Any]:
    """The elements that `nft` finds in one of our sets."""
    (found,) = (o["set"] for o in listed(host, f"set {family} pynet {name}") if "set" in o)
    there = found.get("elem", [])
    found = [one.get("concat", one) if isinstance(one, dict) else one for one in there]
    return [_in_zone_0(one) for one in found]


def _in_zone_0(element: Any) -> Any:
    """Without its zone, as records have it."""
    if isinstance(element, list) and element[0] == 0:
        return element[1] if len(element) == 2 else element[1:]
    return element


def comments(host: Host) -> list[tuple[str, str]]:
    """(chain, comment) of each rule that `nft` finds, chain by chain, in order within each."""
    rules = [found["rule"] for found in listed(host, "ruleset") if "rule" in found]
    rules.sort(key=lambda rule: (rule["family"], rule["chain"]))
    return [(rule["chain"], rule["comment"]) for rule in rules]


def test_elements_come_and_go(host: Host, table: Table) -> None:
    table.ensure([SLASH16], [FIRST, GUARD, NETWORK])
    assert elements(host, "inet", "masquerade4") == ["10.1.0.2"]
    assert elements(host, "inet", "network4_16") == [["10.1.0.0", "10.1.0.0"]]
    assert elements(host, "bridge", "allowed") == [["veth1", "02:00:00:00:00:01"]]
    assert table.exists(FIRST)
    assert table.exists(GUARD)
    assert not table.exists(SECOND)
    table.delete([FIRST, GUARD, NETWORK, SLASH16])
    assert elements(host, "inet", "masquerade4") == []
    assert elements(host, "bridge", "allowed") == []
    assert not table.exists(FIRST)
    assert table.exists(SLASH16), "prefixes are kept"


def test_one_containers_end_leaves_the_others(host: Host, table: Table) -> None:
    table.ensure([SLASH16], [FIRST, SECOND, NETWORK])
    table.delete([FIRST])
    assert elements(host, "inet", "masquerade4") == ["10.1.0.3"]
    assert table.exists(NETWORK)
    assert table.verify([SECOND]) == []


def test_what_is_there_is_added_and_what_is_gone_is_deleted_without_error(
    host: Host, table: Table
) -> None:
    table.ensure([], [FIRST])
    table.create([FIRST, SECOND])
    table.create([FIRST, SECOND])
    table.delete([FIRST])
    table.delete([FIRST, SECOND, GUARD, SECOND])
    assert elements(host, "inet", "masquerade4") == []


def test_all_or_none(host: Host, table: Table) -> None:
    table.ensure([], [FIRST])
    with pytest.raises(TableMissing, match="network4_16"):
        table.create([SECOND, NETWORK])
    assert elements(host, "inet", "masquerade4") == ["10.1.0.2"]


def test_without_tables(table: Table) -> None:
    assert table.version("inet") is None
    assert not table.exists(FIRST)
    assert not table.exists(SLASH16)
    table.delete([FIRST, GUARD, SLASH16])
    assert [drift.found for drift in table.verify([FIRST])] == ["missing"]
    assert [drift.found for drift in table.verify([SLASH16])] == ["missing"]
    with pytest.raises(TableMissing):
        table.create([FIRST])
    with pytest.raises(TableMissing):
        table.create([SLASH16])


def test_the_ruleset_flushed_is_made_and_filled_again(host: Host, table: Table) -> None:
    table.ensure([SLASH16], [FIRST, NETWORK])
    before = comments(host)
    nft(host, "flush ruleset")
    with pytest.raises(TableMissing):
        table.create([SECOND])
    table.ensure([SLASH16], [FIRST, NETWORK, SECOND])
    assert comments(host) == before
    assert sorted(elements(host, "inet", "masquerade4")) == ["10.1.0.2", "10.1.0.3"]
    assert table.verify([SLASH16]) == []


@pytest.mark.parametrize(
    "damage",
    [
        "flush table inet pynet",
        "flush chain inet pynet postrouting",
        f'add rule inet pynet masquerade4 return comment "{prefix_rules(4, 16)[0].comment}"',
    ],
)
def test_damaged_rules_are_seen_and_mended(host: Host, table: Table, damage: str) -> None:
    table.ensure([SLASH16, MasqueradePrefix(family=6, length=64)], [FIRST])
    before = comments(host)
    nft(host, damage)
    assert {drift.property for drift in table.verify([SLASH16])} == {"count"}
    table.ensure([], [SECOND])
    assert comments(host) == before
    assert table.verify([SLASH16]) == []


def test_rules_out_of_order_are_seen(host: Host, table: Table) -> None:
    table.ensure([SLASH16], [FIRST])
    nft(host, "flush chain inet pynet masquerade4")
    for comment, rule in (
        ("all else leaves with the host's address", "masquerade"),
        ("multicast keeps its source", "ip daddr 224.0.0.0/4 return"),
        ("within one /16 network the source stays", "return"),
    ):
        nft(host, f'add rule inet pynet masquerade4 {rule} comment "{comment}"')
    assert [drift.property for drift in table.verify([SLASH16])] == ["order of rules"]
    assert [drift.property for drift in table.verify([FIRST])] == ["order of rules"]


def test_a_prefix_comes_later_and_once(host: Host, table: Table) -> None:
    table.ensure([], [FIRST])
    table.create([SLASH16])
    table.create([SLASH16, NETWORK])
    assert table.exists(NETWORK)
    rule = ("masquerade4", "within one /16 network the source stays")
    assert comments(host).count(rule) == 1


def test_thousands_of_elements(host: Host, table: Table) -> None:
    many = [SharedElement(set="masquerade6", item=(f"fd00::{n:x}",)) for n in range(3000)]
    table.ensure([], many)
    assert len(elements(host, "inet", "masquerade6")) == 3000
    table.delete([*many[10:], *many[:5], FIRST])
    assert len(elements(host, "inet", "masquerade6")) == 5


def test_the_version_is_told(host: Host, table: Table) -> None:
    table.make(["inet", "bridge"])
    assert (table.version("inet"), table.version("bridge")) == (2, 3)
    nft(host, "flush ruleset", "add table inet pynet")
    assert table.version("inet") == 0


def test_a_newer_table_is_named_and_left(host: Host, table: Table) -> None:
    nft(host, 'table inet pynet { comment "pynet layout 7"; set masquerade4 { type ipv4_addr; }; }')
    before = listed(host, "ruleset")
    with pytest.raises(NewerLayout, match=r"table inet pynet has layout 7.*knows layout 2"):
        table.ensure([], [FIRST])
    with pytest.raises(NewerLayout):
        table.ensure([], [GUARD])
    with pytest.raises(NewerLayout):
        table.found()
    assert listed(host, "ruleset") == before


def test_a_table_that_is_none_of_ours_is_named_and_left(host: Host, table: Table) -> None:
    nft(host, "table inet pynet { chain theirs { }; }")
    before = listed(host, "ruleset")
    with pytest.raises(KernelError, match="none that pynet made"):
        table.ensure([], [FIRST])
    assert listed(host, "ruleset") == before


def test_a_set_of_another_type_is_refused_with_the_element(host: Host, table: Table) -> None:
    nft(host, "table inet pynet { set masquerade4 { type ipv6_addr; }; }")
    with pytest.raises(KernelError, match="set inet pynet masquerade4 is none that pynet made"):
        table.create([FIRST])


def test_map_values(host: Host) -> None:
    ports = NftSet(
        "ports", "inet", ("inet_proto", "inet_service"), "test", ("ipv4_addr", "inet_service")
    )
    nft(host, "add table inet pynet", ports.text)
    namespace = namespaces.open_namespace(f"/proc/{host.pid}/ns/net")
    socket = NftSocket(namespace)
    os.close(namespace)
    one = encoder.entry(ports, ("tcp", "8080"), "10.1.0.2 . 80")
    other = encoder.entry(ports, ("tcp", "8080"), "10.1.0.3 . 80")
    assert socket.transaction([encoder.put(one), encoder.put(one)]) == {}
    assert list(socket.transaction([encoder.put(one), encoder.put(other)])) == [1]
    (found,) = (o["map"] for o in listed(host, "map inet pynet ports") if "map" in o)
    assert found["elem"] == [[{"concat": ["tcp", 8080]}, {"concat": ["10.1.0.2", 80]}]]
    answer = socket.ask(encoder.lookup(other))
    assert answer is not None
    assert encoder.data_in(answer) == one.data
    assert socket.transaction([encoder.remove(other)]) == {}
    assert socket.ask(encoder.lookup(one)) is None
    socket.close()


def _make_when_told(gate: int) -> None:
    with ExitStack() as stack:
        namespace = namespaces.own()
        stack.callback(os.close, namespace)
        table = Table(namespace)
        stack.callback(table.close)
        os.read(gate, 1)
        table.make(["inet", "bridge"])
        table.create([SLASH16, MasqueradePrefix(family=6, length=64), GUARD, NETWORK])


def test_several_who_make_the_tables_at_once_make_one_copy(host: Host, table: Table) -> None:
    table.ensure([SLASH16, MasqueradePrefix(family=6, length=64)], [GUARD])
    alone = comments(host)
    for _ in range(5):
        nft(host, "flush ruleset")
        waiting, gate = os.pipe()
        makers = [host.fork_call(_make_when_told, waiting) for _ in range(4)]
        os.write(gate, b"1234")
        for maker in makers:
            maker.wait()
        os.close(waiting)
        os.close(gate)
        assert comments(host) == alone
        assert table.verify([NETWORK]) == table.verify([GUARD]) == []


def test_who_comes_second_changes_nothing(
    host: Host, table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    table.ensure([SLASH16], [FIRST, GUARD])
    alone = comments(host)
    nft(host, "flush ruleset")
    really = library.run
    said = []

    def run_behind_another(namespace: int, commands: str) -> str:
        assert really(namespace, commands) == ""
        said.append(really(namespace, commands))
        return said[-1]

    monkeypatch.setattr(library, "run", run_behind_another)
    table.make(["bridge", "inet"])
    table.create([SLASH16])
    assert comments(host) == alone
    assert len(said) == 2
    assert all("File exists" in each for each in said)


def _without_privilege() -> str:
    os.setuid(65534)
    namespace = namespaces.own()
    try:
        Table(namespace).create([FIRST])
    except KernelError as error:
        return error.msg
    return "done"


@pytest.mark.second_user
def test_missing_privilege_is_named(host: Host) -> None:
    assert "CAP_NET_ADMIN" in host.call(_without_privilege)


def test_missing_libraries_are_named(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "_LIBRARY", "libnftables.so.none")
    with pytest.raises(KernelError, match="package libnftables1"):
        table.make(["inet"])
    monkeypatch.setitem(__import__("sys").modules, "nftables", None)
    with pytest.raises(KernelError, match="pip-nftables"):
        table.make(["inet"])


def test_ones_own_namespace_stays_ones_own(table: Table) -> None:
    before = namespaces.identity(own := namespaces.own())
    table.ensure([SLASH16], [FIRST])
    after = namespaces.identity(again := namespaces.own())
    os.close(own)
    os.close(again)
    assert before == after


def _median_ms(action: Callable[[], object], repeats: int = 200) -> float:
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        action()
        taken.append((time.perf_counter() - start) * 1000)
    return statistics.median(taken)


def test_other_peoples_rules_are_left_and_change_nothing_here(host: Host, table: Table) -> None:
    """Prints the cost of a change alone and beside a crowd; figures are for `pytest -s`."""
    table.ensure([SLASH16], [FIRST, GUARD, NETWORK])

    def figures(where: str) -> None:
        print(
            f"\n{where}: add {_median_ms(lambda: table.create([SECOND, GUARD])):.3f} ms,"
            f" add and delete {_median_ms(lambda: _come_and_go(table)):.3f} ms,"
            f" exists {_median_ms(lambda: table.exists(FIRST)):.3f} ms,"
            f" verify {_median_ms(lambda: table.verify([FIRST])):.3f} ms"
        )

    figures("alone")
    crowd = [f"add chain ip foreign c{n}\nadd rule ip foreign c{n} accept" for n in range(3000)]
    crowd += [f"add set ip foreign s{n} {{ type ipv4_addr; }}" for n in range(1000)]
    nft(host, "add table ip foreign")
    # In parts: a message as large as all of them only root may send.
    for start in range(0, len(crowd), 250):
        nft(host, *crowd[start : start + 250])
    figures("beside 3,000 foreign chains and 1,000 foreign sets")
    assert not table.exists(SECOND)
    assert table.verify([FIRST]) == []
    foreign = [found for found in listed(host, "table ip foreign") if "chain" in found]
    assert len(foreign) == 3000


def _come_and_go(table: Table) -> None:
    table.create([SECOND])
    table.delete([SECOND])
