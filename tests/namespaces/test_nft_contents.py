"""What is read out of our tables is what was put in, and what nobody recorded is told apart."""

from __future__ import annotations

import pytest
from test_nft_table import host as host
from test_nft_table import table as table

from pynet.kernel.nft.table import Table
from pynet.model.resources import Element, MasqueradePrefix, PublishedPort, SharedElement
from pynet.testnets.lab.lab import Host

PREFIX = MasqueradePrefix(family=4, length=24)
RECORDED = (
    SharedElement(set="masquerade4", item=("10.1.0.2",)),
    SharedElement(set="masquerade6", item=("fd00::2",)),
    SharedElement(set="network4_24", item=("10.1.0.0", "10.1.0.0")),
    SharedElement(set="within6", item=("cni0", "fd00::2")),
    SharedElement(set="masquerade4", item=("40000", "10.1.0.2")),
    SharedElement(set="zones", item=("cni1",), value="40000"),
    Element(set="allowed", item=("veth1", "02:00:00:00:00:01")),
    PublishedPort(
        protocol="tcp", host_address="0.0.0.0", host_port=8080, address="10.1.0.2", port=80
    ),
    PublishedPort(
        protocol="sctp", host_address="fd01::1", host_port=53, address="fd00::2", port=5353
    ),
)


def nft(host: Host, command: str) -> None:
    host.run(["nft", *command.split()])


def test_without_tables_there_is_nothing(table: Table) -> None:
    assert table.contents() == []


def test_what_was_put_in_is_read(table: Table) -> None:
    table.ensure([PREFIX], RECORDED)
    assert {(one.set, one.item, one.value) for one in table.contents()} == {
        ("masquerade4", ("10.1.0.2",), ""),
        ("masquerade6", ("fd00::2",), ""),
        ("masquerade4", ("40000", "10.1.0.2"), ""),
        ("zones", ("cni1",), "40000"),
        ("network4_24", ("10.1.0.0", "10.1.0.0"), ""),
        ("within6", ("cni0", "fd00::2"), ""),
        ("allowed", ("veth1", "02:00:00:00:00:01"), ""),
        ("published4_any", ("tcp", "8080"), "10.1.0.2 . 80"),
        ("published6", ("sctp", "fd01::1", "53"), "fd00::2 . 5353"),
    }
    assert table.surplus(RECORDED) == []


@pytest.mark.parametrize(
    ("command", "found"),
    [
        (
            "add element inet pynet masquerade4 { 0 . 10.1.0.9 }",
            Element(set="masquerade4", item=("10.1.0.9",)),
        ),
        (
            "add element inet pynet masquerade4 { 7 . 10.1.0.2 }",
            Element(set="masquerade4", item=("7", "10.1.0.2")),
        ),
        (
            "add element inet pynet published4_any { tcp . 81 : 10.1.0.2 . 80 }",
            Element(set="published4_any", item=("tcp", "81"), value="10.1.0.2 . 80"),
        ),
        (
            "add element inet pynet published4_any { udp . 8080 : 10.1.0.2 . 80 }",
            Element(set="published4_any", item=("udp", "8080"), value="10.1.0.2 . 80"),
        ),
        (
            "add element bridge pynet guarded { dead0 }",
            Element(set="guarded", item=("dead0",)),
        ),
    ],
)
def test_what_nobody_recorded_is_told_and_can_be_taken_out(
    host: Host, table: Table, command: str, found: Element
) -> None:
    table.ensure([PREFIX], RECORDED)
    nft(host, command)
    assert table.surplus(RECORDED) == [found]
    table.delete([found])
    assert table.surplus(RECORDED) == []
    assert len(table.contents()) == len(RECORDED)


def test_a_recorded_key_that_leads_elsewhere_is_surplus(host: Host, table: Table) -> None:
    table.ensure([PREFIX], RECORDED)
    nft(host, "delete element inet pynet published4_any { tcp . 8080 }")
    nft(host, "add element inet pynet published4_any { tcp . 8080 : 10.1.0.7 . 80 }")
    (found,) = table.surplus(RECORDED)
    assert found.value == "10.1.0.7 . 80"


def test_thousands_are_read(table: Table) -> None:
    many = [
        SharedElement(set="masquerade4", item=(f"10.9.{number >> 8}.{number & 255}",))
        for number in range(5000)
    ]
    table.ensure([], many)
    assert len(table.contents()) == 5000
    assert table.surplus(many[1:]) == [Element(set="masquerade4", item=("10.9.0.0",))]


def test_a_set_that_is_none_of_ours_is_passed_over(host: Host, table: Table) -> None:
    table.ensure([], [RECORDED[0]])
    nft(host, "add set inet pynet later { type ipv4_addr; elements = { 10.1.0.9 } }")
    assert table.surplus([RECORDED[0]]) == []
