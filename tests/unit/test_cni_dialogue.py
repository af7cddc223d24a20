"""One execution: the order of the checks, the request they lead to, the one document out."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import field_validator

from pynet.cni import dialogue
from pynet.cni.config import NetConf
from pynet.cni.dialogue import read_request
from pynet.model.errors import CniError, Code, UnsupportedField
from pynet.model.plugin import Plugin
from pynet.model.request import Command, Request
from pynet.model.result import Address, Result


class Conf(NetConf):
    mtu: int = 0

    @field_validator("mtu")
    @classmethod
    def _is_supported(cls, mtu: int) -> int:
        if mtu == 99:
            raise UnsupportedField("mtu: 99 is not supported")
        return mtu


class Demo(Plugin):
    name = "demo"
    config = Conf


class Indifferent(Demo):
    checks_result = False


ENVIRON = {
    "CNI_CONTAINERID": "c1",
    "CNI_NETNS": "/run/netns/c1",
    "CNI_IFNAME": "eth0",
    "CNI_ARGS": "IgnoreUnknown=1;IP=10.0.0.9",
    "CNI_PATH": "/opt/cni/bin",
}
CONFIG: dict[str, Any] = {"cniVersion": "1.1.0", "name": "net", "type": "demo"}
PREVIOUS = {"cniVersion": "1.1.0", "ips": [{"address": "10.0.0.5/8"}]}
COMMANDS = [one for one in Command if one is not Command.VERSION]


def read(command: str, config: Any, plugin: Plugin | None = None, **environ: str) -> Request:
    stdin = config if isinstance(config, bytes) else json.dumps(config).encode()
    environ = ENVIRON | {"CNI_COMMAND": command} | environ
    return read_request(plugin or Demo(), environ, stdin, "host-1")


def code(command: str, config: Any, **environ: str) -> Code:
    with pytest.raises(CniError) as caught:
        read(command, config, None, **environ)
    return caught.value.code


# --- a request --------------------------------------------------------------------


def test_every_field_is_filled() -> None:
    config = CONFIG | {"mtu": 5, "runtimeConfig": {"mac": "x"}, "prevResult": PREVIOUS}
    request = read("ADD", config)
    assert request == Request(
        Command.ADD,
        "demo",
        "net",
        "c1",
        "eth0",
        "1.1.0",
        config,
        request.conf,
        netns="/run/netns/c1",
        args={"IgnoreUnknown": "1", "IP": "10.0.0.9"},
        path=("/opt/cni/bin",),
        runtime_config={"mac": "x"},
        prev_result=Result(ips=(Address("10.0.0.5/8"),)),
        host="host-1",
    )
    assert isinstance(request.conf, Conf) and request.conf.mtu == 5


def test_sloppy_keys_are_read_and_the_configuration_stays_as_it_came() -> None:
    config = {"CNIVERSION": "1.0.0", "NAME": "net", "RuntimeConfig": {"mac": "x"}, "MTU": 7}
    request = read("ADD", config)
    assert (request.network, request.cni_version, request.conf.mtu) == ("net", "1.0.0", 7)
    assert request.runtime_config == {"mac": "x"}
    assert request.config == config


# --- the order of the checks ----------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
def test_each_check_comes_before_the_next(command: str) -> None:
    wrong = {"cniVersion": "0.5.0", "name": "-", "mtu": "x"}
    if command in ("ADD", "DEL", "CHECK"):
        assert code(command, b"", CNI_IFNAME="/") is Code.INVALID_ENVIRONMENT
    assert code(command, b"") is Code.DECODING_FAILURE
    assert code(command, b"[]") is Code.DECODING_FAILURE
    assert code(command, wrong) is Code.INVALID_CONFIG
    assert code(command, wrong | {"name": "net"}) is Code.INCOMPATIBLE_VERSION
    if command != "DEL":
        assert code(command, CONFIG | {"mtu": "x"}) is Code.INVALID_CONFIG


def test_a_del_does_without_a_readable_configuration() -> None:
    """What was added is in the records; the configuration may have been changed since."""
    for wrong in ("x", 99):
        request = read("DEL", CONFIG | {"mtu": wrong})
        assert request.conf is None
        assert (request.network, request.config["mtu"]) == ("net", wrong)
    assert code("ADD", CONFIG | {"mtu": 99}) is Code.UNSUPPORTED_FIELD


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", [None, "", "-a", "a/b", "a\n", 5, ["net"]])
def test_a_missing_or_bad_name_is_7(command: str, name: Any) -> None:
    assert code(command, CONFIG | {"name": name}) is Code.INVALID_CONFIG


def test_a_version_that_is_no_string_is_6() -> None:
    assert code("ADD", CONFIG | {"cniVersion": 1.1}) is Code.DECODING_FAILURE


def test_no_version_is_the_oldest() -> None:
    assert read("ADD", {"name": "net"}).cni_version == "0.1.0"


@pytest.mark.parametrize(
    ("command", "version"), [("CHECK", "0.3.1"), ("GC", "1.0.0"), ("STATUS", "1.0.0")]
)
def test_a_command_younger_than_the_version_is_1(command: str, version: str) -> None:
    assert code(command, CONFIG | {"cniVersion": version}) is Code.INCOMPATIBLE_VERSION


def test_a_wrong_key_of_the_plugin_is_named() -> None:
    with pytest.raises(CniError, match=r'^mtu: "x" is not a whole number$'):
        read("ADD", CONFIG | {"mtu": "x"})


def test_a_runtime_config_that_is_no_object_is_7() -> None:
    assert code("ADD", CONFIG | {"runtimeConfig": []}) is Code.INVALID_CONFIG


# --- prevResult -----------------------------------------------------------------------


def test_a_result_without_version_inherits_the_configurations() -> None:
    previous = {"ip4": {"ip": "10.0.0.5/8"}}
    request = read("ADD", CONFIG | {"cniVersion": "0.2.0", "prevResult": previous})
    assert request.prev_result == Result(ips=(Address("10.0.0.5/8"),))


@pytest.mark.parametrize("command", ["ADD", "CHECK"])
def test_a_result_of_another_family_is_an_error(command: str) -> None:
    config = CONFIG | {"prevResult": {"cniVersion": "0.2.0"}}
    assert code(command, config) is Code.INVALID_CONFIG


def test_1_0_and_1_1_stand_for_each_other() -> None:
    config = CONFIG | {"prevResult": PREVIOUS | {"cniVersion": "1.0.0"}}
    assert read("CHECK", config).prev_result == Result(ips=(Address("10.0.0.5/8"),))


def test_a_check_needs_a_result_unless_the_plugin_says_otherwise() -> None:
    assert code("CHECK", CONFIG) is Code.INVALID_CONFIG
    assert read("CHECK", CONFIG, Indifferent()).prev_result is None


@pytest.mark.parametrize("previous", [None, "x", {"cniVersion": "0.2.0"}, {"ips": 5}])
def test_a_del_does_without_a_readable_result(previous: Any) -> None:
    assert read("DEL", CONFIG | {"prevResult": previous}, CNI_NETNS="").prev_result is None


# --- valid attachments ------------------------------------------------------------------

VALID = "cni.dev/valid-attachments"


def test_an_absent_list_is_not_an_empty_one() -> None:
    assert read("GC", CONFIG).valid_attachments is None
    assert read("GC", CONFIG | {VALID: None}).valid_attachments is None
    assert read("GC", CONFIG | {VALID: []}).valid_attachments == frozenset()


def test_valid_attachments_are_pairs() -> None:
    entries = [{"containerID": "a", "ifname": "eth0"}, {"CONTAINERID": "b", "ifName": "eth1"}]
    request = read("GC", CONFIG | {VALID: entries})
    assert request.valid_attachments == frozenset({("a", "eth0"), ("b", "eth1")})


def test_the_older_key_is_read_where_the_newer_is_absent() -> None:
    old = {"cni.dev/attachments": [{"containerID": "a", "ifname": "eth0"}]}
    assert read("GC", CONFIG | old).valid_attachments == frozenset({("a", "eth0")})
    assert read("GC", CONFIG | old | {VALID: []}).valid_attachments == frozenset()


@pytest.mark.parametrize(
    "entries", [{}, "a", [1], [{}], [{"containerID": "a"}], [{"containerID": "a", "ifname": 1}]]
)
def test_a_list_that_cannot_be_read_makes_nothing_stale(entries: Any) -> None:
    assert code("GC", CONFIG | {VALID: entries}) is Code.INVALID_CONFIG


# --- VERSION --------------------------------------------------------------


@pytest.mark.parametrize("stdin", [b"", b"\xff", b"[]", b'{"cniVersion": 5}', b'{"name": "-"}'])
def test_version_needs_neither_variables_nor_stdin(stdin: bytes) -> None:
    request = read_request(Demo(), {"CNI_COMMAND": "VERSION"}, stdin, "h")
    assert (request.command, request.cni_version) == (Command.VERSION, "1.1.0")
    document = json.loads(dialogue.version_document(Demo(), stdin))
    assert document == {"cniVersion": "1.1.0", "supportedVersions": list(Demo.versions)}


def test_version_echoes_the_version_on_stdin() -> None:
    document = json.loads(dialogue.version_document(Demo(), b'{"cniVersion": "0.4.0"}'))
    assert document["cniVersion"] == "0.4.0"


# --- what goes out --------------------------------------------------------------------


def test_a_result_is_one_document() -> None:
    result = Result(ips=(Address("10.0.0.5/8"),))
    printed = dialogue.result_bytes(result, "1.0.0")
    assert json.loads(printed) == {"cniVersion": "1.0.0", "ips": [{"address": "10.0.0.5/8"}]}


def test_the_numbers_are_the_specs_and_the_references() -> None:
    spec = {1, 2, 3, 4, 5, 6, 7, 11, 50, 51}
    assert spec | {8, 999} == {int(one) for one in Code if one < 100 or one == 999}


@given(st.text(), st.text(), st.sampled_from(Code))
def test_an_error_is_one_document_with_the_fields_of_the_spec(
    msg: str, details: str, number: Code
) -> None:
    printed = dialogue.error_bytes(CniError(msg, code=number, details=details), "1.1.0")
    document = json.loads(printed)
    assert document.pop("details", "") == details
    assert document == {"cniVersion": "1.1.0", "code": int(number), "msg": msg}


@pytest.mark.parametrize(
    ("stdin", "version"),
    [
        (b'{"cniVersion": "0.4.0"}', "0.4.0"),
        (b"{}", "0.1.0"),
        (b'{"cniVersion": "0.5.0"}', "1.1.0"),
        (b'{"cniVersion": 5}', "1.1.0"),
        (b"", "1.1.0"),
    ],
)
def test_an_error_speaks_the_version_agreed_on_or_our_newest(stdin: bytes, version: str) -> None:
    assert dialogue.wanted_version(stdin) == version


# --- anything ---------------------------------------------------------------------

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6) | st.just("1.1.0"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["cniVersion", "ips", "address", "routes", "dst", "dns", "containerID"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)
documents = st.fixed_dictionaries(
    {"name": st.sampled_from(["net", "-", 5]), "cniVersion": st.just("1.1.0") | values},
    optional={
        "mtu": values,
        "prevResult": values,
        "runtimeConfig": values,
        "IPAM": values,
        VALID: values,
    },
).map(lambda document: json.dumps(document).encode())


@given(st.sampled_from(Command), st.binary(max_size=80) | documents)
def test_any_bytes_on_stdin_give_a_request_or_a_cni_error(command: str, stdin: bytes) -> None:
    try:
        request = read(command, stdin)
    except CniError as error:
        assert error.code in (
            Code.INCOMPATIBLE_VERSION,
            Code.DECODING_FAILURE,
            Code.INVALID_CONFIG,
        )
        assert error.msg
        json.loads(dialogue.error_bytes(error, dialogue.wanted_version(stdin)))
    else:
        assert request.command is Command(command)


class Addressed(Demo):
    arguments = frozenset({"IP"})


def test_unknown_arguments_count_for_a_plugin_that_reads_them_but_not_for_a_del() -> None:
    stdin = json.dumps({**CONFIG, "prevResult": PREVIOUS}).encode()
    typed = {**ENVIRON, "CNI_ARGS": "ip=10.0.0.9"}
    for command in (Command.ADD, Command.CHECK):
        environ = {**typed, "CNI_COMMAND": command}
        with pytest.raises(CniError, match="unknown args ip"):
            read_request(Addressed(), environ, stdin, "host")
        read_request(Demo(), environ, stdin, "host")
        unreadable = {**environ, "CNI_ARGS": "a=b=c;d"}
        with pytest.raises(CniError, match="invalid pair"):
            read_request(Addressed(), unreadable, stdin, "host")
        read_request(Demo(), unreadable, stdin, "host")
    read_request(Addressed(), {**typed, "CNI_COMMAND": Command.DEL}, stdin, "host")
