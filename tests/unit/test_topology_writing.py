"""What is dumped is read as the same; and the schema takes what is read."""

from __future__ import annotations

import json
import re
from pathlib import Path as File
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import pynet.testnets
from pynet.testnets.spec.expanding import expanded
from pynet.testnets.spec.notation import link_text, parse_link, parse_publication, publication_text
from pynet.testnets.spec.reading import parse, read
from pynet.testnets.spec.topology import (
    Container,
    Deny,
    End,
    Fault,
    Generator,
    Impairment,
    Link,
    Membership,
    Mesh,
    Mtu,
    Network,
    Node,
    Path,
    Publication,
    Reach,
    Target,
    Topology,
    Underlay,
)
from pynet.testnets.spec.writing import dump, schema

GALLERY = sorted((File(pynet.testnets.__file__).parent / "topologies").glob("*.yaml"))

HOSTS, SWITCHES, NETWORKS = ("h1", "on", "null2"), ("sw", "7"), ("web", "1e3", "0o17")
texts = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Cn")), max_size=20)
words = st.sampled_from(
    ["", "yes", "8080:80", "~", " x", "a: b", "#", "- a", "0x1f", "1_0", "=", "\n"]
)
anything = texts | words
impairments = st.builds(
    Impairment,
    rate=st.none() | st.integers(1, 10**11),
    delay=st.none() | st.floats(0, 100),
    loss=st.none() | st.floats(0, 1),
)
publications = st.builds(
    Publication,
    host_port=st.integers(1, 65535),
    container_port=st.integers(1, 65535),
    protocol=st.sampled_from(["tcp", "udp"]),
    host_ip=st.just("") | st.ip_addresses(v=4).map(str) | st.ip_addresses(v=6).map(str),
)
links = st.builds(
    Link,
    ends=st.tuples(st.builds(End, node=st.just("h1")), st.builds(End, node=st.just("sw"))),
    mtu=st.integers(68, 65535),
    impairment=impairments,
)


@given(links)
def test_a_link_is_read_as_it_was_written(link: Link) -> None:
    assert parse_link(link_text(link)) == link


@given(publications)
def test_a_publication_is_read_as_it_was_written(publication: Publication) -> None:
    assert parse_publication(publication_text(publication)) == publication


places = st.sampled_from(["a", "b@", *HOSTS]).map(lambda name: name.strip("@"))
names = places | st.ip_addresses().map(str)


@st.composite
def checks(draw: st.DrawFn, *, in_fault: bool = False) -> Any:
    port = draw(st.integers(1, 65535))
    common: dict[str, Any] = {
        "family": draw(st.sampled_from([None, 4, 6])),
        "within": draw(st.floats(0.001, 100)),
    }
    source, to = draw(places), Target(name=draw(names), port=port)
    kinds = ["mesh", "tcp", "udp", "http", "deny", "echo", "path", "mtu"]
    kind = draw(st.sampled_from(kinds if in_fault else [*kinds, "fault"]))
    if kind == "mesh":
        members = draw(st.sampled_from([(), ("a", "b"), HOSTS]))
        return Mesh(members=members, **common)
    if kind in ("tcp", "udp"):
        seen_as = draw(st.sampled_from(["", "h1", "192.0.2.1"]))
        return Reach(kind=kind, source=source, to=to, seen_as=seen_as, **common)  # type: ignore[arg-type]
    if kind == "http":
        more = {"status": draw(st.integers(100, 599)), "answer": draw(anything)}
        return Reach(kind="http", source=source, to=to, **more, **common)  # type: ignore[arg-type]
    if kind == "deny":
        protocol = draw(st.sampled_from(["tcp", "udp", "icmp"]))
        return Deny(source=source, to=to, protocol=protocol, **common)  # type: ignore[arg-type]
    if kind == "echo":
        return Deny(source=source, to=Target(name=to.name), protocol="icmp", **common)
    if kind == "path":
        return Path(source=source, to=to, via=draw(st.sampled_from([("sw",), HOSTS])), **common)
    if kind == "mtu":
        return Mtu(source=source, to=to, size=draw(st.integers(68, 65535)), **common)
    inner = st.lists(checks(in_fault=True), min_size=1, max_size=2).map(tuple)
    return Fault(
        down=draw(st.sampled_from([(), ("h1 -- sw",)])),
        stop=draw(st.sampled_from([(), ("on",)])),
        impair={"on -- sw": draw(impairments)},
        expect=draw(inner),
        heals=draw(inner),
    )


sysctls = st.dictionaries(st.sampled_from(["net.ipv4.ip_forward", "a.b"]), anything)
member = st.builds(
    Membership,
    network=st.sampled_from(NETWORKS),
    mac=st.sampled_from(["", "02:00:00:00:00:01"]),
)
members = st.lists(member, max_size=2, unique_by=lambda each: each.network).map(tuple)
words = st.lists(anything)
ports = st.lists(publications, max_size=1)


@st.composite
def topologies(draw: st.DrawFn) -> Topology:
    """Whatever may be in a topology, with names and texts that YAML might take for others."""
    nodes = {name: Node(sysctls=draw(sysctls)) for name in HOSTS}
    nodes |= {name: Node(kind="switch") for name in SWITCHES}
    nodes["h1"] = nodes["h1"].model_copy(update={"addresses": {"eth5": ("192.0.2.1/24",)}})
    wires = [("h1:eth5", "sw"), ("on", "sw:p1"), ("null2", "7")]
    return Topology(
        name=draw(st.sampled_from(["lab", "7", "null", "1e3"])),
        description=draw(anything),
        nodes=nodes,
        links=tuple(
            draw(links).model_copy(update={"ends": parse_link(" -- ".join(pair)).ends})
            for pair in wires
        ),
        underlay=draw(st.sampled_from([Underlay(), Underlay(ipv4="172.16.0.0/12", ipv6="")])),
        networks={
            name: Network(
                subnets=(f"10.{number}.0.0/16",),
                internal=draw(st.booleans()),
                masquerade=draw(st.booleans()),
                ingress=draw(st.sampled_from(["", "open", "isolated"])),
                mtu=draw(st.sampled_from([0, 1400])),
            )
            for number, name in enumerate(NETWORKS)
        }
        | {"raw": Network(plugins=({"type": "bridge", "n": 1, "t": draw(anything)},))},
        containers={
            "a": Container(host="on", networks=draw(members), run=tuple(draw(words))),
            "b": Container(
                host="h1",
                networks=(Membership(network="web", ips=("10.0.0.9",)),),
                publish=tuple(draw(ports)),
            ),
        },
        generate=(Generator(containers=3, name="x{n}", hosts=("on",), networks=("web",)),),
        checks=tuple(draw(st.lists(checks(), max_size=4))),
        needs=draw(st.sampled_from([(), ("netem",), ("tbf", "netem")])),
    )


@given(topologies())
def test_a_topology_is_read_as_it_was_written(topology: Topology) -> None:
    assert parse(dump(topology)) == topology


@given(topologies())
def test_an_expanded_topology_is_read_as_it_was_written(topology: Topology) -> None:
    full = expanded(topology)
    assert parse(dump(full)) == full


@given(topologies())
def test_the_json_form_is_read_as_it_was_written(topology: Topology) -> None:
    assert Topology.model_validate_json(topology.model_dump_json()) == topology


@pytest.mark.parametrize("path", GALLERY, ids=lambda path: path.stem)
def test_the_gallery_is_read_as_it_was_written(path: File) -> None:
    assert parse(dump(read(path))) == read(path)


def test_it_is_written_as_people_do() -> None:
    text = """\
name: pair
nodes:
  h1: host
  sw: switch
links:
  - h1:eth1 -- sw {rate=10mbit loss=5%}
networks:
  web: {subnets: [10.1.0.0/24]}
containers:
  a@h1: {networks: [web], publish: ["8080:80"]}
  b@h1: {networks: [web]}
checks:
  - mesh: all
  - tcp: {from: a, to: "b:80", within: 3s}
  - fault: {down: [h1 -- sw]}
    expect:
      - deny: {from: h1, to: a, protocol: icmp}
"""
    assert yaml.safe_load(dump(parse(text))) == yaml.safe_load(text)
    assert dump(parse(text)).splitlines()[:8] == text.splitlines()[:8]


# --- the schema -----------------------------------------------------------------------------------


WHOLE = json.loads(json.dumps(schema()))


def fits(value: Any, shape: dict[str, Any], root: dict[str, Any]) -> bool:
    """Whether a value is as a JSON Schema says, of what ours is made of."""
    known = {"type", "anyOf", "properties", "additionalProperties", "required", "items", "enum",
             "const", "pattern", "minimum", "maximum", "minItems", "maxItems", "minProperties",
             "maxProperties", "dependentRequired", "$ref"}  # fmt: skip
    told = {"default", "description", "title", "examples", "$schema", "$defs"}
    assert shape.keys() <= known | told, shape.keys() - known - told
    if "$ref" in shape and not fits(value, root["$defs"][shape["$ref"].rpartition("/")[2]], root):
        return False
    if "anyOf" in shape and not any(fits(value, each, root) for each in shape["anyOf"]):
        return False
    return _of_type(value, shape) and _within(value, shape) and _inside(value, shape, root)


def _of_type(value: Any, shape: dict[str, Any]) -> bool:
    types = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}
    types |= {"integer": int, "number": (int, float)}  # type: ignore[dict-item]
    names = shape.get("type", [])
    names = [names] if isinstance(names, str) else names
    fitting = [name for name in names if isinstance(value, types[name])]
    if isinstance(value, bool):
        fitting = [name for name in fitting if name == "boolean"]
    return not names or bool(fitting)


def _within(value: Any, shape: dict[str, Any]) -> bool:
    if value not in shape.get("enum", [value]) or value != shape.get("const", value):
        return False
    if isinstance(value, str):
        return re.search(shape.get("pattern", ""), value) is not None
    if isinstance(value, int | float):
        return bool(shape.get("minimum", value) <= value <= shape.get("maximum", value))
    return True


def _inside(value: Any, shape: dict[str, Any], root: dict[str, Any]) -> bool:
    if isinstance(value, list):
        count = shape.get("minItems", 0) <= len(value) <= shape.get("maxItems", len(value))
        return count and all(fits(each, shape.get("items", {}), root) for each in value)
    if not isinstance(value, dict):
        return True
    others = shape.get("additionalProperties", {})
    for key, each in value.items():
        inner = shape.get("properties", {}).get(key, others)
        if inner is False or (inner is not True and not fits(each, inner, root)):
            return False
    needed = {key for name in value for key in shape.get("dependentRequired", {}).get(name, [])}
    few = shape.get("minProperties", 0) <= len(value) <= shape.get("maxProperties", len(value))
    return few and {*shape.get("required", []), *needed} <= value.keys()


@pytest.mark.parametrize("path", GALLERY, ids=lambda path: path.stem)
def test_the_schema_takes_the_gallery(path: File) -> None:
    assert fits(yaml.safe_load(path.read_text()), WHOLE, WHOLE)


@given(topologies())
def test_the_schema_takes_what_is_written(topology: Topology) -> None:
    written = dump(topology.model_copy(update={"name": "lab", "needs": ("netem",)}))
    assert fits(_as_core_schema_reads(written), WHOLE, WHOLE)


def _as_core_schema_reads(text: str) -> Any:
    from pynet.testnets.spec.yaml_tree import compose

    return compose(text, "x")[0].plain()


@pytest.mark.parametrize(
    "text",
    [
        "nods: {}",
        "nodes: {h1: hots}",
        "nodes: {h1: {kind: host, adresses: {}}}",
        "links: [h1 sw]",
        "links: [{ends: [h1]}]",
        "links: [{ends: [h1, sw], rate: 10}]",
        "networks: {web: {subnet: 10.1.0.0/24}}",
        "containers: {a: {publish: [80]}}",
        "generate: [{containers: 0}]",
        "checks: [{tpc: {from: a, to: b}}]",
        "checks: [{tcp: {source: a, to: b}}]",
        "checks: [{tcp: {from: a, to: b, status: 200}}]",
        "checks: [{mesh: all, tcp: {from: a, to: b}, expect: []}]",
        "checks: [{fault: {expect: [{fault: {}}]}}]",
    ],
)
def test_the_schema_refuses(text: str) -> None:
    assert not fits(yaml.safe_load(text), WHOLE, WHOLE)
