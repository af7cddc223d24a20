"""The Python builder gives the topology that a file in the same words gives."""

from __future__ import annotations

import pytest

from pynet.testnets.spec.builder import Checks, Topo
from pynet.testnets.spec.reading import TopologyError, parse

FILE = """\
name: pair
description: two hosts
nodes:
  h1: {kind: host, addresses: {eth1: 192.0.2.1/24}, sysctls: {net.ipv4.ip_forward: 1}}
  h2: host
  r1: router
  out: external
  sw: switch
links:
  - h1:eth1 -- sw {rate=10mbit delay=20ms}
  - h2 -- sw {loss=5% mtu=1400}
  - r1 -- sw
  - r1 -- out
underlay: {ipv4: 172.16.0.0/12, ipv6: ""}
networks:
  web: {subnets: [10.1.0.0/24], ingress: same-bridge, masquerade: false}
  raw: {hosts: [h1], plugins: [{type: ptp}]}
containers:
  a@h1: {networks: [web, raw], publish: ["8080:80"]}
  b@h2: {networks: {web: {ips: [10.1.0.9]}}, run: sleep 9}
generate:
  - {containers: 5, name: "x{n}", hosts: [h1], networks: [web]}
checks:
  - mesh: all
  - mesh: {members: [a, h1], family: 4, within: 3s}
  - tcp: {from: a, to: "b:80", seen_as: a}
  - udp: {from: a, to: "b:53"}
  - http: {from: a, to: "b:80", status: 404, answer: gone}
  - deny: {from: b, to: a}
  - path: {from: h1, to: h2, via: [sw]}
  - mtu: {from: h1, to: h2, size: 1400}
  - fault: {down: "h1 -- sw", impair: {"h2 -- sw": {loss: 100%}}}
    expect:
      - deny: {from: h1, to: h2, protocol: icmp}
    heals:
      - mesh: [h1, h2]
needs: [netem]
"""


def pair() -> Topo:
    return (
        Topo("pair", "two hosts")
        .host("h1", addresses={"eth1": "192.0.2.1/24"}, sysctls={"net.ipv4.ip_forward": 1})
        .host("h2")
        .router("r1")
        .external("out")
        .switch("sw")
        .link("h1:eth1", "sw", rate=10_000_000, delay=0.02)
        .link("h2", "sw", loss="5%", mtu=1400)
        .link("r1", "sw")
        .link("r1", "out")
        .underlay(ipv4="172.16.0.0/12", ipv6="")
        .network("web", subnets=["10.1.0.0/24"], ingress="same-bridge", masquerade=False)
        .network("raw", hosts="h1", plugins=[{"type": "ptp"}])
        .container("a", host="h1", networks=["web", "raw"], publish=["8080:80"])
        .container("b@h2", networks={"web": {"ips": ["10.1.0.9"]}}, run="sleep 9")
        .generate(5, name="x{n}", hosts=["h1"], networks=["web"])
        .mesh()
        .mesh("a", "h1", family=4, within=3)
        .tcp("a", "b:80", seen_as="a")
        .udp("a", "b:53")
        .http("a", "b:80", status=404, answer="gone")
        .deny("b", "a")
        .path("h1", "h2", ["sw"])
        .mtu("h1", "h2", 1400)
        .fault(
            down="h1 -- sw",
            impair={"h2 -- sw": {"loss": "100%"}},
            expect=Checks().deny("h1", "h2", protocol="icmp"),
            heals=Checks().mesh("h1", "h2"),
        )
        .needs("netem")
    )


def test_it_builds_what_the_file_says() -> None:
    assert pair().build() == parse(FILE)


def test_one_beginning_serves_several_topologies() -> None:
    start = Topo().host("h1").network("web", subnets=["10.1.0.0/24"])
    assert list(start.container("a", networks="web").build().containers) == ["a"]
    assert list(start.container("b", networks="web").build().containers) == ["b"]
    assert not start.build().containers


def test_all_mistakes_are_reported_at_once() -> None:
    wrong = Topo("pair").host("h1").link("h1", "sw", rate="10mb", delay=-1).tcp("a", "h1:80")
    with pytest.raises(TopologyError) as caught:
        wrong.build()
    assert str(caught.value).splitlines() == [
        "topology pair: links[0].rate: the rate '10mb' has an unknown unit "
        '(bit, kbit, mbit, gbit): write one such as "10mbit"',
        "topology pair: links[0].delay: the time '-1' is no quantity: "
        'write one such as "20ms" or "1.5s"',
        'topology pair: checks[0].tcp.from: there is no node or container "a"; write h1',
    ]


def test_a_name_is_taken_once() -> None:
    with pytest.raises(TopologyError, match=r'topology lab: nodes.h1: "h1" is there twice'):
        Topo().host("h1").router("h1")
