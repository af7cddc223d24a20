"""The tables as data: what the text refers to is described, and nothing is made twice."""

from __future__ import annotations

import re

import pytest

from pynet.kernel.nft import layout as described
from pynet.kernel.nft.contents import UNPACKERS
from pynet.kernel.nft.encoder import PACKERS
from pynet.model.errors import KernelError

FAMILIES = sorted(described.TABLES)


@pytest.mark.parametrize("family", FAMILIES)
def test_rules_use_only_described_sets(family: str) -> None:
    text = described.table_part(family).text
    for name in re.findall(r"@(?!th,|nh,)(\w+)", text):
        assert described.SETS[name].family == family


@pytest.mark.parametrize("family", FAMILIES)
def test_a_table_is_made_by_whoever_comes_first(family: str) -> None:
    verbs = [line.split()[0] for line in described.table_part(family).text.splitlines()]
    assert set(verbs) == {"table", "create", "add"}
    assert verbs.index("create") < verbs.index("add"), "nothing stops a second copy of a rule"


@pytest.mark.parametrize("family", FAMILIES)
def test_a_rule_is_known_by_its_comment(family: str) -> None:
    layout = described.TABLES[family]
    known = [(rule.chain, rule.comment) for rule in layout.rules]
    assert len(known) == len(set(known))
    # Whose rules come with the conditions there are.
    later = {"conditional"} if family == "inet" else set()
    assert {rule.chain for rule in layout.rules} | later == set(layout.chains)
    assert all(len(rule.comment) <= 128 for rule in layout.rules), "nft refuses longer ones"


def test_every_field_can_be_packed() -> None:
    later = [described.prefix_set(4, 16), *described.sets_of("inet"), *described.sets_of("bridge")]
    sets = [*described.SETS.values(), *later]
    assert {type_ for one in sets for type_ in one.key + one.data} <= set(PACKERS)
    assert set(PACKERS) == set(UNPACKERS)


@pytest.mark.parametrize(
    ("family", "length", "compared"),
    [
        (4, 16, "ip saddr and 255.255.0.0 . ip daddr and 255.255.0.0"),
        (4, 32, "ip saddr and 255.255.255.255 . ip daddr and 255.255.255.255"),
        (
            6,
            33,
            "ip6 saddr and ffff:ffff:8000:: . ip6 daddr and ffff:ffff:8000::",
        ),
    ],
)
def test_prefixes_are_compared_by_mask(family: int, length: int, compared: str) -> None:
    masquerade, hairpin = described.prefix_rules(family, length)
    compared = f"ct original zone . {compared}"
    assert masquerade.match == f"{compared} @network{family}_{length} return"
    assert hairpin.match == f"{compared} @network{family}_{length} masquerade"


def test_prefix_sets_are_found_by_name() -> None:
    assert described.set_named("network6_64") == described.prefix_set(6, 64)
    assert described.prefix_of("network4_16") == (4, 16)
    assert described.prefix_of("masquerade4") is None


@pytest.mark.parametrize("name", ["network4_33", "network6_129", "network5_8", "ports", ""])
def test_other_sets_are_refused(name: str) -> None:
    with pytest.raises(KernelError):
        described.set_named(name)


def test_a_map_names_its_values_types() -> None:
    ports = described.NftSet(
        "ports", "inet", ("inet_proto", "inet_service"), "a map", ("ipv4_addr",), ("constant",)
    )
    assert ports.text == (
        "create map inet pynet ports { type inet_proto . inet_service : ipv4_addr;"
        ' flags constant; comment "a map"; }\n'
    )


def test_what_nft_has_no_word_for_is_called_by_what_it_is_read_from() -> None:
    text = described.SETS["masquerade4"].text
    assert "create set inet pynet masquerade4 { typeof ct original zone . ip saddr;" in text
    assert "typeof iifname : ct original zone;" in described.SETS["zones"].text


def test_the_tables_comment_tells_its_version() -> None:
    comment = re.search(r'comment "([^"]*)"', described.table_part("inet").text)
    assert comment is not None
    assert described.version_of(comment[1]) == described.TABLES["inet"].version
    assert described.version_of("somebody else's") == 0
