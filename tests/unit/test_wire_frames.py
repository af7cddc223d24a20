"""The frames: what is encoded comes back, and nothing else is taken for a frame."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pynet.daemon import wire

names = st.text(
    st.characters(blacklist_characters="=\0", blacklist_categories=["Cs"]), min_size=1, max_size=20
)
values = st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), max_size=40)
environments = st.dictionaries(names, values, max_size=8)


def body_of(frame: bytes) -> tuple[int, bytes]:
    kind, length = wire.header(frame[: wire.HEADER_SIZE])
    body = frame[wire.HEADER_SIZE :]
    assert length == len(body)
    return kind, body


@given(names, environments, st.binary(max_size=500))
def test_a_request_comes_back(plugin: str, environ: dict[str, str], stdin: bytes) -> None:
    kind, body = body_of(wire.encode_request(plugin, environ, stdin))
    assert kind == wire.REQUEST
    assert wire.decode_request(body) == (plugin, environ, stdin)


@given(st.integers(0, 255), st.binary(max_size=500))
def test_a_reply_comes_back(status: int, stdout: bytes) -> None:
    kind, body = body_of(wire.encode_reply(status, stdout))
    assert kind == wire.REPLY
    assert wire.decode_reply(body) == (status, stdout)


def test_the_bytes_are_those_of_the_c_launcher() -> None:
    assert wire.encode_request("br", {"A": "1"}, b"{}") == (
        b"pynt\x03\x00\x01\x00\x14\x00\x00\x00"
        b"\x02\x00\x00\x00\x04\x00\x00\x00\x02\x00\x00\x00brA=1\x00{}"
    )
    assert wire.declined("no") == b"pynt\x03\x00\x03\x00\x02\x00\x00\x00no"
    assert wire.encode_reply(1, b"x") == b"pynt\x03\x00\x04\x00\x05\x00\x00\x00\x01\x00\x00\x00x"


def test_of_two_variables_of_a_name_the_first_counts_as_it_does_for_getenv() -> None:
    body = struct.pack("<III", 1, 12, 0) + b"pA=1\0junk\0A=2"[:13]
    assert wire.decode_request(body).environ == {"A": "1"}


@given(st.binary(max_size=60))
def test_bytes_that_are_no_request_are_refused_or_parsed_and_never_more(body: bytes) -> None:
    try:
        request = wire.decode_request(body)
    except wire.Malformed:
        return
    assert len(request.stdin) <= len(body) - 12


@given(st.binary(min_size=wire.HEADER_SIZE, max_size=wire.HEADER_SIZE))
def test_a_header_is_ours_or_refused(data: bytes) -> None:
    with pytest.raises((wire.Malformed, wire.OtherVersion)):
        wire.header(b"X" + data[1:])


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", wire.Malformed),
        (b"pynt\x03\x00\x01\x00\x00\x00\x00", wire.Malformed),
        (b"GET / HTTP/1", wire.Malformed),
        (b"pynt\x02\x00\x01\x00\x00\x00\x00\x00", wire.OtherVersion),
        (b"pynt\x03\x00\x09\x00\x00\x00\x00\x00", wire.Malformed),
        (b"pynt\x03\x00\x02\x00\x00\x00\x00\x00", wire.Malformed),
        (b"pynt\x03\x00\x01\x00\x01\x00\x00\x01", wire.Malformed),
    ],
    ids=["empty", "short", "foreign", "other version", "unknown kind", "kind 2", "too long"],
)
def test_headers_that_are_refused(data: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        wire.header(data)


@pytest.mark.parametrize(
    "body",
    [b"", b"\0" * 11, struct.pack("<III", 1, 0, 0), struct.pack("<III", 0, 0, 0) + b"x"],
    ids=["empty", "short", "too little", "too much"],
)
def test_requests_whose_lengths_lie_are_refused(body: bytes) -> None:
    with pytest.raises(wire.Malformed):
        wire.decode_request(body)


def test_a_frame_over_the_limit_is_never_made() -> None:
    with pytest.raises(wire.Malformed):
        wire.encode_reply(0, b"x" * (wire.LIMIT - 3))
    assert len(wire.encode_reply(0, b"x" * (wire.LIMIT - 4))) == wire.HEADER_SIZE + wire.LIMIT
