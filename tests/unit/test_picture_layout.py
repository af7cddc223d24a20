"""Where things stand in an SVG picture: nothing overlaps, leaves its parent, or is run through."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pynet.testnets.pictures.picture import (
    DrawnContainer,
    DrawnInterface,
    DrawnLink,
    DrawnNetwork,
    DrawnNode,
    DrawnPort,
    Picture,
)
from pynet.testnets.pictures.svg_layout import layout
from pynet.testnets.pictures.svg_rows import settled
from pynet.testnets.pictures.svg_shapes import Box, Line

Area = tuple[int, int, int, int]
"""Left, top, right, bottom."""

NETWORKS = ("web", "db", "a network with a rather long name")
ADDRESSES = ("10.1.0.2/24", "fd00:1::2/64", "2001:db8:1234:5678:9abc:def0:1234:5678/128")
NAMES = st.text(min_size=1, max_size=30) | st.sampled_from(["a", "container-with-a-long-name" * 5])


def area(box: Box) -> Area:
    return box.x, box.y, box.x + box.width, box.y + box.height


def texts(box: Box) -> list[Area]:
    return [
        (text.left, text.y, text.left + text.width, text.y + text.font.line) for text in box.texts
    ]


def overlap(one: Area, other: Area) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def within(one: Area, box: Box) -> bool:
    return one[0] >= 0 and one[1] >= 0 and one[2] <= box.width and one[3] <= box.height


def pieces(line: Line) -> Iterator[Area]:
    """Each straight piece of a line as an area, one pixel thick."""
    for (x1, y1), (x2, y2) in itertools.pairwise(line.points):
        assert x1 == x2 or y1 == y2, "lines run upright or level"
        yield min(x1, x2), min(y1, y2), max(x1, x2) + 1, max(y1, y2) + 1


def runs_through(line: Line, box: Box) -> bool:
    left, top, right, bottom = area(box)
    inner = (left + 1, top + 1, right - 1, bottom - 1)
    return any(overlap(piece, inner) for piece in pieces(line))


def assert_tidy(box: Box) -> None:
    """All that is promised of a box, and of what is in it."""
    standing = [area(child) for child in box.children] + texts(box)
    for one in standing:
        assert within(one, box), (box.kind, one)
    for one, other in itertools.combinations(standing, 2):
        assert not overlap(one, other), (box.kind, one, other)
    for line in box.lines:
        assert all(within((x, y, x, y), box) for x, y in line.points), (box.kind, line)
        for child in box.children:
            assert child.kind == "label" or not runs_through(line, child), (line, child)
    for child in box.children:
        if child.kind == "label":
            assert sum(runs_through(line, child) for line in box.lines) == 1, child
        assert_tidy(child)


@st.composite
def containers(draw: st.DrawFn, node: str, nets: tuple[str, ...]) -> tuple[DrawnContainer, ...]:
    count = draw(st.integers(0, 9) | st.sampled_from([61, 75]))
    first = draw(NAMES)
    ports = draw(st.integers(0, 3))
    found = []
    for number in range(count):
        name = f"{node}/{number}/{first}"
        chosen = nets[: 1 + number % 2] if count < 10 else nets[:1]
        shown = ADDRESSES[: draw(st.integers(0, 3)) if count < 10 else 1]
        found.append(
            DrawnContainer(
                name,
                tuple(DrawnInterface(f"eth{at}", shown, net) for at, net in enumerate(chosen)),
                tuple(
                    DrawnPort(f":{8000 + at}", f"{at}/tcp", name)
                    for at in range(ports if number < 5 else 0)
                ),
                draw(st.sampled_from(["", "sleep 1", "python3 -m http.server --bind " * 9])),
            )
        )
    return tuple(found)


@st.composite
def nodes(draw: st.DrawFn, name: str) -> DrawnNode:
    kind = draw(st.sampled_from(["host", "host", "host", "router", "switch", "external"]))
    if kind != "host":
        loose = (DrawnInterface("lo", ADDRESSES[:2]),) if kind == "external" else ()
        return DrawnNode(name, kind, loose)
    nets = draw(st.sampled_from([(), NETWORKS[:1], NETWORKS[:2], NETWORKS]))
    return DrawnNode(
        name,
        kind,
        (),
        tuple(DrawnNetwork(net, "cni0", ADDRESSES, ("internal",)) for net in nets),
        draw(containers(name, nets)),
    )


@st.composite
def pictures(draw: st.DrawFn) -> Picture:
    names = draw(st.lists(NAMES, min_size=1, max_size=9, unique=True))
    found = [draw(nodes(name)) for name in names]
    ends = st.tuples(st.sampled_from(names), st.sampled_from(names))
    links = []
    for number, (one, other) in enumerate(draw(st.lists(ends, max_size=14))):
        remarks = draw(st.sampled_from([(), (), ("10mbit", "20ms", "1% loss", "mtu 1400")]))
        links.append(
            DrawnLink(((one, f"eth{2 * number}"), (other, f"eth{2 * number + 1}")), remarks)
        )
    with_ends = [
        DrawnNode(
            node.name,
            node.kind,
            node.interfaces
            + tuple(
                DrawnInterface(interface, ADDRESSES[: draw(st.integers(0, 3))])
                for link in links
                for name, interface in link.ends
                if name == node.name
            ),
            node.networks,
            node.containers,
        )
        for node in found
    ]
    return Picture(draw(NAMES), draw(st.text(max_size=200)), tuple(with_ends), tuple(links))


@settings(max_examples=60)
@given(pictures())
def test_nothing_overlaps_leaves_its_parent_or_is_run_through(picture: Picture) -> None:
    assert_tidy(layout(picture))


@pytest.mark.parametrize("hosts", [1, 10, 40])
def test_hosts_on_one_switch_are_tidy_in_however_many_rows(hosts: int) -> None:
    def host(name: str) -> DrawnNode:
        inside = tuple(
            DrawnContainer(f"{name}c{number}", (DrawnInterface("eth0", ADDRESSES, "web"),))
            for number in range(10)
        )
        network = DrawnNetwork("web", "", ("10.1.0.0/16",))
        return DrawnNode(name, "host", (DrawnInterface("eth1", ADDRESSES),), (network,), inside)

    names = [f"h{number}" for number in range(hosts)]
    links = tuple(DrawnLink(((name, "eth1"), ("sw", "")), ("mtu 1400",)) for name in names)
    switch = DrawnNode("sw", "switch")
    drawn = layout(Picture("many", "", (*map(host, names), switch), links))
    assert_tidy(drawn)
    assert 0.5 < drawn.width / drawn.height < 4


@given(
    st.lists(st.tuples(st.integers(-500, 500), st.integers(1, 300)), max_size=12),
    st.integers(0, 40),
)
def test_settled_boxes_keep_their_order_and_distance(
    boxes: list[tuple[int, int]], gap: int
) -> None:
    boxes.sort()
    widths = [width for _, width in boxes]
    lefts = settled([centre for centre, _ in boxes], widths, gap)
    for (left, width), (following, _) in itertools.pairwise(zip(lefts, widths, strict=True)):
        assert left + width + gap <= following


def test_settled_boxes_with_room_stay_where_they_are_wanted() -> None:
    assert settled([100, 300, 310], [40, 20, 20], 10) == [80, 280, 310]


def test_a_line_through_a_box_is_seen() -> None:
    """The judge above can say no."""
    child = Box("host", 100, 100, 50, 50)
    through = Line("link", ((0, 80), (200, 80)))
    beside = Line("link", ((0, 20), (200, 20)))
    assert_tidy(Box("picture", 300, 300, children=(child,), lines=(beside,)))
    with pytest.raises(AssertionError):
        assert_tidy(Box("picture", 300, 300, children=(child,), lines=(through,)))
    with pytest.raises(AssertionError):
        assert_tidy(Box("picture", 300, 300, children=(child, child.at(120, 60))))
    with pytest.raises(AssertionError):
        assert_tidy(Box("picture", 120, 300, children=(child,)))
