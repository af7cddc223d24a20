"""Mistakes in a topology file as such: keys, names, YAML; no text is too strange to be refused."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mistakes import RIGHT, Mistake, assert_told, problems

from pynet.testnets.lab.forked import LabError
from pynet.testnets.spec.reading import TopologyError, parse, read

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


def test_the_right_file_is_right() -> None:
    assert parse(RIGHT).name == "right"


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
def test_mistake(mistake: Mistake) -> None:
    assert_told(mistake)


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
