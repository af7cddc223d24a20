"""STATUS says what the kernel lacks for a plugin, in the words of an ADD, and makes nothing."""

from __future__ import annotations

import subprocess

import drive
import lan
import pytest
from evidence import nothing_left, rest
from scenes import container, in_host, refused, run, succeed
from test_reconciling import world

from pynet.model.kernel_kinds import KernelMakes

MADE_BY = {
    "dummy": "ip link add probe type dummy",
    "ipvlan": f"ip link add link {lan.PARENT} name probe type ipvlan",
    "macvlan": f"ip link add link {lan.PARENT} name probe type macvlan",
    "vlan": f"ip link add link {lan.PARENT} name probe type vlan id 7",
    "vrf": "ip link add probe type vrf table 7",
}
MODULES = {"vlan": "8021q"}
QUEUES = ("tbf rate 1mbit burst 10k limit 10k", "netem delay 1ms", "fq")
"""This kernel may have the first alone."""


def does(command: str) -> bool:
    return subprocess.run(command.split(), capture_output=True).returncode == 0


@pytest.mark.parametrize("plugin", sorted(MADE_BY))
@in_host
def test_links_of_a_kind_that_the_kernel_may_lack(plugin: str) -> None:
    """STATUS finds out what `ip` does by making one."""
    lan.wire()
    config = {**drive.CONFIGS, **drive.NOT_EVERYWHERE}[plugin]
    made = does(MADE_BY[plugin])
    if made:
        run("ip link del probe")
    before = rest()
    if made:
        succeed("STATUS", config)
    else:
        words = f"no links of kind {plugin}|modprobe {MODULES.get(plugin, plugin)}"
        refused(50, words, "STATUS", config)
        if plugin not in drive.BEFORE:
            refused(102, words, "ADD", config, container("c1"))
    assert nothing_left(before, rest()) == []


@in_host
def test_queues_of_a_kind_that_the_kernel_may_lack() -> None:
    run("ip link add probe type veth peer name peer0")
    before = rest()
    with world() as looked:
        found = [looked.look(KernelMakes("queue", words.split()[0])) for words in QUEUES]
    assert nothing_left(before, rest()) == []
    assert found == [does(f"tc qdisc replace dev probe root {words}") for words in QUEUES]
    succeed("STATUS", drive.BANDWIDTH)
