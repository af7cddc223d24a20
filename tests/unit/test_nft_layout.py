"""The tables as data: what the text refers to is described, and nothing is made twice."""

from __future__ import annotations

import re

import pytest

from pynet.kernel import nft_layout
from pynet.kernel.nft_elements import PACKERS
from pynet.model.errors import KernelError

FAMILIES = sorted(nft_layout.TABLES)


@pytest.mark.parametrize("family", FAMILIES)
def test_rules_use_only_described_sets(family: str) -> None:
    text = nft_layout.table_part(family).text
    for name in re.findall(r"@(?!th,)(\w+)", text):
        assert nft_layout.SETS[name].family == family


@pytest.mark.parametrize("family", FAMILIES)
def test_a_table_is_made_by_whoever_comes_first(family: str) -> None:
    verbs = [line.split()[0] for line in nft_layout.table_part(family).text.splitlines()]
    assert set(verbs) == {"table", "create", "add"}
    assert verbs.index("create") < verbs.index("add"), "nothing stops a second copy of a rule"


@pytest.mark.parametrize("family", FAMILIES)
def test_a_rule_is_known_by_its_comment(family: str) -> None:
    layout = nft_layout.TABLES[family]
    known = [(rule.chain, rule.comment) for rule in layout.rules]
    assert len(known) == len(set(known))
    # Whose rules come with the conditions there are.
    later = {"conditional"} if family == "inet" else set()
    assert {rule.chain for rule in layout.rules} | later == set(layout.chains)
    assert all(len(rule.comment) <= 128 for rule in layout.rules), "nft refuses longer ones"


def test_every_field_can_be_packed() -> None:
    described = [*nft_layout.SETS.values(), nft_layout.prefix_set(4, 16)]
    assert {type_ for one in described for type_ in one.key + one.data} <= set(PACKERS)


@pytest.mark.parametrize(
    ("family", "length", "compared"),
    [
        (4, 16, "ip saddr and 255.255.0.0 . ip daddr and 255.255.0.0"),
        (4, 32, "ip saddr and 255.255.255.255 . ip daddr and 255.255.255.255"),
        (6, 33, "ip6 saddr and ffff:ffff:8000:: . ip6 daddr and ffff:ffff:8000::"),
    ],
)
def test_prefixes_are_compared_by_mask(family: int, length: int, compared: str) -> None:
    masquerade, hairpin = nft_layout.prefix_rules(family, length)
    assert masquerade.match == f"{compared} @network{family}_{length} return"
    assert hairpin.match == f"{compared} @network{family}_{length} masquerade"


def test_prefix_sets_are_found_by_name() -> None:
    assert nft_layout.set_named("network6_64") == nft_layout.prefix_set(6, 64)
    assert nft_layout.prefix_of("network4_16") == (4, 16)
    assert nft_layout.prefix_of("masquerade4") is None


@pytest.mark.parametrize("name", ["network4_33", "network6_129", "network5_8", "ports", ""])
def test_other_sets_are_refused(name: str) -> None:
    with pytest.raises(KernelError):
        nft_layout.set_named(name)


def test_a_map_names_its_values_types() -> None:
    ports = nft_layout.NftSet(
        "ports", "inet", ("inet_proto", "inet_service"), "a map", ("ipv4_addr",), ("constant",)
    )
    assert ports.text == (
        "create map inet pynet ports { type inet_proto . inet_service : ipv4_addr;"
        ' flags constant; comment "a map"; }\n'
    )


def test_the_tables_comment_tells_its_version() -> None:
    comment = re.search(r'comment "([^"]*)"', nft_layout.table_part("inet").text)
    assert comment is not None
    assert nft_layout.version_of(comment[1]) == nft_layout.VERSION
    assert nft_layout.version_of("somebody else's") == 0
