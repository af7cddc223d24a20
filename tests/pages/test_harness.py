"""The harness itself: what it takes for a block, an order, and the same shape."""

from __future__ import annotations

from pathlib import Path

import pytest
from blocks import Command, blocks, mentions
from networks import network
from shapes import alike

PAGE = """\
Some `pynet inspect` here.

    indented

<!-- not run: it takes a
    printer -->
<!-- exits: 3 -->
```console
# ip link \\
  show
lo
...
$ true
```

| table |
|---|
| `pynet status` |

1. a list

   <!-- file: x.json -->
   ```json
   {}
   ```
"""


@pytest.fixture
def page(tmp_path: Path) -> Path:
    (tmp_path / "page.md").write_text(PAGE)
    return tmp_path / "page.md"


def test_blocks_and_what_is_said_of_them(page: Path) -> None:
    indented, session, listed = blocks(page)
    assert (indented.language, indented.text) == ("", "indented\n")
    assert session.orders == {"not run": "it takes a\n    printer", "exits": "3"}
    assert session.line == 8
    assert (listed.language, listed.orders) == ("json", {"file": "x.json"})
    assert session.commands() == [
        Command("#", "ip link \\\n  show", ["lo", "..."]),
        Command("$", "true", []),
    ]
    assert list(mentions(page)) == ["pynet inspect", "pynet status"]


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("c1 has 10.1.0.2/24", "c1 has 10.224.0.17/16"),
        ("c1 has fd00:1::2/64, ready  3 s", "c1 has fd17:b36c:7e2b:27ce::2/64, ready 12.5 s"),
        ("veth015d63f6a68  de:af:6d:a1:ed:9f", "vethffffff00000   02:00:00:00:00:01"),
        ("since 2026-11-28 14:02", "since 2027-01-02T03:04:05Z"),
        ("a\n...\nd", "a\nb\nc\nd"),
        ("a\n...", "a"),
        ("there is no node ...", 'there is no node "sv"; write one of h1'),
    ],
)
def test_what_is_of_one_shape(shown: str, printed: str) -> None:
    assert alike(shown.splitlines(), printed.splitlines())


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("c1 has 10.1.0.2/24", "c2 is on 10.1.0.2/24"),
        ("c1 has 10.1.0.2", "c1 has fd00:1::2"),
        ("a\nb", "a"),
        ("a", "a\nb"),
        ("a\n...\nd", "a\nb\nc"),
        ("1 attachment, all as made", "1 attachment, 1 drifted"),
    ],
)
def test_what_is_of_another_shape(shown: str, printed: str) -> None:
    assert not alike(shown.splitlines(), printed.splitlines())


@pytest.mark.parametrize(
    ("text", "plugins"),
    [
        ('{"name": "x", "plugins": [{"type": "loopback"}]}', ["loopback"]),
        ('{"type": "bridge"}', ["bridge"]),
        ('{"type": "tuning", "mtu": 1400}', ["bridge", "tuning"]),
        ('"ipam": {"type": "static"}', ["bridge"]),
    ],
)
def test_a_part_of_a_network_gets_what_it_lacks(text: str, plugins: list[str]) -> None:
    assert [plugin["type"] for plugin in network(text)["plugins"]] == plugins
