"""Every mistake in a topology file is reported with its line and with what to write instead."""

from __future__ import annotations

import json
import pickle
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pynet.testnets.forked import LabError
from pynet.testnets.spec.problems import Problem
from pynet.testnets.spec.reading import TopologyError, parse, read

RIGHT = """\
name: right
nodes:
  h1: host
  h2: host
  r1: router
  sw: switch
  sw2: switch
  sw3: switch
links:
  - h1:eth1 -- sw
  - h2:eth1 -- sw
  - r1 -- sw
networks:
  web: {subnets: [10.1.0.0/24, "fd00:1::/64"]}
  db: {hosts: [h2], subnets: [10.2.0.0/24]}
containers:
  a@h1: {networks: [web], publish: ["8080:80"]}
  b@h2: {networks: [web, db]}
checks:
  - mesh: all
"""
KEYS = [
    *(
        "nodes",
        "links",
        "underlay",
        "networks",
        "containers",
        "generate",
        "checks",
        "needs",
        "name",
    ),
    *("kind", "addresses", "sysctls", "ends", "mtu", "rate", "hosts", "subnets", "plugins", "ips"),
    *("publish", "run", "from", "to", "mesh", "tcp", "deny", "fault", "down", "expect", "within"),
    *("h1", "sw", "a", "a@h1", "h1:eth1", "members", "family"),
]


@dataclass(frozen=True)
class Mistake:
    """One line of the right file is another one, or more of them; `@@` marks the line to blame."""

    old: str
    new: str
    where: str
    says: str


MISTAKES = {
    # --- keys
    "unknown key": Mistake("nodes:", "nods: @@", "nods", 'no key "nods"; did you mean "nodes"?'),
    "unknown key of a node": Mistake(
        "  h1: host", "  h1: {sysctl: {}} @@", "nodes.h1.sysctl", 'did you mean "sysctls"?'
    ),
    "unknown key of a link": Mistake(
        "  - h1:eth1 -- sw", "  - {ends: [h1, sw], los: 5%} @@", "links[0].los", 'mean "loss"?'
    ),
    "unknown key of a link's text": Mistake(
        "  - h1:eth1 -- sw", "  - h1 -- sw {speed=1} @@", "links[0]", "rate=..., delay=..., loss"
    ),
    "unknown key of a network": Mistake(
        "  db: {hosts", "  db: {host @@", "networks.db.host", 'did you mean "hosts"?'
    ),
    "unknown key of a container": Mistake(
        "publish:", "published: @@", "containers.a@h1.published", 'did you mean "publish"?'
    ),
    "unknown key with nothing like it": Mistake(
        "  - mesh: all",
        "  - mtu: {from: a, to: b, size: 1500, zzz: 1} @@",
        "checks[0].mtu.zzz",
        "write one of from, to, size, family, within",
    ),
    "key that is there twice": Mistake(
        "  h2: host", "  h2: host\n  h1: router @@", "nodes.h1", "twice; it is on line 3 already"
    ),
    "name of nothing": Mistake("  h2: host", '  "": host @@', "nodes.", "1 to 63 letters"),
    # --- names
    "name that can't be": Mistake("  h2: host", "  h 2: host @@", "nodes.h 2", "letters, digits"),
    "name that is an address": Mistake(
        "  h2: host", "  192.0.2.1: host @@", "nodes.192.0.2.1", "write a name that is none"
    ),
    "name that is taken": Mistake(
        "  b@h2:", "  sw: {networks: [db]}\n  h1@h2: @@", "containers.h1@h2", "is a node already"
    ),
    "container that is there twice": Mistake(
        "  b@h2:", "  a@h2: @@", "containers.a@h2", "on line 17 already: give this one another"
    ),
    "no name before @": Mistake("  b@h2:", '  "@h2": @@', "containers.@h2", "write a, or a@h1"),
    "host named twice": Mistake(
        "  b@h2: {", "  b@h2: {host: h1, @@", "containers.b@h2.host", "leave this key out"
    ),
    # --- nodes
    "unknown kind": Mistake("  sw: switch", "  sw: swich @@", "nodes.sw", 'mean "switch"?'),
    "switch with addresses": Mistake(
        "  sw: switch",
        "  sw: {kind: switch, addresses: {e: 192.0.2.1/24}} @@",
        "nodes.sw.addresses",
        "leave them out, or write kind: router",
    ),
    "addresses of an unknown interface": Mistake(
        "  h1: host",
        "  h1: {addresses: {eth9: 192.0.2.1/24}} @@",
        "nodes.h1.addresses.eth9",
        'did you mean "eth1"?',
    ),
    "address without a prefix": Mistake(
        "  h1: host",
        "  h1: {addresses: {eth1: 192.0.2.1}} @@",
        "nodes.h1.addresses.eth1",
        "write 192.0.2.1/24",
    ),
    "address that is none": Mistake(
        "  h1: host", "  h1: {addresses: {eth1: x}} @@", "nodes.h1.addresses.eth1", "192.0.2.7/24"
    ),
    "address of two nodes": Mistake(
        "  h1: host\n  h2: host",
        "  h1: {addresses: {eth1: 192.0.2.1/24}}\n  h2: {addresses: {eth1: 192.0.2.1/24}} @@",
        "nodes.h2.addresses.eth1",
        "an address of h1 already: write another one",
    ),
    "linked interfaces in two subnets": Mistake(
        "  h1: host\n  h2: host",
        "  h1: {addresses: {eth1: 192.0.2.1/24}}\n  h2: {addresses: {eth1: 10.9.0.1/24}} @@",
        "nodes.h2.addresses.eth1",
        "give both addresses of one subnet",
    ),
    "setting that is none": Mistake(
        "  h1: host", "  h1: {sysctls: {forward: 1}} @@", "nodes.h1.sysctls.forward", "net.ipv4."
    ),
    # --- links
    "link that is none": Mistake(
        "  - r1 -- sw", "  - r1 - sw @@", "links[2]", "write h1:eth1 -- sw"
    ),
    "link with one end": Mistake(
        "  - r1 -- sw", "  - {ends: [r1]} @@", "links[2].ends", "two ends"
    ),
    "link of an unknown node": Mistake(
        "  - r1 -- sw",
        "  - r1 -- sv @@",
        "links[2]",
        'no node "sv"; write one of h1, h2, r1, sw, sw2, sw3',
    ),
    "link with itself": Mistake("  - r1 -- sw", "  - r1:a -- r1:b @@", "links[2]", "name another"),
    "two links on one port": Mistake(
        "  - r1 -- sw",
        "  - h1:eth1 -- sw2 @@",
        "links[2]",
        'h1:eth1 is in "h1 -- sw" already; write another interface, or h1 alone',
    ),
    "two links of one name": Mistake(
        "  - r1 -- sw", "  - sw -- h1 @@", "links[2]", "leave it out, or put a switch between"
    ),
    "interface that can't be": Mistake(
        "  - r1 -- sw", "  - r1:a-very-long-name -- sw @@", "links[2]", "1 to 15 letters"
    ),
    "cycle of switches": Mistake(
        "  - r1 -- sw",
        "  - sw -- sw2\n  - sw2 -- sw3\n  - sw -- sw3 @@",
        "links[4]",
        "a cycle of switches (sw -- sw2 -- sw3 -- sw): frames would go round for ever; leave",
    ),
    "mtu that is none": Mistake("  - r1 -- sw", "  - r1 -- sw {mtu=9} @@", "links[2]", "mtu=1400"),
    # --- units
    "wrong unit of a rate": Mistake(
        "  - r1 -- sw", "  - r1 -- sw {rate=10mb} @@", "links[2]", "(bit, kbit, mbit, gbit): write"
    ),
    "rate without a unit": Mistake(
        "  - r1 -- sw", "  - {ends: [r1, sw], rate: 10} @@", "links[2].rate", '"10mbit"'
    ),
    "wrong unit of a delay": Mistake(
        "  - r1 -- sw", "  - r1 -- sw {delay=20m} @@", "links[2]", "(us, ms, s): write one such as"
    ),
    "delay without a unit": Mistake(
        "  - r1 -- sw", "  - {ends: [r1, sw], delay: 20} @@", "links[2].delay", '"20ms"'
    ),
    "loss without a unit": Mistake(
        "  - r1 -- sw", "  - {ends: [r1, sw], loss: 5} @@", "links[2].loss", "lacks its unit (%)"
    ),
    "more than all is lost": Mistake(
        "  - r1 -- sw", "  - r1 -- sw {loss=200%} @@", "links[2]", '"0%" to "100%"'
    ),
    "wrong unit in a check": Mistake(
        "  - mesh: all",
        "  - tcp: {from: a, to: 'b:80', within: 3min} @@",
        "checks[0].tcp.within",
        '(us, ms, s): write one such as "20ms"',
    ),
    # --- the underlay
    "underlay that is none": Mistake(
        "links:", "underlay: {ipv4: 10.0.0.1/8} @@\nlinks:", "underlay.ipv4", "192.168.0.0/16"
    ),
    "underlay that is too small": Mistake(
        "links:", "underlay: {ipv4: 10.0.0.0/30} @@\nlinks:", "underlay", 'ipv4: "10.0.0.0/8"'
    ),
    # --- networks
    "network on an unknown host": Mistake(
        "  db: {hosts: [h2]", "  db: {hosts: [h9] @@", "networks.db.hosts[0]", 'no host "h9"'
    ),
    "network on a router": Mistake(
        "  db: {hosts: [h2]", "  db: {hosts: [r1] @@", "networks.db.hosts[0]", "one of kind host"
    ),
    "no subnet": Mistake(
        ", subnets: [10.2.0.0/24]", " @@", "networks.db", "write subnets: [10.1.0.0/24]"
    ),
    "subnet with host bits": Mistake(
        "[10.2.0.0/24]", "[10.2.0.1/24] @@", "networks.db.subnets[0]", "write 10.2.0.0/24"
    ),
    "subnet without a prefix": Mistake(
        "[10.2.0.0/24]", "[10.2.0.0] @@", "networks.db.subnets[0]", "write 10.2.0.0/24"
    ),
    "subnet that is none": Mistake(
        "[10.2.0.0/24]", "[ten] @@", "networks.db.subnets[0]", "like 10.1.0.0/24 or fd00:1::/64"
    ),
    "overlapping subnets": Mistake(
        "[10.2.0.0/24]",
        "[10.1.0.128/25] @@",
        "networks.db.subnets[0]",
        'on h2: 10.1.0.128/25 and 10.1.0.0/24 of "web"; write another one, such as 10.0.1.0/24',
    ),
    "overlapping subnets of one network": Mistake(
        "[10.2.0.0/24]", "[10.2.0.0/24, 10.2.0.0/16] @@", "networks.db.subnets[1]", "leave one of"
    ),
    "subnet that overlaps a given one of a link": Mistake(
        "  h2: host",
        "  h2: {addresses: {eth1: 10.2.0.1/24}}",
        "networks.db.subnets[0]",
        "and 10.2.0.0/24 of its link at h2:eth1; write another one, such as 10.0.1.0/24",
    ),
    "subnet without room": Mistake(
        "[10.2.0.0/24]", "[10.2.0.0/31] @@", "networks.db.subnets[0]", "room for 0 containers"
    ),
    "unknown ingress": Mistake(
        "{hosts: [h2]", "{ingress: isolate @@", "networks.db.ingress", 'mean "isolated"?'
    ),
    "neither true nor false": Mistake(
        "{hosts: [h2]", "{internal: 7 @@", "networks.db.internal", "write true or false"
    ),
    "mtu of a network": Mistake(
        "{hosts: [h2]", "{mtu: 7 @@", "networks.db.mtu", "from 68 to 65535"
    ),
    "bridge that can't be": Mistake(
        "{hosts: [h2]", "{bridge: a/b @@", "networks.db.bridge", "eth1"
    ),
    "plugins and more": Mistake(
        "{hosts: [h2]", "{plugins: [{type: ptp}] @@", "networks.db.subnets", 'leave "subnets" out'
    ),
    "plugin without a type": Mistake(
        "{hosts: [h2], subnets: [10.2.0.0/24]}",
        "{plugins: [{name: ptp}]} @@",
        "networks.db.plugins[0]",
        "write type: bridge",
    ),
    # --- containers
    "container on an unknown host": Mistake(
        "  b@h2:", "  b@h3: @@", "containers.b@h3", 'there is no host "h3"; write one of h1, h2'
    ),
    "container on a switch": Mistake("  b@h2:", "  b@sw: @@", "containers.b@sw", "of kind switch"),
    "container without a host": Mistake("  b@h2:", "  b: @@", "containers.b", "write host: h1"),
    "unknown network": Mistake(
        "[web, db]", "[web, wbe] @@", "containers.b@h2.networks[1]", 'mean "web"?'
    ),
    "network of another host": Mistake(
        "{networks: [web], pub",
        "{networks: [db], pub @@",
        "containers.a@h1.networks[0]",
        "hosts: [",
    ),
    "network that is there twice": Mistake(
        "[web, db]", "[db, db] @@", "containers.b@h2.networks[1]", "leave one out"
    ),
    "address outside of the network": Mistake(
        "[web, db]",
        "{db: {ips: 10.3.0.1}} @@",
        "containers.b@h2.networks.db.ips",
        "write an address of 10.2.0.0/24",
    ),
    "address of two containers": Mistake(
        "  b@h2:",
        "  c@h2: {networks: {db: 10.2.0.9}}\n  d@h2: {networks: {db: 10.2.0.9}} @@\n  b@h2:",
        "containers.d@h2.networks.db",
        "10.2.0.9 is the address of c already: write another one",
    ),
    "MAC that is none": Mistake(
        "[web, db]", "{db: {mac: 1}} @@", "containers.b@h2.networks.db.mac", "02:00:00:00:00:0a"
    ),
    "publication that is none": Mistake(
        '"8080:80"', "8080 @@", "containers.a@h1.publish[0]", 'write "8080:80"'
    ),
    "port that is none": Mistake(
        '"8080:80"', '"99999:80" @@', "containers.a@h1.publish[0]", "from 1 to 65535"
    ),
    "protocol that can't be published": Mistake(
        '"8080:80"', '"80:80/sctp" @@', "containers.a@h1.publish[0]", "write /tcp or /udp"
    ),
    "port of two containers": Mistake(
        "  b@h2:",
        '  c@h1: {networks: [web], publish: ["127.0.0.1:8080:1"]} @@\n  b@h2:',
        "containers.c@h1.publish[0]",
        "a has this port of h1 already; write another one",
    ),
    "published without a network": Mistake(
        "networks: [web], publish", "publish", "containers.a@h1.publish", "write networks:"
    ),
    # --- generators
    "generator without a number": Mistake(
        "checks:",
        "generate: {containers: 5, name: c} @@\nchecks:",
        "generate.name",
        'write "c{n}"',
    ),
    "generator of none": Mistake(
        "checks:", "generate: {containers: 0} @@\nchecks:", "generate.containers", "1 or more"
    ),
    "generator of a name that is taken": Mistake(
        "checks:",
        'generate: {containers: 3, name: "h{n}"} @@\nchecks:',
        "generate.name",
        '"h1" is a node already',
    ),
    "generator on an unknown network": Mistake(
        "checks:",
        "generate: {containers: 3, networks: wep} @@\nchecks:",
        "generate.networks",
        '"web"',
    ),
    "generator without a host": Mistake(
        "  db: {hosts: [h2], subnets: [10.2.0.0/24]}",
        "  db: {hosts: [h2], subnets: [10.2.0.0/24]}\n  one: {hosts: [h1], subnets: 10.3.0.0/24}\n"
        "generate: {containers: 2, networks: [db, one]} @@",
        "generate",
        "no host has all its networks: write hosts",
    ),
    "generator of more than there is room for": Mistake(
        "[10.2.0.0/24]}",
        "[10.2.0.0/24]} @@\ngenerate: {containers: 300, networks: db}",
        "networks.db.subnets[0]",
        "room for 253 containers, and 301 of h2 are on it: write a shorter prefix, such as /23",
    ),
    # --- checks
    "unknown check": Mistake("mesh: all", "mehs: all @@", "checks[0].mehs", 'mean "mesh"?'),
    "check that is none": Mistake(
        "mesh: all", "[a] @@", "checks[0]", "one of mesh, tcp, udp, http"
    ),
    "two checks in one": Mistake(
        "mesh: all",
        "{mesh: all, tcp: {from: a, to: 'b:1'}} @@",
        "checks[0].tcp",
        "a dash of its own",
    ),
    "wrong key inside tcp": Mistake(
        "mesh: all", "tcp: {form: a, from: a, to: 'b:1'} @@", "checks[0].tcp.form", 'mean "from"?'
    ),
    "key that is missing": Mistake(
        "mesh: all", "tcp: {to: 'b:80'} @@", "checks[0].tcp", '"from" is missing: write from: a'
    ),
    "key of http in tcp": Mistake(
        "mesh: all",
        "tcp: {from: a, to: 'b:1', status: 2} @@",
        "checks[0].tcp.status",
        'tcp has no key "status"',
    ),
    "unknown place": Mistake(
        "mesh: all", "tcp: {from: a, to: 'bb:80'} @@", "checks[0].tcp.to", 'did you mean "b"?'
    ),
    "unknown member": Mistake("mesh: all", "mesh: [a, c] @@", "checks[0].mesh[1]", '"c"; '),
    "mesh of one": Mistake("mesh: all", "mesh: [a] @@", "checks[0].mesh", "two, or mesh: all"),
    "switch as a place": Mistake(
        "mesh: all", "mesh: [a, sw] @@", "checks[0].mesh[1]", "name a host"
    ),
    "no port": Mistake("mesh: all", "udp: {from: a, to: b} @@", "checks[0].udp.to", 'write "b:80"'),
    "port that is no number": Mistake(
        "mesh: all", "udp: {from: a, to: 'b:www'} @@", "checks[0].udp.to", "write b, or b:80"
    ),
    "family that is none": Mistake(
        "mesh: all", "mesh: {family: 5} @@", "checks[0].mesh.family", "none of 4, 6"
    ),
    "path over an unknown node": Mistake(
        "mesh: all", "path: {from: a, to: b, via: sww} @@", "checks[0].path.via", 'mean "sw"?'
    ),
    "mtu of no packet": Mistake(
        "mesh: all", "mtu: {from: a, to: b, size: 1} @@", "checks[0].mtu.size", "from 68 to 65535"
    ),
    "fault of an unknown link": Mistake(
        "mesh: all",
        "fault: {down: h1 -- sv} @@\n    heals: {mesh: all}",
        "checks[0].fault.down",
        'did you mean "h1 -- sw"?',
    ),
    "fault nobody looks at": Mistake(
        "mesh: all", "fault: {down: h1 -- sw} @@", "checks[0].fault", "write expect or heals"
    ),
    "fault that does nothing": Mistake(
        "mesh: all", "fault: @@\n    heals: {mesh: all}", "checks[0].fault", "down, stop or impair"
    ),
    "fault in a fault": Mistake(
        "mesh: all",
        "fault: {stop: h1}\n    heals: [{fault: {}}] @@",
        "checks[0].heals[0].fault",
        'no key "fault"',
    ),
    "impaired without a unit": Mistake(
        "mesh: all",
        "fault: {impair: {h1 -- sw: {delay: 1}}} @@\n    heals: {mesh: all}",
        "checks[0].fault.impair.h1 -- sw.delay",
        "lacks its unit",
    ),
    # --- YAML
    "list in place of names": Mistake(
        "networks:\n", "networks: [{web: 10.1.0.0/24}] @@\nunderlay:\n", "networks", "h1: ..."
    ),
    "tab": Mistake("  h2: host", "\th2: host @@", "", "with spaces, not with a tab"),
    "bracket that is not closed": Mistake("[web, db]", "[web, db", "", "brackets"),
    "tag": Mistake("  h1: host", "  h1: !host {} @@", "nodes.h1", "leave it out"),
    "cycle of aliases": Mistake(
        "  h1: host", "  h1: &h {addresses: *h} @@", "nodes.h1.addresses", "write it out"
    ),
    "second document": Mistake("links:", "--- @@\nlinks:", "", "without ---"),
    "text in place of keys": Mistake(
        "mesh: all", "tcp: a b @@", "checks[0].tcp", "tcp has keys (from, to, seen_as"
    ),
}


def problems(text: str) -> list[Problem]:
    with pytest.raises(TopologyError) as caught:
        parse(text, "lab.yaml")
    return caught.value.problems


def test_the_right_file_is_right() -> None:
    assert parse(RIGHT).name == "right"


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
def test_mistake(mistake: Mistake) -> None:
    assert mistake.old in RIGHT
    marked = RIGHT.replace(mistake.old, mistake.new, 1)
    lines = [number for number, line in enumerate(marked.splitlines(), 1) if "@@" in line]
    found = problems(marked.replace("@@", ""))
    about = [problem for problem in found if problem.where == mistake.where]
    (line,) = {problem.line for problem in about if mistake.says in problem.message} or {str(found)}
    assert not lines or line == lines[0]
    assert all(str(problem).startswith(f"lab.yaml:{problem.line}: ") for problem in found)


def test_all_mistakes_of_a_file_are_reported_at_once_in_order() -> None:
    text = RIGHT.replace("h1: host", "h1: {sysctl: {}}").replace("r1 -- sw", "r1 -- sv")
    text = text.replace("[10.2.0.0/24]", "[10.1.0.0/16]").replace("[web, db]", "[web, dp, db]")
    text = text.replace("mesh: all", "tpc: {from: a}") + "  - http: {to: 'c:80', within: 3}\n"
    assert [(problem.line, problem.where) for problem in problems(text)] == [
        (3, "nodes.h1.sysctl"),
        (12, "links[2]"),
        (15, "networks.db.subnets[0]"),
        (18, "containers.b@h2.networks[1]"),
        (20, "checks[0].tpc"),
        (21, "checks[1].http"),
        (21, "checks[1].http.within"),
    ]


def test_what_could_not_be_read_is_not_missed_elsewhere() -> None:
    """A wrong node stays known by its name, and a wrong generator's names are anybody's guess."""
    wrong = RIGHT.replace("h2: host", "h2: hots")
    assert [problem.where for problem in problems(wrong)] == ["nodes.h2"]
    wrong = RIGHT.replace("mesh: all", "mesh: [a, c1]") + "generate: {containers: many}\n"
    assert [problem.where for problem in problems(wrong)] == ["generate.containers"]
    wrong = RIGHT.replace("networks:\n", "networks: 5\nunderlay:\n")
    assert "networks" in [problem.where for problem in problems(wrong)]
    assert "there is no network" not in str(problems(wrong))


def test_an_entry_of_a_list_keeps_its_line_where_one_before_it_is_wrong() -> None:
    text = RIGHT.replace("h1:eth1 -- sw", "h1:eth1 sw").replace("r1 -- sw", "r9 -- sw")
    assert [problem.line for problem in problems(text)] == [10, 12]


@pytest.mark.parametrize("text", ["", "# nothing\n", "~"])
def test_an_empty_file(text: str) -> None:
    (problem,) = problems(text)
    assert problem.message == "nothing is in it: begin with nodes:"


@pytest.mark.parametrize("text", ["- a", "a", "7", "[" * 100_000, "a: &a [&b [*a, *b]]"])
def test_no_topology_at_all(text: str) -> None:
    assert problems(text)


def test_aliases_that_repeat_each_other_are_too_much() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert "generate" in problems("\n".join(lines))[-1].message


def test_a_file_that_is_not_there_or_no_text(tmp_path: Path) -> None:
    with pytest.raises(TopologyError, match=r"lab.yaml: can't be read: No such file"):
        read(tmp_path / "lab.yaml")
    (tmp_path / "lab.yaml").write_bytes(b"name: \xff")
    with pytest.raises(TopologyError, match="save the file as UTF-8"):
        read(tmp_path / "lab.yaml")


def test_the_error_is_one_of_labs_and_survives_another_process() -> None:
    with pytest.raises(LabError) as caught:
        parse("nods: {}", "lab.yaml")
    assert (
        str(caught.value) == 'lab.yaml:1: nods: a topology has no key "nods"; did you mean "nodes"?'
    )
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


@given(st.text(max_size=200) | st.text(st.sampled_from("{}[]:-,&*a1 \n\t'\"#!|>%@"), max_size=60))
def test_no_text_is_too_strange(text: str) -> None:
    try:
        parse(text)
    except TopologyError as error:
        assert error.problems


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=5), inner, max_size=4)
        ),
        max_leaves=20,
    )
)
def test_no_value_is_too_strange(value: object) -> None:
    text = json.dumps({"nodes": {"h1": "host", "sw": "switch"}, "containers": {"a": {}}})
    for section in KEYS[:9]:
        try:
            parse(json.dumps({**json.loads(text), section: value}))
        except TopologyError as error:
            assert error.problems
