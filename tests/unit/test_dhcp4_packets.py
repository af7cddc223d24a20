"""DHCPv4's IPv4 packets: what is damaged, cut or meant for somebody else is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pynet.dhcp.wire4 import datagram, payload

CLIENT, SERVER = b"\x0a\x14\x00\x05", b"\x0a\x14\x00\x01"
HEADERS = 28
MESSAGES = st.binary(min_size=1, max_size=600)


def from_server(message: bytes) -> bytes:
    """Source and destination change places, which no checksum minds."""
    packet = bytearray(datagram(message, CLIENT, SERVER))
    packet[12:20] = packet[16:20] + packet[12:16]
    packet[20:24] = packet[22:24] + packet[20:22]
    return bytes(packet)


@given(MESSAGES, st.binary(max_size=30))
def test_what_a_server_sends_comes_out_without_padding(message: bytes, padding: bytes) -> None:
    assert payload(from_server(message) + padding) == message


@given(MESSAGES, st.integers(0), st.integers(0, 7))
def test_no_single_bit_goes_wrong_unseen(message: bytes, at: int, bit: int) -> None:
    packet = bytearray(from_server(message))
    packet[at % len(packet)] ^= 1 << bit
    if packet[26:28] != bytes(2):  # which says that there is no checksum
        assert payload(bytes(packet)) is None


@given(MESSAGES, st.integers(1))
def test_nor_does_the_end(message: bytes, cut: int) -> None:
    packet = from_server(message)
    assert payload(packet[: -1 - cut % len(packet)]) is None


@given(st.binary(max_size=100), st.booleans())
def test_no_bytes_are_a_surprise(noise: bytes, unfinished: bool) -> None:
    assert payload(b"\x45" + noise, unfinished) is None or True


def test_a_checksum_may_be_left_out_or_to_a_card() -> None:
    packet = bytearray(from_server(b"message"))
    packet[26:28] = b"\x12\x34"
    assert payload(bytes(packet)) is None
    assert payload(bytes(packet), unfinished=True) == b"message"
    packet[26:28] = bytes(2)
    assert payload(bytes(packet)) == b"message"


@pytest.mark.parametrize("client_first", [True, False])
def test_only_the_client_s_port_is_read(client_first: bool) -> None:
    packet = datagram(b"message", CLIENT, SERVER) if client_first else from_server(b"message")
    assert payload(packet) == (None if client_first else b"message")


def test_a_fragment_is_none() -> None:
    packet = bytearray(from_server(b"message"))
    packet[6] |= 0x20
    packet[10:12] = (int.from_bytes(packet[10:12], "big") - 0x2000).to_bytes(2, "big")
    assert payload(bytes(packet)) is None
