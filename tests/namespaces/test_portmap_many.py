"""A hundred ports at once, and the flows that were on their way to them."""

from __future__ import annotations

from collections.abc import Sequence

import drive
import pytest
from published import FAMILIES, V4, V6, Client, Served, call, mapping

from pynet.kernel.netlink import flows
from pynet.testnets.lab.internet import HOST_ADDRESSES, Internet
from pynet.testnets.lab.lab import Lab

MANY = range(8000, 8100)
PORT = 8042
OUTSIDE = {V4: "192.0.2.1", V6: "2001:db8:1::1"}


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_who_sends_without_a_pause_arrives_at_one_of_many(lab: Lab, family: int) -> None:
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


def test_the_kernel_is_asked_only_where_it_knows_of_flows(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    def counted(self: flows.Flows, wanted: Sequence[flows.Which]) -> list[int]:
        asked.extend(wanted)
        return delete(self, wanted)

    def publish() -> int:
        assert call("ADD", first.runtime, ports, first.result).status == 0
        return len(asked)

    asked: list[flows.Which] = []
    delete = flows.Flows._delete
    monkeypatch.setattr(flows.Flows, "_delete", counted)
    host = lab.host("h1")
    # Else the bridge tells, some time in its first second, which groups it hears: a flow, too.
    host.run(["sysctl", "-qw", "net.ipv4.igmp_link_local_mcast_reports=0"])
    outside = Internet(lab, host).outside
    first = Served(lab, host, "c1", drive.BRIDGE)
    ports = [mapping(port, "udp") for port in MANY]
    host.run(["conntrack", "-F"])
    assert host.call(publish) == 0
    assert first.portmap("DEL", ports).status == 0
    client = Client(lab, outside, HOST_ADDRESSES[V4], PORT)
    assert client.send() == ""
    assert host.call(publish) == 2 * len(MANY)
    assert client.send() == OUTSIDE[V4]
