"""Versions are listed, never ranged; each command has the version it came with."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pynet.cni import version
from pynet.cni.version import SUPPORTED
from pynet.model.errors import Code, DecodingError, IncompatibleVersion
from pynet.model.request import Command


@pytest.mark.parametrize("config", [{}, {"cniVersion": ""}, {"cniVersion": None}])
def test_no_version_means_the_oldest(config: dict[str, Any]) -> None:
    assert version.of_config(config) == "0.1.0"


def test_the_key_is_matched_in_any_case() -> None:
    assert version.of_config({"CNIVERSION": "0.4.0"}) == "0.4.0"
    assert version.of_config({"CNIVERSION": "0.4.0", "cniVersion": "1.0.0"}) == "1.0.0"


def test_a_version_that_is_no_string_fails_to_decode() -> None:
    with pytest.raises(DecodingError) as caught:
        version.of_config({"cniVersion": 1.1})
    assert caught.value.code is Code.DECODING_FAILURE


@pytest.mark.parametrize("asked", ["0.5.0", "0.3.2", "1.2.0", "banana", "1.1"])
def test_a_version_that_is_not_listed_is_refused(asked: str) -> None:
    with pytest.raises(IncompatibleVersion) as caught:
        version.check(Command.ADD, asked, SUPPORTED)
    assert caught.value.code is Code.INCOMPATIBLE_VERSION
    assert caught.value.msg == "incompatible CNI versions"
    assert asked in caught.value.details and "0.3.1" in caught.value.details


def test_a_plugin_may_list_fewer() -> None:
    version.check(Command.ADD, "0.4.0", ("0.4.0", "1.0.0"))
    with pytest.raises(IncompatibleVersion):
        version.check(Command.ADD, "0.3.1", ("0.4.0", "1.0.0"))


FIRST = {Command.CHECK: "0.4.0", Command.GC: "1.1.0", Command.STATUS: "1.1.0"}


@pytest.mark.parametrize("asked", SUPPORTED)
@pytest.mark.parametrize("command", [one for one in Command if one is not Command.VERSION])
def test_each_command_exists_since_its_version(command: Command, asked: str) -> None:
    since = FIRST.get(command, "0.1.0")
    if SUPPORTED.index(asked) >= SUPPORTED.index(since):
        version.check(command, asked, SUPPORTED)
        return
    with pytest.raises(IncompatibleVersion, match=f"does not allow {command}") as caught:
        version.check(command, asked, SUPPORTED)
    assert caught.value.code is Code.INCOMPATIBLE_VERSION


def test_the_answer_to_version_echoes_what_was_asked() -> None:
    assert version.document(SUPPORTED, "0.4.0") == {
        "cniVersion": "0.4.0",
        "supportedVersions": list(SUPPORTED),
    }


@pytest.mark.parametrize("asked", [None, 5, "banana", ""])
def test_the_answer_to_version_needs_no_input(asked: Any) -> None:
    assert version.document(SUPPORTED, asked)["cniVersion"] == "1.1.0"


@pytest.mark.parametrize(
    ("reply", "versions"),
    [
        ({"cniVersion": "1.1.0", "supportedVersions": ["0.4.0", "1.1.0"]}, ("0.4.0", "1.1.0")),
        ({"CNIVersion": "1.1.0", "SupportedVersions": ["1.1.0"]}, ("1.1.0",)),
        ({"cniVersion": "0.2.0"}, ("0.1.0", "0.2.0")),
        ({"code": 4, "msg": "unknown CNI_COMMAND: VERSION"}, ("0.1.0",)),
    ],
)
def test_answers_to_version_of_all_ages_are_read(
    reply: dict[str, Any], versions: tuple[str, ...]
) -> None:
    assert version.supported_by(reply) == versions


@pytest.mark.parametrize(
    "reply", [{}, {"cniVersion": "1.0.0"}, {"supportedVersions": [1]}, {"code": 7, "msg": "no"}]
)
def test_an_answer_without_versions_is_an_error(reply: dict[str, Any]) -> None:
    with pytest.raises(DecodingError):
        version.supported_by(reply)


@pytest.mark.parametrize(
    ("config", "chosen"),
    [
        ({"cniVersion": "0.4.0"}, "0.4.0"),
        ({"cniVersion": "0.4.0", "cniVersions": ["0.3.1", "1.0.0"]}, "1.0.0"),
        ({"cniVersion": "1.1.0", "cniVersions": ["0.3.1"]}, "1.1.0"),
        ({"cniVersions": ["1.0.0", "9.0.0", "10.0.0"]}, "1.0.0"),
        ({"cniVersion": "9.0.0", "cniVersions": ["9.1.0"]}, "9.0.0"),
        ({"cniVersions": []}, "0.1.0"),
    ],
)
def test_a_list_gets_the_highest_version_we_speak(config: dict[str, Any], chosen: str) -> None:
    assert version.negotiated(config) == chosen


@pytest.mark.parametrize("entries", ["1.0.0", [1], ["banana"], ["1.0.0", None], ["-1"]])
def test_a_malformed_list_of_versions_is_an_error(entries: Any) -> None:
    with pytest.raises(DecodingError, match="cniVersions"):
        version.negotiated({"cniVersions": entries})


@given(st.tuples(*[st.integers(0, 999)] * 3), st.tuples(*[st.integers(0, 999)] * 3))
def test_versions_compare_as_numbers(one: tuple[int, ...], two: tuple[int, ...]) -> None:
    first, second = (version.parse(".".join(map(str, each))) for each in (one, two))
    assert (first < second) == (one < two)
