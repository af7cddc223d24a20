"""Published ports from ADD to DEL: whose they are, and when they become another's."""

from __future__ import annotations

import json
import time
from typing import Any

import drive
import pytest
from drive import BRIDGE, STATE, Outcome, Runtime
from evidence import nothing_left, rest
from published import both, call, config, mapping
from scenes import add, container, in_host, run, stderr_of, succeed, the_error, whole

OTHER: dict[str, Any] = {
    **BRIDGE,
    "name": "other",
    "bridge": "cni1",
    "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.2.0.0/24"}]]},
}


class Attached:
    """A container on a bridge network, whose ports may be published."""

    def __init__(self, name: str, bridge: dict[str, Any] = BRIDGE, **fields: Any) -> None:
        self.bridge = bridge
        self.runtime: Runtime = container(name, **fields)
        self.result = add(bridge, self.runtime)

    def call(self, command: str, ports: list[dict[str, Any]], **keys: Any) -> Outcome:
        keys.setdefault("network", self.bridge["name"])
        return call(command, self.runtime, ports, self.result, **keys)

    def succeed(self, command: str, ports: list[dict[str, Any]], **keys: Any) -> None:
        outcome = self.call(command, ports, **keys)
        assert outcome.status == 0, outcome.stdout

    def refused(self, ports: list[dict[str, Any]], code: int) -> str:
        """What the error says; nothing has changed."""
        before = whole()
        error = the_error(self.call("ADD", ports))
        assert error["code"] == code, error
        assert whole() == before
        return str(error["msg"])

    def vanish(self) -> None:
        """Its namespace goes, and nobody tells."""
        host_end = self.result["interfaces"][1]["name"]
        run(f"ip netns del {self.runtime.container}")
        deadline = time.monotonic() + 10
        while f"{host_end}@" in run("ip -o link"):
            assert time.monotonic() < deadline
            time.sleep(0.01)


def published() -> set[str]:
    """Lines such as "tcp 192.0.2.2 8080 > 10.1.0.2 80", as `nft` shows the maps."""
    found = set()
    for family, where in ((4, ""), (4, "_any"), (6, ""), (6, "_any")):
        listed = json.loads(run(f"nft -j list map inet pynet published{family}{where}"))
        (shown,) = (one["map"] for one in listed["nftables"] if "map" in one)
        for key, value in shown.get("elem", []):
            found.add(f"{_words(key)} > {_words(value)}")
    return found


def ports_published() -> set[str]:
    return {line.partition(" > ")[0].split()[-1] for line in published()}


def _words(shown: Any) -> str:
    return " ".join(str(field) for field in shown["concat"])


@in_host
def test_one_element_a_port_and_family() -> None:
    c1 = Attached("c1")
    before = rest()
    ports = [*both(8080), mapping(53, "udp", "10.1.0.1", to=5353), mapping(53, "udp", "fd00:1::1")]
    c1.succeed("ADD", ports)
    assert published() == {
        "tcp 8080 > 10.1.0.2 80",
        "tcp 8080 > fd00:1::2 80",
        "udp 8080 > 10.1.0.2 80",
        "udp 8080 > fd00:1::2 80",
        "udp 10.1.0.1 53 > 10.1.0.2 5353",
        "udp fd00:1::1 53 > fd00:1::2 80",
    }
    c1.succeed("CHECK", ports)
    c1.succeed("DEL", ports)
    assert nothing_left(before, rest()) == []


@in_host
def test_without_ports_nothing_is_done() -> None:
    c1 = Attached("c1")
    before = rest()
    for given in ({}, {"runtimeConfig": {}}, {"runtimeConfig": {"portMappings": []}}):
        asked = {**config(), **given, "prevResult": c1.result}
        assert succeed("ADD", asked, c1.runtime).document == c1.result
        succeed("CHECK", asked, c1.runtime)
        succeed("DEL", asked, c1.runtime)
    assert rest() == before


@in_host
def test_a_busy_port_names_its_owner() -> None:
    owner, next_door, elsewhere = Attached("c1"), Attached("c2"), Attached("c3", OTHER)
    owner.succeed("ADD", [mapping(8080), mapping(9090, "udp", "10.1.0.1")])
    for other in (next_door, elsewhere):
        said = other.refused([mapping(7070), mapping(8080)], 104)
        for words in ("tcp port 8080", "every IPv4 address", "container c1", "eth0", '"web"'):
            assert words in said
        assert "udp port 9090 of 10.1.0.1" in other.refused([mapping(9090, "udp", "10.1.0.1")], 104)


@in_host
def test_other_protocols_ports_and_addresses_are_no_conflict() -> None:
    first, second, third = Attached("c1"), Attached("c2"), Attached("c3")
    first.succeed("ADD", [mapping(8080, address="10.1.0.1")])
    second.succeed(
        "ADD",
        [
            mapping(8080, "udp", "10.1.0.1"),
            mapping(8081, address="10.1.0.1"),
            mapping(8080, address="127.0.0.1"),
            mapping(8080, address="fd00:1::1"),
        ],
    )
    third.succeed("ADD", [mapping(8080)])
    assert len(published()) == 7


@in_host
def test_the_port_of_a_dead_container_is_taken_over() -> None:
    dead, heir = Attached("c1"), Attached("c2", OTHER)
    dead.succeed("ADD", both(8080))
    dead.vanish()
    heir.succeed("ADD", both(8080))
    expected = {"tcp 8080 > 10.2.0.2 80", "udp 8080 > 10.2.0.2 80"}
    assert published() == expected
    # The late DEL takes nothing from the heir.
    dead.succeed("DEL", both(8080))
    assert published() == expected
    heir.succeed("CHECK", both(8080))
    heir.succeed("DEL", both(8080))
    assert published() == set()


@in_host
def test_a_port_of_several_dead_and_one_living_names_the_living() -> None:
    dead, living, late = Attached("c1"), Attached("c2"), Attached("c3")
    dead.succeed("ADD", [mapping(8080)])
    living.succeed("ADD", [mapping(9090)])
    dead.vanish()
    before = published()
    assert "container c2" in the_error(late.call("ADD", [mapping(8080), mapping(9090)]))["msg"]
    assert {line for line in before if "9090" in line} == published(), "the dead's is free"


@in_host
def test_a_container_that_came_back_has_its_port_again() -> None:
    """The same id and ports, in a new namespace; nobody deleted the old ones."""
    first = Attached("c1")
    first.succeed("ADD", [mapping(8080)])
    first.vanish()
    again = Attached("c1")
    again.succeed("ADD", [mapping(8080)])
    again.succeed("CHECK", [mapping(8080)])
    again.succeed("DEL", [mapping(8080)])
    assert published() == set()


@in_host
def test_one_container_on_two_networks() -> None:
    """Each attachment has its own ports: neither DEL touches the other's."""
    web = Attached("c1")
    other = Attached.__new__(Attached)
    other.bridge, other.runtime = OTHER, Runtime("c1", web.runtime.netns, "eth1")
    other.result = add(OTHER, other.runtime)
    web.succeed("ADD", [mapping(8080, address="10.1.0.1")])
    other.succeed("ADD", [mapping(9090)])
    web.succeed("DEL", [mapping(8080)])
    assert published() == {"tcp 9090 > 10.2.0.2 80"}
    other.succeed("CHECK", [mapping(9090)])


@in_host
def test_the_interface_takes_its_ports_with_it() -> None:
    c1 = Attached("c1")
    c1.succeed("ADD", both(8080))
    succeed("DEL", {**BRIDGE, "prevResult": c1.result}, c1.runtime)
    assert published() == set()
    assert "= 1" not in run("sysctl net.ipv4.conf.cni0.route_localnet")


@in_host
def test_gc_removes_what_is_not_valid() -> None:
    valid, stale, elsewhere = Attached("c1"), Attached("c2"), Attached("c3", OTHER)
    valid.succeed("ADD", [mapping(8080)])
    stale.succeed("ADD", [mapping(9090)])
    elsewhere.succeed("ADD", [mapping(7070)])
    listed = [{"containerID": "c1", "ifname": "eth0"}]
    succeed("GC", {**config(), "cni.dev/valid-attachments": listed}, valid.runtime)
    assert ports_published() == {"7070", "8080"}


@in_host
def test_gc_without_a_list_removes_the_dead() -> None:
    """In the order of the list: once the bridge's record is gone, nothing proves that it died."""
    dead, living = Attached("c1"), Attached("c2")
    dead.succeed("ADD", [mapping(8080)])
    living.succeed("ADD", [mapping(9090)])
    dead.vanish()
    for plugin in (BRIDGE, config()):
        succeed("GC", plugin, living.runtime)
    assert ports_published() == {"9090"}


@in_host
def test_check_sees_what_is_missing() -> None:
    ports = [mapping(8080), mapping(53, "udp", "10.1.0.1")]
    for damage, words in (
        ("nft delete element inet pynet published4_any { tcp . 8080 }", "8080"),
        ("nft delete element inet pynet published4 { udp . 10.1.0.1 . 53 }", "53"),
        ("nft flush set inet pynet hairpin4", "hairpin4"),
        ("sysctl -w net.ipv4.conf.cni0.route_localnet=0", "route_localnet"),
        ("nft flush chain inet pynet published", "published"),
    ):
        c1 = Attached("c1")
        c1.succeed("ADD", ports)
        c1.succeed("CHECK", ports)
        run(damage)
        error = the_error(c1.call("CHECK", ports))
        assert error["code"] == 101
        assert words in error["msg"]
        c1.succeed("DEL", ports)
        succeed("DEL", BRIDGE, c1.runtime)
        run("ip netns del c1")


@in_host
def test_the_ruleset_flushed_comes_back_with_the_next_add() -> None:
    first, second = Attached("c1"), Attached("c2")
    first.succeed("ADD", both(8080))
    run("nft flush ruleset")
    second.succeed("ADD", [mapping(9090)])
    assert ports_published() == {"8080", "9090"}
    first.succeed("CHECK", both(8080))


FROM_10 = {"conditionsV4": ["-s", "10.0.0.0/8"]}
FROM_192 = {"conditionsV4": ["-s", "192.0.2.0/24"]}


def conditional() -> list[str]:
    listed = run("nft list chain inet pynet conditional").splitlines()
    return [line.strip() for line in listed if "jump" in line]


@in_host
def test_one_rule_a_condition() -> None:
    first, second, third = Attached("c1"), Attached("c2"), Attached("c3")
    first.succeed("ADD", [mapping(8080), mapping(8081)], **FROM_10)
    second.succeed("ADD", [mapping(9090)], **FROM_10)
    assert len(conditional()) == 1
    third.succeed("ADD", [mapping(7070)], **FROM_192)
    assert len(conditional()) == 2
    assert "container c1" in third.refused([mapping(8080)], 104), "whatever the condition"
    for one, ports, keys in (
        (first, [mapping(8080), mapping(8081)], FROM_10),
        (second, [mapping(9090)], FROM_10),
        (third, [mapping(7070)], FROM_192),
    ):
        one.succeed("CHECK", ports, **keys)
        one.succeed("DEL", ports, **keys)
    assert published() == set()


@pytest.mark.parametrize("damage", ["flush ruleset", "flush chain inet pynet conditional"])
@in_host
def test_conditions_come_back(damage: str) -> None:
    first, second = Attached("c1"), Attached("c2")
    first.succeed("ADD", [mapping(8080)], **FROM_10)
    second.succeed("ADD", [mapping(9090)], **FROM_192)
    second.succeed("DEL", [mapping(9090)], **FROM_192)
    before = conditional()
    assert len(before) == 2
    run(f"nft {damage}")
    error = the_error(first.call("CHECK", [mapping(8080)], **FROM_10))
    assert error["code"] == 101
    # One that is in nobody's use is forgotten, and made again when it is needed.
    if "chain" in damage:
        run("nft delete table bridge pynet")  # which is what the next ADD finds missing
    Attached("c3")
    assert [line in before for line in conditional()] == [True]
    first.succeed("CHECK", [mapping(8080)], **FROM_10)
    second.succeed("ADD", [mapping(9090)], **FROM_192)
    assert sorted(conditional()) == sorted(before)
    second.succeed("CHECK", [mapping(9090)], **FROM_192)


@in_host
def test_del_without_a_record() -> None:
    c1, other = Attached("c1"), Attached("c2")
    c1.succeed("ADD", both(8080))
    other.succeed("ADD", [mapping(9090)])
    assert ports_published() == {"8080", "9090"}
    for path in drive.STATE.glob("pynet.db*"):
        path.unlink()
    c1.succeed("DEL", both(8080))
    assert ports_published() == {"9090"}


@in_host
def test_a_process_of_the_host_that_listens_is_told_of() -> None:
    import socket

    c1 = Attached("c1")
    with socket.create_server(("127.0.0.1", 8080)), socket.create_server(("127.0.0.1", 8081)):
        said = stderr_of(lambda: c1.succeed("ADD", [mapping(8080), mapping(9090)]))
    assert said.count("\n") == 1
    assert said.startswith("pynet: portmap: a process of the host listens on tcp port 8080")


@in_host
def test_with_the_store_lost_a_port_that_leads_elsewhere_is_refused_and_stays() -> None:
    """Its holder is known by what stands of it; what was refused must not take it away either."""
    Attached("c1").succeed("ADD", [mapping(8080)])
    before = published()
    for path in STATE.glob("pynet.db*"):
        path.unlink()
    late = container("c2")
    late_result = add({**BRIDGE, "args": {"cni": {"ips": ["10.1.0.77", "fd00:1::77"]}}}, late)
    error = the_error(call("ADD", late, [mapping(8080)], late_result))
    assert error["code"] == 104, error
    assert "veth" in error["msg"]
    assert error["msg"].endswith("'(not on record)' --force`")
    assert published() == before
