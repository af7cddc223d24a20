"""Which nodes of a picture stand above which: tiers, and the order within each.

What has containers is lowest. Each other node is as many tiers above as it has links to pass to
the nearest of them, so that a link only ever joins neighbouring tiers, or nodes of one tier.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from .picture import DrawnLink, DrawnNode, Picture


def tiers(picture: Picture) -> list[list[str]]:
    """The names of the nodes, uppermost tier first, each tier from left to right."""
    joined = neighbours(picture)
    height = _heights(picture, joined)
    levels: list[list[str]] = [[] for _ in range(max(height.values(), default=-1) + 1)]
    for node in picture.nodes:
        levels[height[node.name]].append(node.name)
    for lower, upper in itertools.pairwise(levels):
        _sort_by(upper, lower, joined)
    for upper, lower in itertools.pairwise(reversed(levels)):
        _sort_by(lower, upper, joined)
    return levels[::-1]


def downwards(picture: Picture) -> Picture:
    """The same with the nodes in this order, and links from the upper end to the lower."""
    names = [name for level in tiers(picture) for name in level]
    rank = {name: number for number, name in enumerate(names)}
    return replace(
        picture,
        nodes=tuple(sorted(picture.nodes, key=lambda node: rank[node.name])),
        links=tuple(_downwards(link, rank) for link in picture.links),
    )


def neighbours(picture: Picture) -> dict[str, list[str]]:
    """The nodes each node has links to."""
    joined: dict[str, list[str]] = {node.name: [] for node in picture.nodes}
    for link in picture.links:
        (one, _), (other, _) = link.ends
        joined[one].append(other)
        joined[other].append(one)
    return joined


def _downwards(link: DrawnLink, rank: Mapping[str, int]) -> DrawnLink:
    one, other = link.ends
    return link if rank[one[0]] <= rank[other[0]] else replace(link, ends=(other, one))


def _heights(picture: Picture, joined: dict[str, list[str]]) -> dict[str, int]:
    """The distance of each node from the lowest; what no link leads to begins anew."""
    height: dict[str, int] = {}
    lowest = [node.name for node in picture.nodes if _has_inside(node)]
    hosts = [node.name for node in picture.nodes if node.kind == "host"]
    for start in [lowest, *([name] for name in hosts), *([node.name] for node in picture.nodes)]:
        _measure([name for name in start if name not in height], joined, height)
    return height


def _has_inside(node: DrawnNode) -> bool:
    return bool(node.containers or node.networks)


def _measure(start: Iterable[str], joined: dict[str, list[str]], height: dict[str, int]) -> None:
    """Breadth first."""
    waiting = list(start)
    height.update(dict.fromkeys(waiting, 0))
    for name in waiting:
        for other in joined[name]:
            if other not in height:
                height[other] = height[name] + 1
                waiting.append(other)


def _sort_by(names: list[str], others: Sequence[str], joined: dict[str, list[str]]) -> None:
    """Each of `names` to where its neighbours among `others` are, on average."""
    position = {name: index for index, name in enumerate(others)}
    middle = (len(names) - 1) / 2

    def wanted(name: str) -> float:
        places = [position[other] for other in joined[name] if other in position]
        return sum(places) / len(places) if places else middle

    names.sort(key=wanted)
