"""What stands in a host before we come, of every sort that we touch, and must stand afterwards."""

from __future__ import annotations

import subprocess

_LINKS = """
link add name theirs0 address 02:00:00:00:0a:01 type veth peer name theirs1
link add name theirs-br address 02:00:00:00:0a:03 type bridge
link set dev theirs1 master theirs-br
link set dev theirs0 up mtu 1400 promisc on group 77
link set dev theirs1 up
link set dev theirs-br up
addr add 172.31.0.1/24 dev theirs0
addr add fd31::1/64 dev theirs0 nodad
addr add 172.31.9.1/24 dev theirs-br
route add 172.32.0.0/16 via 172.31.0.9
route add 172.33.0.0/16 via 172.31.0.9 table 77
route add fd33::/64 via fd31::9 dev theirs0 table 77
route add unreachable 172.34.0.0/16
rule add from 172.31.0.7 table 77 priority 77
neigh add 172.31.0.9 lladdr 02:00:00:00:0a:09 dev theirs0 nud permanent
neigh add proxy 172.31.0.8 dev theirs0
"""
_ADDRESSES = ("10.1.0.2", "10.1.0.3", "10.9.0.5")
"""Those that our first containers are given."""
_RULESET = f"""
table inet theirs {{
    set masquerade4 {{ type ipv4_addr; elements = {{ {", ".join(_ADDRESSES)} }} }}
    map published4_any {{
        type inet_proto . inet_service : ipv4_addr
        elements = {{ tcp . 8080 : 10.1.0.2 }}
    }}
    chain forward {{
        type filter hook forward priority 5; policy accept;
        ip saddr @masquerade4 counter accept comment "theirs"
    }}
}}
"""
_SYSCTLS = (
    "net.ipv4.conf.theirs0.rp_filter=2",
    "net.ipv4.conf.theirs0.arp_notify=1",
    "net.ipv4.conf.theirs0.route_localnet=1",
    "net.ipv6.conf.theirs0.accept_ra=0",
    "net.ipv4.neigh.theirs0.gc_stale_time=77",
)


def settle() -> None:
    """An administrator's links, routes, rules, neighbours, queues, sysctls and table.

    Nothing where they are there already.
    """
    shown = subprocess.run(["ip", "link", "show", "dev", "theirs0"], capture_output=True)
    if shown.returncode == 0:
        return
    _run("ip", "-b", "-", given=_LINKS)
    _run("ip", "-6", "rule", "add", "from", "fd31::7", "table", "77", "priority", "77")
    _run("bridge", "fdb", "add", "02:00:00:00:0a:04", "dev", "theirs1", "master", "static")
    _run("tc", "qdisc", "add", "dev", "theirs0", "clsact")
    match = ("protocol", "ip", "u32", "match", "u32", "0", "0", "classid", "1:1")
    _run("tc", "filter", "add", "dev", "theirs0", "egress", *match)
    _run("sysctl", "-qw", *_SYSCTLS)
    _run("nft", "-f", "-", given=_RULESET)


def _run(*argv: str, given: str = "") -> None:
    done = subprocess.run(argv, input=given.encode(), capture_output=True)
    assert done.returncode == 0, (argv, done.stderr)
