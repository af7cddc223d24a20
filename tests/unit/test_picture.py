"""What a picture shows of a topology, planned or up; and what it is drawn as."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pynet.testnets.lab.forked import LabError
from pynet.testnets.pictures.drawing import FORMATS, draw
from pynet.testnets.pictures.picture import picture, readable
from pynet.testnets.pictures.svg_style import DARK, LIGHT
from pynet.testnets.spec.topology import (
    Container,
    End,
    Generator,
    Impairment,
    Link,
    Membership,
    Network,
    Node,
    Publication,
    Topology,
)

SVG = "{http://www.w3.org/2000/svg}"


def link(one: str, other: str, mtu: int = 1500, impairment: Impairment | None = None) -> Link:
    ends = (End(node=one, interface="eth0"), End(node=other, interface="eth0"))
    return Link(ends=ends, mtu=mtu, impairment=impairment or Impairment())


def web(**more: object) -> Container:
    return Container.model_validate({"host": "h1", "networks": [{"network": "web"}], **more})


PUBLISHED = Topology(
    name="published",
    description="A server and a client outside",
    nodes={"client": Node(kind="external"), "h1": Node()},
    links=(link("client", "h1", 1400, Impairment(rate=10_000_000, delay=0.02, loss=0.01)),),
    networks={"web": Network(subnets=("10.1.0.0/24", "fd00:1::/64"), internal=True)},
    containers={
        "a": web(),
        "b": web(
            run=("sleep", "1"),
            publish=(
                Publication(host_port=8080, container_port=80),
                Publication(host_port=53, container_port=54, protocol="udp", host_ip="::1"),
            ),
        ),
    },
)
HUNDRED = Topology(
    name="hundred",
    nodes={"h1": Node()},
    networks={"web": Network(subnets=("10.1.0.0/16",))},
    generate=(Generator(containers=100, networks=("web",)),),
)


@dataclass
class Place:
    interfaces: Mapping[str, tuple[str, ...]]


@dataclass
class Up:
    places: Mapping[str, Place]


def svg_texts(text: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(text).iter(f"{SVG}text")]


def test_a_picture_of_what_is_not_up_has_the_planned_addresses() -> None:
    client, host = picture(PUBLISHED).nodes
    assert client.interface("eth0").addresses == ("192.168.0.1/24", "fd00:c0a8::1/64")
    assert "203.0.113.1/32" in client.interface("lo").addresses
    assert host.interface("eth0").addresses == ("192.168.0.2/24", "fd00:c0a8::2/64")
    assert [one.addresses for one in host.containers[0].interfaces] == [()]


def test_a_picture_of_what_is_up_has_the_addresses_that_are_there() -> None:
    there = {
        "h1": Place({"eth0": ("192.0.2.9/24",), "br-web": ("10.1.0.1/24",), "lo": ()}),
        "a": Place({"eth0": ("10.1.0.77/24",)}),
    }
    _, host = picture(PUBLISHED, Up(there)).nodes
    assert [(one.name, one.addresses) for one in host.interfaces] == [("eth0", ("192.0.2.9/24",))]
    assert host.containers[0].interfaces[0].addresses == ("10.1.0.77/24",)
    for format in FORMATS:
        assert "10.1.0.77/24" in draw(PUBLISHED, format, Up(there))


def test_fixed_addresses_are_shown_before_they_are_there() -> None:
    fixed = Membership(network="web", ips=("10.1.0.50",))
    topology = PUBLISHED.model_copy(update={"containers": {"a": web(networks=[fixed])}})
    assert "10.1.0.50" in svg_texts(draw(topology, "svg"))


def test_a_network_is_shown_where_it_has_containers_or_else_on_its_hosts() -> None:
    topology = Topology(
        nodes={"h1": Node(), "h2": Node(), "h3": Node()},
        networks={"web": Network(subnets=("10.1.0.0/24",)), "idle": Network(hosts=("h3",))},
        containers={"a": web()},
    )
    shown = {node.name: [net.name for net in node.networks] for node in picture(topology).nodes}
    assert shown == {"h1": ["web"], "h2": [], "h3": ["idle"]}


def test_the_svg_says_all_that_matters() -> None:
    texts = svg_texts(draw(PUBLISHED, "svg"))
    for expected in (
        *("client", "h1", "a", "b", "sleep 1", "web", "internal"),
        *("192.168.0.1/24", "fd00:c0a8::2/64", "203.0.113.1/32"),
        "br-web · 10.1.0.0/24 · fd00:1::/64",
        "10mbit · 20ms · 1% loss · mtu 1400",
        *(":8080 → 80/tcp", "[::1]:53 → 54/udp"),
    ):
        assert texts.count(expected) == 1, expected


def test_published_ports_are_joined_to_their_container() -> None:
    drawn = ElementTree.fromstring(draw(PUBLISHED, "svg"))
    lines = [line for line in drawn.iter(f"{SVG}polyline") if line.get("class") == "published"]
    assert len(lines) == 2
    assert len(drawn.findall(f".//{SVG}polygon")) == 2


def test_a_hundred_containers_are_small_boxes_each_with_its_name() -> None:
    drawn = draw(HUNDRED, "svg")
    assert drawn.count('class="small"') >= 100
    texts = svg_texts(drawn)
    assert all(texts.count(f"c{number}") == 1 for number in range(1, 101))
    assert "100 containers" in texts


def test_those_that_differ_stay_apart_from_the_many() -> None:
    containers = {"odd": web(publish=(Publication(host_port=80, container_port=80),))}
    drawn = draw(HUNDRED.model_copy(update={"containers": containers}), "svg")
    assert "c1 … c100" in svg_texts(drawn)
    assert ":80 → 80/tcp" in svg_texts(drawn)


def test_more_ports_than_lines_can_show_stand_in_the_containers() -> None:
    containers = {
        f"a{number}": web(publish=(Publication(host_port=8000 + number, container_port=80),))
        for number in range(20)
    }
    drawn = draw(PUBLISHED.model_copy(update={"containers": containers}), "svg")
    assert 'polyline class="published"' not in drawn
    assert all(f":{8000 + number} → 80/tcp" in svg_texts(drawn) for number in range(20))


@pytest.mark.parametrize("format", FORMATS)
def test_the_same_topology_gives_the_same_text_in_any_process(format: str) -> None:
    code = (
        "import sys; from pynet.testnets.pictures.drawing import draw;"
        "from pynet.testnets.spec.topology import Topology;"
        "sys.stdout.write(draw(Topology.model_validate_json(sys.stdin.read()), sys.argv[1]))"
    )
    drawn = {
        subprocess.run(
            [sys.executable, "-c", code, format],
            input=PUBLISHED.model_dump_json(),
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONIOENCODING": "utf-8"},
            capture_output=True,
            check=True,
            encoding="utf-8",
        ).stdout
        for seed in ("1", "2")
    }
    assert drawn == {draw(PUBLISHED, format)}


def test_the_svg_needs_nothing_else() -> None:
    drawn = draw(PUBLISHED, "svg")
    assert re.findall(r"https?://[^\"]*", drawn) == ["http://www.w3.org/2000/svg"]
    assert "prefers-color-scheme: dark" in drawn
    for foreign in ("<script", "<image", "<use", "href", "@import", "url("):
        assert foreign not in drawn


@settings(max_examples=40)
@given(
    st.text(min_size=1, max_size=12)
    | st.sampled_from(['"]; end', "<script>", "]]>", "&amp;", "a\nb", "\\", "#quot;", "\x1b\u202e"])
)
def test_no_name_breaks_out_of_its_text(name: str) -> None:
    network = Membership(network=name)
    topology = Topology(
        name=name,
        description=name,
        nodes={name: Node()},
        networks={name: Network()},
        containers={f"{name}/1": Container(host=name, networks=(network,), run=(name,))},
    )
    quiet = Topology(
        nodes={"a": Node()},
        networks={"a": Network()},
        containers={"a/1": web(host="a", networks=[{"network": "a"}], run=("a",))},
    )
    drawn = ElementTree.fromstring(draw(topology, "svg"))
    kinds = [element.tag for element in drawn.iter() if element.tag in (f"{SVG}rect", f"{SVG}g")]
    plain = ElementTree.fromstring(draw(quiet, "svg"))
    assert kinds == [e.tag for e in plain.iter() if e.tag in (f"{SVG}rect", f"{SVG}g")]
    for line in draw(topology, "mermaid").splitlines()[3:]:
        assert line.count('"') in (0, 2)
        assert not set('<>"') & set(re.sub(r"<br/>", "", "".join(line.split('"')[1:2])))
    for line in draw(topology, "dot").splitlines():
        assert len(re.sub(r'"([^"\\]|\\.)*"', "", line).split('"')) == 1


def test_what_cannot_be_shown_is_replaced() -> None:
    assert readable("a\tb\n c") == "a b c"
    assert (
        readable("\x00\u202ea\ud800")
        == "\N{REPLACEMENT CHARACTER}" * 2 + "a\N{REPLACEMENT CHARACTER}"
    )


@pytest.mark.parametrize("format", ["mermaid", "dot"])
def test_text_formats_have_every_part(format: str) -> None:
    drawn = draw(PUBLISHED, format)
    for expected in (
        "client",
        "h1",
        "web",
        "192.168.0.2/24",
        "10mbit",
        "mtu 1400",
        ":8080",
        "80/tcp",
    ):
        assert expected in drawn, expected
    hundred = draw(HUNDRED, format).replace("\\n", " ")
    assert all(re.search(rf"\bc{number}\b", hundred) for number in range(1, 101))


def test_mermaid_draws_links_downwards_and_hosts_as_subgraphs() -> None:
    drawn = draw(PUBLISHED, "mermaid").splitlines()
    assert drawn[:4] == ["---", 'title: "published"', "---", "flowchart TB"]
    assert '  subgraph n1s["h1"]' in drawn
    assert '  n0 ---|"10mbit · 20ms · 1% loss · mtu 1400"| n1' in drawn
    turned = PUBLISHED.model_copy(update={"links": (link("h1", "client"),)})
    assert "  n0 --- n1" in draw(turned, "mermaid").splitlines()


def test_an_empty_topology_is_drawn_too() -> None:
    for format in FORMATS:
        assert "lab" in draw(Topology(), format)


def test_an_unknown_format_is_refused_with_those_there_are() -> None:
    with pytest.raises(LabError, match=r"'png'.*svg, mermaid, dot"):
        draw(PUBLISHED, "png")


def test_both_themes_colour_the_same_things() -> None:
    assert LIGHT.surfaces.keys() == DARK.surfaces.keys()
    assert len(LIGHT.tints) == len(DARK.tints)
