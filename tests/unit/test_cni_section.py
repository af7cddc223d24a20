"""Sections: read as pydantic reads a model with the same annotations, with the same complaints."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AfterValidator, Field, model_validator

from pynet.cni import config, models, net_conf
from pynet.cni.config import find_problems, parse_model
from pynet.cni.section import Section, within
from pynet.model.errors import ConfigError, UnsupportedField


def network(text: str) -> str:
    if not text.endswith("/24"):
        raise ValueError("must be a\n /24")
    return text.upper()


class Range(Section):
    subnet: Annotated[str, network]
    start: str = ""


class Ipam(Section):
    type: str = ""
    ranges: tuple[tuple[Range, ...], ...] = ()
    pools: dict[str, Range] | None = None
    spare: Range | None = None
    count: Annotated[int, within(0, 9)] | None = None


class Tree(Section):
    name: str
    children: tuple[Tree, ...] = ()


class Conf(net_conf.NetConf):
    isGateway: bool = False
    mtu: Annotated[int, within(0, 65535)] = 0
    mode: Literal["", "l2", "l3"] = "l2"
    ipam: Annotated[Ipam, net_conf.with_plain_type] = Ipam()
    tree: Tree | None = None

    def check(self) -> None:
        if self.isGateway and self.mtu == 68:
            raise ValueError("no gateway is that small")


class TheirRange(config.ConfigModel):
    subnet: Annotated[str, AfterValidator(network)]
    start: str = ""


class TheirIpam(config.ConfigModel):
    type: str = ""
    ranges: tuple[tuple[TheirRange, ...], ...] = ()
    pools: dict[str, TheirRange] | None = None
    spare: TheirRange | None = None
    count: Annotated[int, Field(ge=0, le=9)] | None = None


class TheirTree(config.ConfigModel):
    name: str
    children: tuple[TheirTree, ...] = ()


class TheirConf(config.NetConf):
    isGateway: bool = False
    mtu: Annotated[int, Field(ge=0, le=65535)] = 0
    mode: Literal["", "l2", "l3"] = "l2"
    ipam: TheirIpam = TheirIpam()
    tree: TheirTree | None = None

    @model_validator(mode="after")
    def _consistent(self) -> TheirConf:
        if self.isGateway and self.mtu == 68:
            raise ValueError("no gateway is that small")
        return self


KEYS = (
    "name", "isGateway", "ISGATEWAY", "mtu", "Mtu", "mode", "ipam", "dns", "args", "x", "type",
    "ranges", "pools", "spare", "subnet", "start", "count", "tree", "children", "nameservers",
    "prevResult", "runtimeConfig", "cni.dev/attachments",
)  # fmt: skip
leaves = (
    st.none() | st.booleans() | st.sampled_from((68, 0, -1, 70_000, 2**70, 1.0, 0.5))
    | st.sampled_from(("", "l3", "10.1.0.0/24", "../sh", "x" * 80))
)  # fmt: skip
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4)
        | st.lists(st.lists(st.fixed_dictionaries({"subnet": inner}), max_size=2), max_size=2)
        | st.fixed_dictionaries({"ranges": inner, "spare": inner})
    ),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from(KEYS), values, max_size=8))
def test_what_pydantic_would_say_is_said(document: dict[str, Any]) -> None:
    assert find_problems(Conf, document) == find_problems(TheirConf, document)


def plain(value: Any) -> Any:
    if keys := config.keys_of(type(value)):
        return {key: plain(getattr(value, key)) for key in keys}
    if isinstance(value, tuple):
        return [plain(one) for one in value]
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    return value


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"NAME": "n", "mode": "", "MTU": 9, "mtu": 68, "dns": {"search": ["a", "b"]}},
        {"ipam": {"RANGES": [[{"SUBNET": "fd00::/24"}], []], "pools": {"A": {"subnet": "x/24"}}}},
        {"ipam": {"spare": None, "count": 9}, "args": {"cni": {"mac": "x"}}, "prevResult": [1]},
        {"tree": {"name": "a", "Children": [{"name": "b"}, {"name": "c", "children": []}]}},
    ],
)
def test_what_pydantic_would_find_is_found(document: dict[str, Any]) -> None:
    found, theirs = parse_model(Conf, document), parse_model(TheirConf, document)
    assert plain(found) == plain(theirs)
    assert found.cni_args == theirs.cni_args


def test_ours_and_others_plugins_share_the_common_keys() -> None:
    assert plain(net_conf.NetConf()) == plain(models.NetConf())


def test_all_that_is_wrong_is_named() -> None:
    document = {"mtu": -1, "ipam": {"ranges": [[{}, {"subnet": "10.0.0.0/8"}]], "count": True}}
    assert find_problems(Conf, document) == [
        ("ipam.ranges[0][0].subnet", "ipam.ranges[0][0].subnet: missing"),
        (
            "ipam.ranges[0][1].subnet",
            'ipam.ranges[0][1].subnet: "10.0.0.0/8": must be a /24',
        ),
        ("ipam.count", "ipam.count: true is not a whole number"),
        ("mtu", "mtu: -1 is below 0"),
    ]


def test_an_error_with_a_code_of_its_own_passes() -> None:
    class Picky(Section):
        mode: str = ""

        def check(self) -> None:
            raise UnsupportedField(f"mode: {self.mode}")

    with pytest.raises(UnsupportedField, match="mode: x"):
        parse_model(Picky, {"mode": "x"})
    assert find_problems(Picky, {"mode": "x"}) == [("", "mode: x")]


def test_a_key_that_must_be_given_again_is_missed() -> None:
    class Strict(net_conf.NetConf):
        ipam: Ipam

    with pytest.raises(ConfigError, match=r"^ipam: missing$"):
        parse_model(Strict, {})


def test_a_section_does_not_change() -> None:
    conf = parse_model(Conf, {"mtu": 1500})
    with pytest.raises(AttributeError, match="mtu"):
        conf.mtu = 9000  # type: ignore[misc]
    assert (conf.mtu, conf.replaced(mtu=9000).mtu) == (1500, 9000)
    assert repr(conf) == "Conf(mtu=1500)"


def test_a_type_that_no_key_can_have_is_refused() -> None:
    class Odd(Section):
        when: complex = 0j

    with pytest.raises(TypeError, match="complex"):
        parse_model(Odd, {})
