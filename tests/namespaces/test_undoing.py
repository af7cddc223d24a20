"""What can't be undone, and need not be: it stands in the way of no DEL, and is said."""

from __future__ import annotations

import drive
import pytest
from chains import delete_list, with_result
from drive import PLAIN_BRIDGE as BRIDGE
from drive import TUNING, call
from evidence import but_idle_bridge, but_kept, inside, nothing_left, rest, rows
from refusals import Refusal, undoing
from scenes import add, container, in_host, run, stderr_of, succeed


@pytest.mark.parametrize(
    "key",
    ["net.core.rmem_max", "net.netfilter.nf_conntrack_max", "net.ipv4.conf.eth0.mc_forwarding"],
)
@in_host
def test_a_key_that_nobody_may_write_stands_in_nobody_s_way(key: str) -> None:
    before = rest()
    runtime = container("c1")
    first = add(BRIDGE, runtime)
    inner = inside("c1")
    wanted = {**TUNING, "sysctl": {"net.core.somaxconn": "500", key: "4096"}}
    outcome = call("ADD", with_result(wanted, first), runtime)
    assert outcome.code == 102
    assert "can't be undone" not in outcome.document["msg"]
    assert inside("c1") == inner
    delete_list([BRIDGE, wanted], runtime, first)
    assert rows() == set()
    assert but_idle_bridge(but_kept(nothing_left(before, rest()))) == []


@in_host
def test_what_the_container_makes_impossible_is_said_and_left() -> None:
    runtime = container("c1")
    first = add(BRIDGE, runtime)
    wanted = {
        **BRIDGE,
        "type": "tuning",
        "sysctl": {
            "net.ipv4.ip_local_port_range": "40000 50000",
            "net.ipv4.conf.eth0.arp_filter": "1",
        },
    }
    result = add(with_result(wanted, first), runtime)
    run("sysctl -w net.ipv4.ip_unprivileged_port_start=39000", netns="c1")
    said = stderr_of(lambda: succeed("DEL", with_result(wanted, result), runtime))
    assert "ip_local_port_range" in said
    assert said.count("\n") == 1
    assert run("sysctl -n net.ipv4.conf.eth0.arp_filter", netns="c1").strip() == "0"
    succeed("DEL", BRIDGE, runtime)
    assert rows() == set()


@in_host
def test_a_del_tries_each_step_once() -> None:
    """It is the next one that tries again what was refused."""
    runtime = container("c1")
    add(BRIDGE, runtime)
    with undoing(Refusal(at=1)) as refusal:
        assert call("DEL", BRIDGE, runtime).status == 1
    assert max(refusal.asked.values()) == 1
    succeed("DEL", BRIDGE, runtime)
    assert rows() == set()


@pytest.mark.parametrize("spoil", ["ip link set {} nomaster", "ip link del cni0"])
@in_host
def test_a_setting_of_what_is_gone_needs_no_undoing(spoil: str) -> None:
    """A port that is in no bridge any more can't be isolated or not."""
    runtime = container("c1")
    result = add(BRIDGE, runtime)
    isolated = with_result(drive.FIREWALL, result)
    add(isolated, runtime)
    port = next(one["name"] for one in result["interfaces"] if one["name"].startswith("veth"))
    run(spoil.format(port))
    succeed("DEL", isolated, runtime)
    succeed("DEL", BRIDGE, runtime)
    assert rows() == set()


@in_host
def test_what_no_program_could_make_no_program_has_to_undo() -> None:
    """The host drops what it forwards, and whose rules those are is not installed here."""
    run("iptables-nft -P FORWARD DROP")
    runtime = container("c1")
    result = add(BRIDGE, runtime)
    run("mount --bind /dev/null /usr/sbin/xtables-nft-multi")
    opened = with_result({**drive.FIREWALL, "ingressPolicy": "open"}, result)
    assert "not installed" in stderr_of(lambda: add(opened, runtime))
    succeed("DEL", opened, runtime)
    succeed("DEL", BRIDGE, runtime)
    assert rows() == set()
