"""Configurations: decoding, keys in any case, types as in JSON, messages for people."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, Self

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AfterValidator, BaseModel, Field, model_validator

from pynet.cni.config import (
    ConfigModel,
    NetConf,
    decode,
    digest,
    parse_model,
    without_odd_characters,
)
from pynet.cni.keys import Keys, get
from pynet.cni.section import Section
from pynet.model.errors import Code, ConfigError, DecodingError, UnsupportedField
from pynet.plugins import registry


def _network(text: str) -> str:
    if not text.endswith("/24"):
        raise ValueError("must be a /24")
    return text


class Range(ConfigModel):
    subnet: Annotated[str, AfterValidator(_network)]
    first: str = Field("", alias="rangeStart")


class Ipam(ConfigModel):
    type: str = ""
    ranges: tuple[tuple[Range, ...], ...] = ()
    pools: dict[str, Range] = Field(default_factory=dict)
    spare: Range | None = None


class Tree(ConfigModel):
    name: str
    children: tuple[Tree, ...] = ()


class Runtime(ConfigModel):
    mac: str = ""


class Conf(NetConf):
    isGateway: bool = False
    mtu: Annotated[int, Field(ge=0, le=65535)] = 0
    mode: Literal["l2", "l3"] = "l2"
    ipam: Ipam = Ipam()
    runtimeConfig: Runtime = Runtime()


def refusal(config: dict[str, Any], model: type[NetConf] = Conf) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_model(model, config)
    assert caught.value.code is Code.INVALID_CONFIG
    assert "\n" not in caught.value.msg and "http" not in caught.value.msg
    return caught.value.msg


# --- decoding ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "stdin",
    [
        b"",
        b" \n",
        b"{",
        b"[]",
        b'"a"',
        b"null",
        b"{} {}",
        b"\xff",
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": 1e999}',
        b'{"a": "\\ud800"}',
        b'{"a": "\\u0000"}',
        b'{"a": ' + b"9" * 5000 + b"}",
        b'{"a": ' + b"[" * 150 + b"]" * 150 + b"}",
        b'{"a": ' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    ],
)
def test_what_is_not_one_json_object_fails_to_decode(stdin: bytes) -> None:
    with pytest.raises(DecodingError) as caught:
        decode(stdin)
    assert caught.value.code is Code.DECODING_FAILURE
    assert len(caught.value.msg) < 200


def test_escapes_of_real_characters_are_read() -> None:
    assert decode(b'{"a": "\\ud83d\\ude00", "b": "\\\\u0000"}') == {"a": "😀", "b": "\\u0000"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (rb"a\u0000b", "a\ufffdb"),
        (rb"\\u0000", r"\u0000"),
        (rb"\\\u0000", "\\\ufffd"),
        (rb"\ud83d\ude00", "😀"),
        (rb"\ud83d\ud83d\ude00\ude00", "\ufffd😀\ufffd"),
        (rb"\uD800x\u00e9", "\ufffdx\xe9"),
    ],
)
def test_a_del_reads_past_odd_characters(text: bytes, expected: str) -> None:
    assert decode(without_odd_characters(b'{"a": "%s"}' % text)) == {"a": expected}


def test_a_wide_document_is_not_a_deep_one() -> None:
    document = {"list": [{"n": [n]} for n in range(500)]}
    assert decode(json.dumps(document).encode()) == document


@given(st.binary(max_size=60))
def test_any_bytes_are_an_object_or_the_one_error(stdin: bytes) -> None:
    try:
        assert isinstance(decode(stdin), dict)
    except DecodingError as error:
        assert error.msg


# --- keys -------------------------------------------------------------------------


def test_keys_are_matched_in_any_case_at_every_depth() -> None:
    conf = parse_model(
        Conf,
        {
            "NAME": "n",
            "ISGATEWAY": True,
            "Ipam": {
                "RANGES": [[{"SUBNET": "10.0.0.0/24", "RangeStart": "10.0.0.9"}]],
                "Pools": {"Mine": {"Subnet": "10.1.0.0/24"}},
                "SPARE": {"SubNet": "10.2.0.0/24"},
            },
            "RuntimeConfig": {"MAC": "02:00:00:00:00:01"},
        },
    )
    assert conf.name == "n" and conf.isGateway
    assert conf.ipam.ranges[0][0].subnet == "10.0.0.0/24"
    assert conf.ipam.ranges[0][0].first == "10.0.0.9"
    assert conf.ipam.pools["Mine"].subnet == "10.1.0.0/24"
    assert conf.ipam.spare is not None and conf.ipam.spare.subnet == "10.2.0.0/24"
    assert conf.runtimeConfig.mac == "02:00:00:00:00:01"


def test_the_exact_spelling_wins_and_the_other_is_kept_as_unknown() -> None:
    conf = parse_model(Conf, {"MTU": 1, "mtu": 2})
    assert conf.mtu == 2
    assert conf.model_extra == {"MTU": 1}


def test_a_model_may_hold_itself() -> None:
    tree = parse_model(Tree, {"NAME": "a", "CHILDREN": [{"NAME": "b", "CHILDREN": []}]})
    assert tree.children[0].name == "b"


def test_unknown_keys_are_kept() -> None:
    conf = parse_model(Conf, {"note": {"A": 1}, "ipam": {"owner": "me"}})
    assert conf.model_extra == {"note": {"A": 1}}
    assert conf.ipam.model_extra == {"owner": "me"}


def test_null_counts_as_absent() -> None:
    conf = parse_model(Conf, {"isGateway": None, "ipam": {"RANGES": None}, "DNS": None})
    assert not conf.isGateway and conf.ipam.ranges == () and not conf.dns.to_dns()


@given(st.dictionaries(st.text(max_size=4), st.integers() | st.none(), max_size=6), st.data())
def test_get_finds_an_exact_key_first(document: dict[str, Any], data: st.DataObject) -> None:
    for key, value in document.items():
        assert get(document, key) == value
    folded = Keys("abc", "Ab").fold(document)
    assert {"abc", "Ab"}.isdisjoint(key for key, value in folded.items() if value is None)


@given(st.lists(st.booleans(), min_size=9, max_size=9))
def test_any_mix_of_cases_is_the_same_configuration(upper: list[bool]) -> None:
    spelled = "".join(
        c.upper() if up else c.lower() for c, up in zip("isgateway", upper, strict=True)
    )
    assert parse_model(Conf, {spelled: True}).isGateway


# --- types and messages ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"isGateway": "true"}, 'isGateway: "true" is not true or false'),
        ({"isGateway": 1}, "isGateway: 1 is not true or false"),
        ({"mtu": "1500"}, 'mtu: "1500" is not a whole number'),
        ({"mtu": 1500.0}, "mtu: 1500.0 is not a whole number"),
        ({"mtu": True}, "mtu: true is not a whole number"),
        ({"mtu": 70000}, "mtu: 70000 is above 65535"),
        ({"mtu": -1}, "mtu: -1 is below 0"),
        ({"mode": "l4"}, "mode: \"l4\" is not one of 'l2' or 'l3'"),
        ({"type": ["bridge"]}, 'type: ["bridge"] is not a string'),
        ({"ipam": "host-local"}, 'ipam: "host-local" is not an object'),
        ({"ipam": {"ranges": {}}}, "ipam.ranges: {} is not a list"),
        ({"IPAM": {"ranges": [[{}]]}}, "ipam.ranges[0][0].subnet: missing"),
        (
            {"ipam": {"ranges": [[], [{"subnet": "10.0.0.0/8"}]]}},
            'ipam.ranges[1][0].subnet: "10.0.0.0/8": must be a /24',
        ),
        ({"dns": {"nameservers": "1.1.1.1"}}, 'dns.nameservers: "1.1.1.1" is not a list'),
        ({"ipam": {"type": "../sh"}}, 'ipam: type "../sh" is not the plain name of an executable'),
        ({"ipam": {"TYPE": "../sh"}}, 'ipam: type "../sh" is not the plain name of an executable'),
        (
            {"mtu": "a", "isGateway": "b"},
            'isGateway: "b" is not true or false; mtu: "a" is not a whole number',
        ),
    ],
)
def test_a_wrong_value_is_named_with_path_value_and_expectation(
    config: dict[str, Any], message: str
) -> None:
    assert sorted(refusal(config).split("; ")) == sorted(message.split("; "))


def test_the_details_are_the_keys_and_their_values() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_model(Conf, {"ipam": {"spare": {"subnet": 5}}})
    assert json.loads(caught.value.details) == [{"key": "ipam.spare.subnet", "value": 5}]


def of(**keys: Any) -> list[dict[str, Any]]:
    return [
        {"key": key} if value is None else {"key": key, "value": value}
        for key, value in keys.items()
    ]


TRUNK = "vlanTrunk[0]"


@pytest.mark.parametrize(
    ("plugin", "config", "details"),
    [
        ("bridge", {"mtu": 20}, of(mtu=20)),
        ("bridge", {"MTU": 20}, of(mtu=20)),
        ("bridge", {"mtu": 20, "name": "web"}, of(mtu=20)),
        ("bridge", {"hairpinMode": True, "promiscMode": True},
         of(hairpinMode=True, promiscMode=True)),
        ("bridge", {"ipam": {"type": "static"}, "disableContainerInterface": True},
         of(ipam={"type": "static"}, disableContainerInterface=True)),
        ("bridge", {"vlanTrunk": [{"minID": 4}]},
         of(**{f"{TRUNK}.minID": 4, f"{TRUNK}.maxID": None})),
        ("bridge", {"vlanTrunk": [{"id": 5000}]}, of(**{f"{TRUNK}.id": 5000})),
        ("bridge", {"ipam": {"type": "../x"}}, of(**{"ipam.type": "../x"})),
        ("ptp", {"ipMasqBackend": "pf"}, of(ipMasqBackend="pf")),
        ("macvlan", {"hostAddresses": ["10.0.0.1", "10.0.0.2"]},
         of(hostAddresses=["10.0.0.1", "10.0.0.2"])),
        ("vlan", {}, of(master=None)),
        ("vrf", {}, of(vrfname=None)),
        ("host-device", {"device": "e0", "hwaddr": "02:00:00:00:00:01"},
         of(device="e0", hwaddr="02:00:00:00:00:01")),
        ("portmap", {"markMasqBit": 40}, of(markMasqBit=40)),
        ("portmap", {"markMasqBit": 4, "externalSetMarkChain": "X"},
         of(externalSetMarkChain="X", markMasqBit=4)),
        ("portmap", {"runtimeConfig": {"portMappings": [{"hostPort": 80}]}},
         of(**{"runtimeConfig.portMappings[0].containerPort": None})),
        ("bandwidth", {"runtimeConfig": {"bandwidth": {"ingressRate": 9000}}},
         of(**{"runtimeConfig.bandwidth.ingressRate": 9000})),
        ("bandwidth", {"shapedSubnets": ["10.0.0.0/8"], "unshapedSubnets": ["10.0.0.0/8"]},
         of(shapedSubnets=["10.0.0.0/8"], unshapedSubnets=["10.0.0.0/8"])),
    ],
)  # fmt: skip
def test_what_does_not_go_together_is_in_the_details_by_its_keys(
    plugin: str, config: dict[str, Any], details: Any
) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_model(registry.plugin_named(plugin).config, config)
    assert json.loads(caught.value.details) == details


def test_what_others_models_refuse_is_in_the_details_by_its_key() -> None:
    class Theirs(BaseModel):
        low: int = 0
        high: int = 9

        @model_validator(mode="after")
        def _in_order(self) -> Self:
            if self.low > self.high:
                raise ValueError(f"low: {self.low} is above high")
            return self

    with pytest.raises(ConfigError, match="low: 12 is above high") as caught:
        parse_model(Theirs, {"low": 12})
    assert json.loads(caught.value.details) == [{"key": "low", "value": 12}]


def test_without_a_key_that_is_named_there_are_no_details() -> None:
    class Grumpy(Section):
        def check(self) -> None:
            raise ValueError("not today")

    with pytest.raises(ConfigError, match=r"^not today$") as caught:
        parse_model(Grumpy, {"mtu": 1})
    assert caught.value.details == ""


def test_a_long_value_is_shortened() -> None:
    assert len(refusal({"mtu": "x" * 5000})) < 120


def test_a_base_model_takes_objects_for_sections_and_nothing_else() -> None:
    assert parse_model(NetConf, {"ipam": {"type": "static"}}).ipam == {"type": "static"}
    assert "is not an object" in refusal({"runtimeConfig": []}, NetConf)


@pytest.mark.parametrize("kind", [5, ["static"], False, {}])
def test_an_ipam_type_that_is_no_string_is_not_taken_for_none(kind: Any) -> None:
    assert "is not a string" in refusal({"ipam": {"Type": kind}}, NetConf)


def _unsupported(text: str) -> str:
    raise UnsupportedField(f"mode: {text}")


def test_an_error_with_a_code_of_its_own_passes() -> None:
    class Picky(NetConf):
        mode: Annotated[str, AfterValidator(_unsupported)] = ""

    with pytest.raises(UnsupportedField, match="mode: x"):
        parse_model(Picky, {"mode": "x"})


@pytest.mark.parametrize("args", [{}, {"cni": "odd"}, {"cni": None}])
def test_optional_arguments_are_never_an_error(args: dict[str, Any]) -> None:
    assert parse_model(NetConf, {"args": args}).cni_args == {}


def test_optional_arguments_are_read() -> None:
    assert parse_model(NetConf, {"args": {"cni": {"mac": "x"}}}).cni_args == {"mac": "x"}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=8,
)
keys = st.sampled_from(["name", "isGateway", "mtu", "mode", "ipam", "dns", "args", "TYPE", "x"])


@given(st.dictionaries(keys, json_values))
def test_any_object_is_a_model_or_the_one_error(config: dict[str, Any]) -> None:
    try:
        parse_model(Conf, config)
    except ConfigError as error:
        assert error.msg and "\n" not in error.msg


# --- identity -------------------------------------------------------------------------


def test_a_digest_leaves_out_what_belongs_to_one_call() -> None:
    config = {"name": "n", "type": "bridge", "mtu": 1}
    call = {"prevResult": {}, "RUNTIMECONFIG": {"mac": ""}, "cni.dev/valid-attachments": []}
    assert digest(config | call) == digest(config)


@given(st.dictionaries(keys, json_values), st.randoms())
def test_a_digest_does_not_know_the_order_of_keys(config: dict[str, Any], random: Any) -> None:
    items = list(config.items())
    random.shuffle(items)
    assert digest(dict(items)) == digest(config)


def test_a_digest_tells_configurations_apart() -> None:
    assert digest({"name": "a"}) != digest({"name": "b"})
