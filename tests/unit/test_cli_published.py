"""Published ports as people read them."""

from __future__ import annotations

from collections.abc import Iterable

from pynet.cli.inspect.published import published
from pynet.model.published import PublishedPort


def ports(
    pairs: Iterable[tuple[int, int]], protocol: str = "tcp", at: str = "0.0.0.0"
) -> list[PublishedPort]:
    address = "fd00::2" if ":" in at else "10.1.0.2"
    return [
        PublishedPort(protocol=protocol, host_address=at, host_port=host, address=address, port=to)
        for host, to in pairs
    ]


def test_one_of_each() -> None:
    shown = [
        *ports([(8080, 80)]),
        *ports([(53, 53)], "udp", "127.0.0.1"),
        *ports([(1, 2)], at="::1"),
    ]
    assert published(shown) == "8080/tcp to 80, 127.0.0.1:53/udp to 53, [::1]:1/tcp to 2"


def test_both_families_are_said_once() -> None:
    assert published([*ports([(8080, 80)]), *ports([(8080, 80)], at="::")]) == "8080/tcp to 80"


def test_ten_thousand_are_one_range() -> None:
    many = [(port, port) for port in range(8000, 18000)]
    both = [*ports(many), *ports(reversed(many), at="::")]
    assert published(both) == "8000-17999/tcp to 8000-17999"


def test_a_range_ends_where_its_target_goes_another_way() -> None:
    shown = ports([(1, 80), (2, 80), (3, 81), (4, 90), (5, 91), (7, 93)])
    assert published(shown) == "1-2/tcp to 80, 3/tcp to 81, 4-5/tcp to 90-91, 7/tcp to 93"


def test_of_many_ranges_some_are_shown_and_the_rest_counted() -> None:
    said = published(ports((port, 80) for port in range(1, 2001, 2)))
    assert said.startswith("1/tcp to 80, 3/tcp to 80, ")
    assert said.endswith(" and 980 more (`--json` has all)")
