"""A hundred ports at once: whose flows are forgotten is found out first, where that can be."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import drive
import pytest
from published import FAMILIES, V4, V6, Client, Served, call, mapping

from pynet.kernel import flows
from pynet.testnets.internet import HOST_ADDRESSES, Internet
from pynet.testnets.lab import Lab

MANY = range(8000, 8100)
PORT = 8042
OUTSIDE = {V4: "192.0.2.1", V6: "2001:db8:1::1"}


@pytest.mark.parametrize("looked", ["few flows", "too many flows", "no list of them"])
@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_who_sends_without_a_pause_arrives_at_one_of_many(
    lab: Lab, family: int, looked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if looked == "too many flows":
        monkeypatch.setattr(flows, "_FEW_FLOWS", 1)
    elif looked == "no list of them":  # a kernel without CONFIG_NF_CONNTRACK_PROCFS
        monkeypatch.setattr(flows, "_FLOWS", Path("/nowhere"))
    host = lab.host("h1")
    outside = Internet(lab, host).outside
    first, second = (Served(lab, host, name, drive.BRIDGE) for name in ("c1", "c2"))
    ports = [mapping(port, "udp") for port in MANY]
    clients = [Client(lab, outside, HOST_ADDRESSES[family], port) for port in (PORT, PORT + 1)]
    assert [client.send() for client in clients] == ["", ""]
    first.publish(ports)
    assert [client.send() for client in clients] == [OUTSIDE[family]] * 2
    assert first.portmap("DEL", ports).status == 0
    assert [client.send() for client in clients] == ["", ""]
    second.publish(ports)
    assert [client.send() for client in clients] == [OUTSIDE[family]] * 2


def test_the_kernel_is_asked_about_ports_with_flows_only(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To a port that nobody sends to there is nothing to forget."""

    def counted(self: flows.Flows, wanted: Iterable[flows.Which]) -> None:
        asked.extend(wanted)
        forget(self, set(wanted))

    def publish() -> Sequence[flows.Which]:
        assert call("ADD", first.runtime, ports, first.result).status == 0
        return asked

    asked: list[flows.Which] = []
    forget = flows.Flows._forget
    monkeypatch.setattr(flows.Flows, "_forget", counted)
    host = lab.host("h1")
    outside = Internet(lab, host).outside
    first = Served(lab, host, "c1", drive.BRIDGE)
    ports = [mapping(port, "udp") for port in MANY]
    client = Client(lab, outside, HOST_ADDRESSES[V4], PORT)
    assert client.send() == ""
    assert host.call(publish) == [flows._to_port(4, PORT)]
    assert client.send() == OUTSIDE[V4]
