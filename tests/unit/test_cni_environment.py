"""The CNI_* variables: who needs which, in which order they are judged."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pynet.cni.environment import (
    command_of,
    own_namespace_allowed,
    parse,
    parse_args,
    refuse_unknown,
)
from pynet.model.errors import Code, InvalidEnvironment
from pynet.model.request import Command

FULL = {
    "CNI_COMMAND": "ADD",
    "CNI_CONTAINERID": "c1",
    "CNI_NETNS": "/run/netns/c1",
    "CNI_IFNAME": "eth0",
    "CNI_ARGS": "IgnoreUnknown=1;K8S_POD_NAME=web",
    "CNI_PATH": "/opt/cni/bin:/usr/lib/cni",
}
ATTACHING = [Command.ADD, Command.CHECK, Command.DEL]
NOT_ATTACHING = [Command.GC, Command.STATUS, Command.VERSION]


def refusal(**changes: str | None) -> InvalidEnvironment:
    environ = {key: value for key, value in (FULL | changes).items() if value is not None}
    with pytest.raises(InvalidEnvironment) as caught:
        parse(environ)
    assert caught.value.code is Code.INVALID_ENVIRONMENT
    return caught.value


@pytest.mark.parametrize("command", ATTACHING)
def test_everything_is_read(command: Command) -> None:
    call = parse(FULL | {"CNI_COMMAND": command})
    assert call.command is command
    assert (call.container, call.netns, call.interface) == ("c1", "/run/netns/c1", "eth0")
    assert call.args == {"IgnoreUnknown": "1", "K8S_POD_NAME": "web"}
    assert call.path == ("/opt/cni/bin", "/usr/lib/cni")


@pytest.mark.parametrize("command", NOT_ATTACHING)
def test_commands_without_a_container_need_nothing_else(command: Command) -> None:
    assert parse({"CNI_COMMAND": command}).command is command


@pytest.mark.parametrize("command", NOT_ATTACHING)
def test_variables_without_use_are_not_looked_at(command: Command) -> None:
    dummies = {"CNI_CONTAINERID": "-", "CNI_NETNS": "x", "CNI_IFNAME": "/", "CNI_ARGS": "="}
    call = parse(dummies | {"CNI_COMMAND": command})
    assert (call.container, call.netns, call.interface, call.args) == ("", "", "", {})


def test_all_missing_variables_are_named_together() -> None:
    error = refusal(CNI_CONTAINERID=None, CNI_NETNS="", CNI_IFNAME=None)
    assert error.msg == ("required env variables [CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME] missing")


def test_without_a_command_only_that_is_missing() -> None:
    assert refusal(CNI_COMMAND=None, CNI_NETNS=None).msg == (
        "required env variables [CNI_COMMAND] missing"
    )


@pytest.mark.parametrize("command", ["CHECK", "ADD"])
def test_a_namespace_is_needed(command: str) -> None:
    assert "[CNI_NETNS]" in refusal(CNI_COMMAND=command, CNI_NETNS="").msg


@pytest.mark.parametrize("netns", ["", "/vanished"])
def test_a_del_does_without_a_namespace(netns: str) -> None:
    assert parse(FULL | {"CNI_COMMAND": "DEL", "CNI_NETNS": netns}).netns == netns


def test_the_first_invalid_value_wins_over_later_ones_and_over_missing() -> None:
    assert "CNI_CONTAINERID" in refusal(CNI_CONTAINERID="/", CNI_IFNAME="/", CNI_NETNS=None).msg
    assert "CNI_IFNAME" in refusal(CNI_IFNAME="/", CNI_ARGS="x", CNI_CONTAINERID=None).msg
    assert "CNI_ARGS" in refusal(CNI_ARGS="x", CNI_NETNS=None).msg


def test_an_unknown_command_wins_over_everything() -> None:
    assert refusal(CNI_COMMAND="add", CNI_CONTAINERID="/").msg == "unknown CNI_COMMAND: add"


@pytest.mark.parametrize("command", ATTACHING)
def test_the_interface_name_is_judged_on_every_command(command: Command) -> None:
    assert "CNI_IFNAME" in refusal(CNI_COMMAND=command, CNI_IFNAME="x" * 16).msg


def test_a_missing_path_is_no_error() -> None:
    assert parse({key: value for key, value in FULL.items() if key != "CNI_PATH"}).path == ()


def test_the_command_alone() -> None:
    assert command_of({"CNI_COMMAND": "GC"}) is Command.GC
    assert command_of({}) is None
    assert command_of({"CNI_COMMAND": ""}) is None
    with pytest.raises(InvalidEnvironment):
        command_of({"CNI_COMMAND": "ALLOC"})


words = st.text(st.characters(exclude_characters="=;", exclude_categories=["Cs"]), min_size=1)


@given(st.dictionaries(words, words))
def test_arguments_round_trip(args: dict[str, str]) -> None:
    assert parse_args(";".join(f"{key}={value}" for key, value in args.items())) == args


@pytest.mark.parametrize("text", ["A", "A=B=C", "=B", "A=B;C"])
def test_a_malformed_pair_is_an_error(text: str) -> None:
    with pytest.raises(InvalidEnvironment, match="CNI_ARGS"):
        parse_args(text)
    assert "CNI_ARGS" in refusal(CNI_ARGS=text).msg


def test_a_malformed_pair_does_not_stop_a_del() -> None:
    call = parse(FULL | {"CNI_COMMAND": "DEL", "CNI_ARGS": "A=B=C;D=E"})
    assert call.args == {"D": "E"}


def test_unknown_arguments_are_refused_unless_told_otherwise() -> None:
    refuse_unknown({"IP": "10.0.0.5"}, {"IP"})
    with pytest.raises(InvalidEnvironment, match="ip"):
        refuse_unknown({"ip": "10.0.0.5"}, {"IP"})  # keys are matched with regard to case
    for yes in ("1", "true", "TRUE"):
        refuse_unknown({"K8S_POD_NAME": "web", "IgnoreUnknown": yes}, {"IP"})
    with pytest.raises(InvalidEnvironment):
        refuse_unknown({"K8S_POD_NAME": "web", "IgnoreUnknown": "0"}, {"IP"})


def test_the_override_for_ones_own_namespace() -> None:
    assert own_namespace_allowed({"CNI_NETNS_OVERRIDE": "1"})
    assert own_namespace_allowed({"CNI_NETNS_OVERRIDE": "true"})
    assert not own_namespace_allowed({"CNI_NETNS_OVERRIDE": "yes"})
    assert not own_namespace_allowed({})


@given(st.dictionaries(st.sampled_from(sorted(FULL)), st.text(max_size=20)))
def test_any_environment_gives_a_value_or_the_one_error(changes: dict[str, str]) -> None:
    try:
        call = parse(FULL | changes)
    except InvalidEnvironment as error:
        assert "\n" not in error.msg
    else:
        assert call.command in Command


# --- bytes that are no text ---------------------------------------------------------------------


@pytest.mark.parametrize("variable", ["CNI_NETNS", "CNI_IFNAME", "CNI_ARGS", "CNI_PATH"])
@pytest.mark.parametrize("command", ATTACHING)
def test_what_is_not_utf_8_is_refused(variable: str, command: Command) -> None:
    """As os.environ has it (PEP 383); a DEL looks at no arguments that it can't read."""
    value = FULL[variable] + os.fsdecode(b"\xff")
    if (variable, command) == ("CNI_ARGS", Command.DEL):
        parse(FULL | {"CNI_COMMAND": command, variable: value})
        return
    error = refusal(**{"CNI_COMMAND": command, variable: value})
    assert error.msg.startswith(f"{variable}: ")
    assert "not UTF-8" in error.msg
    assert error.msg.isprintable()


def test_an_unknown_command_that_is_not_utf_8() -> None:
    assert refusal(CNI_COMMAND=os.fsdecode(b"AD\xff")).msg.isprintable()


@pytest.mark.parametrize("name", ["ethé", "日本"])
def test_other_text_is_text(name: str) -> None:
    assert parse(FULL | {"CNI_IFNAME": name}).interface == name
