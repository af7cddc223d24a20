"""CHECK where a later plugin of the chain is somebody else's: its result has the last word."""

from __future__ import annotations

import sqlite3
from copy import deepcopy
from typing import Any

import drive
import pytest
from chains import with_result
from drive import Runtime
from evidence import STATE
from scenes import add, container, in_host, run, succeed, the_error

from pynet.store.records import State

WEB: dict[str, Any] = {
    **drive.BRIDGE,
    "mtu": 1500,
    "ipam": {"type": "host-local", "subnet": "10.1.0.0/24", "routes": [{"dst": "10.7.0.0/16"}]},
}
THEIR_MAC = "02:00:00:00:00:99"


def found(config: dict[str, Any], result: Any, runtime: Runtime) -> str:
    error = the_error(drive.call("CHECK", with_result(config, result), runtime))
    assert error["code"] == 101, error
    return str(error["msg"])


def changed(result: Any, **values: Any) -> Any:
    """The result as a later plugin answers it, with these values of the container's interface."""
    later = deepcopy(result)
    next(one for one in later["interfaces"] if one.get("sandbox")).update(values)
    return later


@in_host
def test_a_later_plugin_of_somebody_elses_may_give_another_mac_and_mtu() -> None:
    runtime = container("c1")
    first = add(WEB, runtime)
    run("ip link set eth0 mtu 1400", netns="c1")
    run(f"ip link set eth0 address {THEIR_MAC}", netns="c1")
    final = changed(first, mac=THEIR_MAC.upper(), mtu=1400)
    succeed("CHECK", with_result(WEB, final), runtime)
    # As neither says it:
    run("ip link set eth0 mtu 1300", netns="c1")
    assert "MTU is 1300" in found(WEB, final, runtime)
    run("ip link set eth0 mtu 1400", netns="c1")
    run("ip link set eth0 address 02:00:00:00:00:77", netns="c1")
    assert "MAC is 02:00:00:00:00:77" in found(WEB, final, runtime)
    # Given back the MAC that ours made it with: the last word is theirs.
    mac = next(one["mac"] for one in first["interfaces"] if one.get("sandbox"))
    run(f"ip link set eth0 address {mac}", netns="c1")
    assert f"MAC is {mac}, should be {THEIR_MAC.upper()}" in found(WEB, final, runtime)


@in_host
def test_behind_a_tuning_of_ours_too() -> None:
    runtime = container("c1")
    tuning = {**drive.TUNING, "sysctl": {}}
    ours = add(with_result(tuning, add(WEB, runtime)), runtime)
    run(f"ip link set eth0 address {THEIR_MAC}", netns="c1")
    final = changed(ours, mac=THEIR_MAC)
    for config in (WEB, tuning):
        succeed("CHECK", with_result(config, final), runtime)
    # Without their word it is for the last of ours to say.
    succeed("CHECK", with_result(WEB, ours), runtime)
    assert f"should be {drive.TUNING['mac']}" in found(tuning, ours, runtime)


@in_host
def test_what_a_later_plugin_has_taken_away_is_not_missed() -> None:
    """Its result says so; what is gone though that says it is there is missed."""
    runtime = container("c1")
    first = add(WEB, runtime)
    run("ip route del 10.7.0.0/16", netns="c1")
    assert "10.7.0.0/16" in found(WEB, first, runtime)
    final = deepcopy(first)
    final["routes"] = [route for route in first["routes"] if route["dst"] != "10.7.0.0/16"]
    succeed("CHECK", with_result(WEB, final), runtime)
    run("ip addr del 10.1.0.2/24 dev eth0", netns="c1")
    run("ip addr add 10.1.0.99/24 dev eth0", netns="c1")
    run("ip route add default via 10.1.0.1", netns="c1")
    assert "10.1.0.2/24" in found(WEB, final, runtime)
    final["ips"][0]["address"] = "10.1.0.99/24"
    succeed("CHECK", with_result(WEB, final), runtime)
    run("ip route del default", netns="c1")
    assert "0.0.0.0/0" in found(WEB, final, runtime)


@pytest.mark.parametrize("more", [0, 40])
@in_host
def test_routes_in_a_table_that_the_container_s_addresses_are_led_to_are_there(more: int) -> None:
    """What the reference's `sbr` does behind a bridge: its result says nothing of it."""
    routes = [{"dst": f"10.{number}.0.0/16"} for number in range(100, 100 + more)]
    config = {**drive.BRIDGE, "ipam": {**drive.BRIDGE["ipam"], "routes": routes}}
    runtime = container("c1")
    final = add(config, runtime)
    for version, table, source in ((4, 100, "10.1.0.2"), (6, 101, "fd00:1::2")):
        ip = f"ip -{version}"
        run(f"{ip} rule add from {source} table {table}", netns="c1")
        listed = run(f"{ip} route show dev eth0 table main", netns="c1").splitlines()
        # A gateway is reached by the one that has none.
        for line in sorted(listed, key=lambda line: " via " in line):
            words = line.partition(" pref ")[0]
            run(f"{ip} route add {words} dev eth0 table {table}", netns="c1")
            run(f"{ip} route del {words} dev eth0 table main", netns="c1")
    assert run("ip route show table main", netns="c1") == ""
    succeed("CHECK", with_result(config, final), runtime)
    run("ip route del default table 100", netns="c1")
    lost = found(config, final, runtime)
    assert "route 0.0.0.0/0 via 10.1.0.1 dev eth0 is missing" in lost
    assert "10.1.0.0/24" not in lost and "fd00:1::" not in lost
    run("ip -6 rule del table 101", netns="c1")
    assert "route ::/0 via fd00:1::1 dev eth0 is missing" in found(config, final, runtime)


@pytest.mark.parametrize("state", [State.INTENT, State.PENDING, State.RELEASING])
@pytest.mark.parametrize("plugin", ["bridge", "portmap", "host-local"])
@in_host
def test_a_record_that_is_not_ready_is_a_drift(plugin: str, state: State) -> None:
    runtime = container("c1")
    config = drive.prepare(plugin, runtime)
    result = add(config, runtime)
    succeed("CHECK", with_result(config, result), runtime)
    with sqlite3.connect(STATE / "pynet.db") as store:
        store.execute("UPDATE record SET state = ? WHERE plugin = ?", (state, plugin))
    store.close()
    said = found(config, result, runtime)
    assert f"what {plugin} made for eth0: state is {state}, should be ready" in said
