"""tuning behind bridge: what `ip` shows, what CHECK says, what DEL gives back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import drive
from chains import add_list, check_list, delete_list, with_result
from drive import PLAIN_BRIDGE as BRIDGE
from drive import TUNING, Runtime
from evidence import inside, rest, rows
from executables import until
from scenes import add, container, in_host, ip, refused, run, succeed

LIST = [BRIDGE, TUNING]


def link(netns: str = "c1") -> Any:
    (found,) = ip("-d link show eth0", netns)
    return found


def sysctl(key: str) -> str:
    return run(f"cat /proc/sys/net/{key}", netns="c1").strip()


@in_host
def test_every_property_is_set_and_given_back() -> None:
    runtime = container("c1")
    first = add(BRIDGE, runtime)
    before = inside("c1")
    result = add(with_result(TUNING, first), runtime)
    found = link()
    assert (found["address"], found["mtu"], found["txqlen"]) == ("02:00:00:00:99:01", 1400, 500)
    assert {"PROMISC", "ALLMULTI"} <= set(found["flags"])
    assert (sysctl("ipv4/conf/eth0/arp_filter"), sysctl("core/somaxconn")) == ("1", "500")
    mine = next(one for one in result["interfaces"] if one.get("sandbox"))
    assert (mine["mac"], mine["mtu"]) == (found["address"], 1400)
    assert result["ips"] == first["ips"]
    run("ping -c 1 -W 2 10.1.0.1", netns="c1")
    succeed("DEL", with_result(TUNING, result), runtime)
    assert inside("c1") == before
    succeed("DEL", BRIDGE, runtime)


@in_host
def test_check_of_the_whole_list() -> None:
    """Each judges what it set, with the result of the list or with that of its place in it."""
    runtime = container("c1")
    first = add(BRIDGE, runtime)
    result = add(with_result(TUNING, first), runtime)
    check_list(LIST, runtime, result)
    check_list(LIST, runtime, first)
    drifts = {
        "ip link set eth0 address 02:00:00:00:00:77": "MAC is 02:00:00:00:00:77",
        "ip link set eth0 mtu 1450": "MTU is 1450",
        "ip link set eth0 promisc off": "promisc is off",
        "ip link set eth0 allmulticast off": "allmulti is off",
        "ip link set eth0 txqueuelen 7": "txqueuelen is 7",
    }
    for command, words in drifts.items():
        run(command, netns="c1")
        refused(101, words, "CHECK", with_result(TUNING, result), runtime)
        succeed("CHECK", with_result(BRIDGE, result), runtime)
    delete_list(LIST, runtime, result)


@in_host
def test_the_last_of_two_decides_and_the_first_one_s_past_comes_back() -> None:
    runtime = container("c1")
    second = {**TUNING, "mac": "02:00:00:00:99:02", "mtu": 1300, "promisc": False, "sysctl": {}}
    first = add(BRIDGE, runtime)
    before = inside("c1")
    result = add_list([with_result(TUNING, first)], runtime)
    last = add(with_result(second, result), runtime)
    assert (link()["address"], link()["mtu"]) == ("02:00:00:00:99:02", 1300)
    for given in (first, result, last):
        check_list([BRIDGE, TUNING, second], runtime, given)
    # In the wrong order, too.
    succeed("DEL", with_result(TUNING, last), runtime)
    succeed("DEL", with_result(second, last), runtime)
    assert inside("c1") == before


@in_host
def test_promisc_that_is_not_asked_for_is_nobody_s_business() -> None:
    runtime = container("c1")
    plugins = [BRIDGE, {"cniVersion": "1.1.0", "name": "web", "type": "tuning", "mtu": 1400}]
    result = add_list(plugins, runtime)
    run("ip link set eth0 promisc on", netns="c1")
    check_list(plugins, runtime, result)


@in_host
def test_del_after_the_interface_or_the_namespace_is_gone() -> None:
    baseline = after_one_life()
    runtime = container("c1")
    result = add_list(LIST, runtime)
    succeed("DEL", with_result(BRIDGE, result), runtime)
    succeed("DEL", with_result(TUNING, result), runtime)
    assert rest() == baseline
    result = add_list(LIST, runtime)
    run("ip netns del c1")
    succeed("DEL", with_result(TUNING, result), runtime)
    succeed("DEL", with_result(BRIDGE, result), runtime)
    assert rest() == baseline


@in_host
def test_the_main_plugin_s_del_ends_what_was_chained_to_it() -> None:
    baseline = after_one_life()
    runtime = container("c1")
    result = add_list(LIST, runtime)
    succeed("DEL", with_result(BRIDGE, result), runtime)
    assert rest() == baseline


@in_host
def test_a_container_that_comes_back_with_another_namespace() -> None:
    """Its runtime died and sent no DEL: Podman starts the same container again."""
    baseline = after_one_life()
    add_list(LIST, container("c1"))
    run("ip netns del c1")
    until(lambda: not ip("link show type veth"), "the dead container's veth stays")
    runtime = container("c1")
    result = add_list(LIST, runtime)
    check_list(LIST, runtime, result)
    delete_list(LIST, runtime, result)
    assert rest() == baseline


def after_one_life() -> set[str]:
    """The host with what is kept on purpose."""
    runtime = container("warm")
    delete_list(LIST, runtime, add_list(LIST, runtime))
    run("ip netns del warm")
    return rest()


@in_host
def test_refusals_change_nothing() -> None:
    runtime = container("c1")
    first = add(BRIDGE, runtime)

    def asked(**keys: Any) -> dict[str, Any]:
        return with_result({**TUNING, **keys}, first)

    refused(7, "not a key below /proc/sys/net", "ADD", asked(sysctl={"kernel.x": "1"}), runtime)
    # What comes first is taken back.
    keys = {"net.core.somaxconn": "77", "net.core.no_such_key": "1"}
    refused(102, "no_such_key|no such key", "ADD", asked(sysctl=keys), runtime)
    assert sysctl("core/somaxconn") != "77"
    refused(102, "mtu 1", "ADD", asked(mtu=1), runtime)
    refused(7, "no interface eth7", "ADD", asked(), Runtime(interface="eth7"))
    refused(7, "prevResult: missing", "ADD", TUNING, runtime)


@in_host
def test_the_allow_list_of_the_host() -> None:
    runtime = container("c1")
    first = add(BRIDGE, runtime)
    allowlist = Path("/etc/cni/tuning/allowlist.conf")
    allowlist.parent.mkdir()
    allowlist.write_text("^net.core.[a-z_]*$\n")
    words = "net.ipv4.conf.IFNAME.arp_filter|/etc/cni/tuning/allowlist.conf"
    refused(7, words, "ADD", with_result(TUNING, first), runtime)
    allowed = {**TUNING, "sysctl": {"net.core.somaxconn": "500"}}
    add(with_result(allowed, first), runtime)
    assert sysctl("core/somaxconn") == "500"


@in_host
def test_gc_gives_back_what_a_stale_attachment_changed() -> None:
    runtime = container("c1")
    first = add(drive.BRIDGE, runtime)
    before = inside("c1")
    add(with_result(TUNING, first), runtime)
    valid = {"cni.dev/valid-attachments": [{"containerID": "c1", "ifname": "eth0"}]}
    succeed("GC", {**TUNING, **valid}, runtime)
    assert inside("c1") != before
    succeed("GC", {**TUNING, "cni.dev/valid-attachments": []}, runtime)
    assert inside("c1") == before


@in_host
def test_gc_without_a_list_ends_what_is_chained_to_a_dead_pair() -> None:
    runtime = container("c1")
    add_list(LIST, runtime)
    succeed("GC", TUNING, runtime)
    assert any("tuning" in row for row in rows())
    run("ip netns del c1")
    until(lambda: not ip("link show type veth"), "the dead container's veth stays")
    succeed("GC", TUNING, runtime)
    assert not any("tuning" in row for row in rows())
