"""Mistakes in networks, containers and checks: each with its line and what to write instead."""

from __future__ import annotations

import pytest
from mistakes import Mistake, assert_told

MISTAKES = {
    # --- networks
    "network on an unknown host": Mistake(
        "  db: {hosts: [h2]", "  db: {hosts: [h9] @@", "networks.db.hosts[0]", 'no host "h9"'
    ),
    "network on a router": Mistake(
        "  db: {hosts: [h2]", "  db: {hosts: [r1] @@", "networks.db.hosts[0]", "one of kind host"
    ),
    "no subnet": Mistake(
        ", subnets: [10.2.0.0/24]", " @@", "networks.db", "write subnets: [10.1.0.0/24]"
    ),
    "subnet with host bits": Mistake(
        "[10.2.0.0/24]", "[10.2.0.1/24] @@", "networks.db.subnets[0]", "write 10.2.0.0/24"
    ),
    "subnet without a prefix": Mistake(
        "[10.2.0.0/24]", "[10.2.0.0] @@", "networks.db.subnets[0]", "write 10.2.0.0/24"
    ),
    "subnet that is none": Mistake(
        "[10.2.0.0/24]", "[ten] @@", "networks.db.subnets[0]", "like 10.1.0.0/24 or fd00:1::/64"
    ),
    "overlapping subnets": Mistake(
        "[10.2.0.0/24]",
        "[10.1.0.128/25] @@",
        "networks.db.subnets[0]",
        'on h2: 10.1.0.128/25 and 10.1.0.0/24 of "web"; write another one, such as 10.0.1.0/24',
    ),
    "overlapping subnets of one network": Mistake(
        "[10.2.0.0/24]", "[10.2.0.0/24, 10.2.0.0/16] @@", "networks.db.subnets[1]", "leave one of"
    ),
    "subnet that overlaps a given one of a link": Mistake(
        "  h2: host",
        "  h2: {addresses: {eth1: 10.2.0.1/24}}",
        "networks.db.subnets[0]",
        "and 10.2.0.0/24 of its link at h2:eth1; write another one, such as 10.0.1.0/24",
    ),
    "subnet without room": Mistake(
        "[10.2.0.0/24]", "[10.2.0.0/31] @@", "networks.db.subnets[0]", "room for 0 containers"
    ),
    "unknown ingress": Mistake(
        "{hosts: [h2]", "{ingress: isolate @@", "networks.db.ingress", 'mean "isolated"?'
    ),
    "neither true nor false": Mistake(
        "{hosts: [h2]", "{internal: 7 @@", "networks.db.internal", "write true or false"
    ),
    "mtu of a network": Mistake(
        "{hosts: [h2]", "{mtu: 7 @@", "networks.db.mtu", "from 68 to 65535"
    ),
    "bridge that can't be": Mistake(
        "{hosts: [h2]", "{bridge: a/b @@", "networks.db.bridge", "eth1"
    ),
    "plugins and more": Mistake(
        "{hosts: [h2]", "{plugins: [{type: ptp}] @@", "networks.db.subnets", 'leave "subnets" out'
    ),
    "plugin without a type": Mistake(
        "{hosts: [h2], subnets: [10.2.0.0/24]}",
        "{plugins: [{name: ptp}]} @@",
        "networks.db.plugins[0]",
        "write type: bridge",
    ),
    # --- containers
    "container on an unknown host": Mistake(
        "  b@h2:", "  b@h3: @@", "containers.b@h3", 'there is no host "h3"; write one of h1, h2'
    ),
    "container on a switch": Mistake("  b@h2:", "  b@sw: @@", "containers.b@sw", "of kind switch"),
    "container without a host": Mistake("  b@h2:", "  b: @@", "containers.b", "write host: h1"),
    "unknown network": Mistake(
        "[web, db]", "[web, wbe] @@", "containers.b@h2.networks[1]", 'mean "web"?'
    ),
    "network of another host": Mistake(
        "{networks: [web], pub",
        "{networks: [db], pub @@",
        "containers.a@h1.networks[0]",
        "hosts: [",
    ),
    "network that is there twice": Mistake(
        "[web, db]", "[db, db] @@", "containers.b@h2.networks[1]", "leave one out"
    ),
    "address outside of the network": Mistake(
        "[web, db]",
        "{db: {ips: 10.3.0.1}} @@",
        "containers.b@h2.networks.db.ips",
        "write an address of 10.2.0.0/24",
    ),
    "address of two containers": Mistake(
        "  b@h2:",
        "  c@h2: {networks: {db: 10.2.0.9}}\n  d@h2: {networks: {db: 10.2.0.9}} @@\n  b@h2:",
        "containers.d@h2.networks.db",
        "10.2.0.9 is the address of c already: write another one",
    ),
    "MAC that is none": Mistake(
        "[web, db]", "{db: {mac: 1}} @@", "containers.b@h2.networks.db.mac", "02:00:00:00:00:0a"
    ),
    "publication that is none": Mistake(
        '"8080:80"', "8080 @@", "containers.a@h1.publish[0]", 'write "8080:80"'
    ),
    "port that is none": Mistake(
        '"8080:80"', '"99999:80" @@', "containers.a@h1.publish[0]", "from 1 to 65535"
    ),
    "protocol that can't be published": Mistake(
        '"8080:80"', '"80:80/sctp" @@', "containers.a@h1.publish[0]", "write /tcp or /udp"
    ),
    "port of two containers": Mistake(
        "  b@h2:",
        '  c@h1: {networks: [web], publish: ["127.0.0.1:8080:1"]} @@\n  b@h2:',
        "containers.c@h1.publish[0]",
        "a has this port of h1 already; write another one",
    ),
    "published without a network": Mistake(
        "networks: [web], publish", "publish", "containers.a@h1.publish", "write networks:"
    ),
    # --- generators
    "generator without a number": Mistake(
        "checks:",
        "generate: {containers: 5, name: c} @@\nchecks:",
        "generate.name",
        'write "c{n}"',
    ),
    "generator of none": Mistake(
        "checks:", "generate: {containers: 0} @@\nchecks:", "generate.containers", "1 or more"
    ),
    "generator of a name that is taken": Mistake(
        "checks:",
        'generate: {containers: 3, name: "h{n}"} @@\nchecks:',
        "generate.name",
        '"h1" is a node already',
    ),
    "generator on an unknown network": Mistake(
        "checks:",
        "generate: {containers: 3, networks: wep} @@\nchecks:",
        "generate.networks",
        '"web"',
    ),
    "generator without a host": Mistake(
        "  db: {hosts: [h2], subnets: [10.2.0.0/24]}",
        "  db: {hosts: [h2], subnets: [10.2.0.0/24]}\n  one: {hosts: [h1], subnets: 10.3.0.0/24}\n"
        "generate: {containers: 2, networks: [db, one]} @@",
        "generate",
        "no host has all its networks: write hosts",
    ),
    "generator of more than there is room for": Mistake(
        "[10.2.0.0/24]}",
        "[10.2.0.0/24]} @@\ngenerate: {containers: 300, networks: db}",
        "networks.db.subnets[0]",
        "room for 253 containers, and 301 of h2 are on it: write a shorter prefix, such as /23",
    ),
    # --- checks
    "unknown check": Mistake("mesh: all", "mehs: all @@", "checks[0].mehs", 'mean "mesh"?'),
    "check that is none": Mistake(
        "mesh: all", "[a] @@", "checks[0]", "one of mesh, tcp, udp, http"
    ),
    "two checks in one": Mistake(
        "mesh: all",
        "{mesh: all, tcp: {from: a, to: 'b:1'}} @@",
        "checks[0].tcp",
        "a dash of its own",
    ),
    "wrong key inside tcp": Mistake(
        "mesh: all", "tcp: {form: a, from: a, to: 'b:1'} @@", "checks[0].tcp.form", 'mean "from"?'
    ),
    "key that is missing": Mistake(
        "mesh: all", "tcp: {to: 'b:80'} @@", "checks[0].tcp", '"from" is missing: write from: a'
    ),
    "key of http in tcp": Mistake(
        "mesh: all",
        "tcp: {from: a, to: 'b:1', status: 2} @@",
        "checks[0].tcp.status",
        'tcp has no key "status"',
    ),
    "unknown place": Mistake(
        "mesh: all", "tcp: {from: a, to: 'bb:80'} @@", "checks[0].tcp.to", 'did you mean "b"?'
    ),
    "unknown member": Mistake("mesh: all", "mesh: [a, c] @@", "checks[0].mesh[1]", '"c"; '),
    "mesh of one": Mistake("mesh: all", "mesh: [a] @@", "checks[0].mesh", "two, or mesh: all"),
    "switch as a place": Mistake(
        "mesh: all", "mesh: [a, sw] @@", "checks[0].mesh[1]", "name a host"
    ),
    "no port": Mistake("mesh: all", "udp: {from: a, to: b} @@", "checks[0].udp.to", 'write "b:80"'),
    "port that is no number": Mistake(
        "mesh: all", "udp: {from: a, to: 'b:www'} @@", "checks[0].udp.to", "write b, or b:80"
    ),
    "family that is none": Mistake(
        "mesh: all", "mesh: {family: 5} @@", "checks[0].mesh.family", "none of 4, 6"
    ),
    "path over an unknown node": Mistake(
        "mesh: all", "path: {from: a, to: b, via: sww} @@", "checks[0].path.via", 'mean "sw"?'
    ),
    "mtu of no packet": Mistake(
        "mesh: all", "mtu: {from: a, to: b, size: 1} @@", "checks[0].mtu.size", "from 68 to 65535"
    ),
    "fault of an unknown link": Mistake(
        "mesh: all",
        "fault: {down: h1 -- sv} @@\n    heals: {mesh: all}",
        "checks[0].fault.down",
        'did you mean "h1 -- sw"?',
    ),
    "fault nobody looks at": Mistake(
        "mesh: all", "fault: {down: h1 -- sw} @@", "checks[0].fault", "write expect or heals"
    ),
    "fault that does nothing": Mistake(
        "mesh: all", "fault: @@\n    heals: {mesh: all}", "checks[0].fault", "down, stop or impair"
    ),
    "fault in a fault": Mistake(
        "mesh: all",
        "fault: {stop: h1}\n    heals: [{fault: {}}] @@",
        "checks[0].heals[0].fault",
        'no key "fault"',
    ),
    "impaired without a unit": Mistake(
        "mesh: all",
        "fault: {impair: {h1 -- sw: {delay: 1}}} @@\n    heals: {mesh: all}",
        "checks[0].fault.impair.h1 -- sw.delay",
        "lacks its unit",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
def test_mistake(mistake: Mistake) -> None:
    assert_told(mistake)
