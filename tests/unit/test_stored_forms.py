"""What a store holds of our values, to the letter: other versions read it."""

from __future__ import annotations

import os

import pytest

from pynet.engine.request_record import Call
from pynet.model.forwarding import ForwardJump
from pynet.model.resource import Resource, Unknown, decode, decode_known, encode
from pynet.model.resources import (
    AddressLease,
    BridgePort,
    Element,
    InterfaceRoute,
    KeptLease,
    Leased,
    LinkUp,
    MovedRoute,
    SourceRule,
    Vrf,
    VrfPort,
    VrfRules,
)
from pynet.model.result import Address, Dns, Interface, Result, Route
from pynet.model.value import dump

UP = LinkUp(name="eth0", place="sandbox", inside="veth\tveth1")


@pytest.mark.parametrize(
    "resource, body",
    [
        (UP, '{"place":"sandbox","inside":"veth\\tveth1","name":"eth0"}'),
        (
            BridgePort(bridge="br0", name="veth1", tagged=((2, 4), (7, 7)), isolated=True),
            '{"name":"veth1","bridge":"br0","isolated":true,"tagged":[[2,4],[7,7]]}',
        ),
        (
            InterfaceRoute(dst="10.1.0.0/16", name="eth0", table=0, mtu=0, scope=None),
            '{"name":"eth0","dst":"10.1.0.0/16","table":0}',
        ),
        (
            Element(set="guard", item=("veth1", "02:00:00:00:00:01")),
            '{"set":"guard","item":["veth1","02:00:00:00:00:01"]}',
        ),
        (
            ForwardJump(program="iptables", into="FORWARD"),
            '{"program":"iptables","into":"FORWARD"}',
        ),
        (
            # What is needed first is on record as steps of its own.
            AddressLease(
                pool="net", index=0, ranges=(("10.0.0.1", "10.0.0.6", 29, ""),), first=(UP,)
            ),
            '{"pool":"net","index":0,"ranges":[["10.0.0.1","10.0.0.6",29,""]]}',
        ),
        (KeptLease(keeper="dhcp", first=(UP,)), '{"keeper":"dhcp"}'),
        (
            SourceRule(name="eth0", address="10.1.0.2", table=100),
            '{"name":"eth0","address":"10.1.0.2","table":100}',
        ),
        (
            MovedRoute(name="eth0", dst="10.1.0.0/24", table=100, scope=253, protocol=2),
            '{"name":"eth0","dst":"10.1.0.0/24","table":100,"scope":253,"protocol":2}',
        ),
        (Vrf(name="red", table=1), '{"name":"red","table":1}'),
        (VrfPort(name="eth0", vrf="red"), '{"name":"eth0","vrf":"red"}'),
        (VrfRules(), "{}"),
    ],
    ids=lambda one: one.kind if isinstance(one, Resource) else "",
)
def test_the_body_of_a_resource(resource: Resource, body: str) -> None:
    assert encode(resource) == (resource.kind, body)
    assert encode(decode(resource.kind, body)) == (resource.kind, body)


@pytest.mark.parametrize(
    "body",
    ['{"name":"eth0","of_the_next_version":1}', "{}", "[]", "no JSON"],
)
def test_what_this_version_cannot_read_is_kept_to_the_letter(body: str) -> None:
    unknown = decode("link-up", body)
    assert isinstance(unknown, Unknown)
    assert encode(unknown) == ("link-up", body)


def test_of_what_a_later_version_has_added_to_the_rest_is_read() -> None:
    assert decode_known("link-up", '{"name":"eth0","of_the_next_version":1}') == LinkUp(name="eth0")


def test_a_result() -> None:
    result = Result(
        interfaces=(Interface("eth0", "02:00:00:00:00:01", "/run/netns/c1"),),
        ips=(Address("10.0.0.2/29", "10.0.0.1", 0),),
        routes=(Route("0.0.0.0/0"),),
        dns=Dns(nameservers=("10.0.0.1",)),
    )
    assert dump(result) == (
        '{"interfaces": [{"name": "eth0", "mac": "02:00:00:00:00:01", "sandbox": "/run/netns/c1",'
        ' "mtu": 0, "socket_path": "", "pci_id": ""}],'
        ' "ips": [{"address": "10.0.0.2/29", "gateway": "10.0.0.1", "interface": 0}],'
        ' "routes": [{"dst": "0.0.0.0/0", "gw": "", "mtu": 0, "advmss": 0, "priority": 0,'
        ' "table": null, "scope": null}],'
        ' "dns": {"nameservers": ["10.0.0.1"], "domain": "", "search": [], "options": []}}'
    )


def test_the_answer_of_a_lease() -> None:
    assert dump(Leased("10.0.0.2/29", "10.0.0.1", fresh=True)) == (
        '{"address": "10.0.0.2/29", "gateway": "10.0.0.1", "fresh": true}'
    )


def test_what_is_no_utf8_is_read_back_as_it_was() -> None:
    path = os.fsdecode(b"/run/netns/\xff")
    call = Call({"CNI_NETNS": path, "CNI_PATH": "/opt/\u00e9"}, {})
    assert Call.load(call.dump()) == call
    resource = LinkUp(name="eth0", inside=path)
    assert decode(*encode(resource)) == resource
