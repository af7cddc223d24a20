"""Two networks that were asked for the same MAC: the DEL of one leaves the other's interface."""

from __future__ import annotations

from typing import Any

import drive
import pytest
from drive import MACVLAN, PLAIN_BRIDGE, PTP, Runtime
from scenes import add, container, in_host, ip, run, succeed
from test_findings import pynet

MAC = "02:00:00:00:66:01"
ON = {"bridge": PLAIN_BRIDGE, "macvlan": MACVLAN, "ptp": PTP}


class Twice:
    """One container, attached twice by PLUGIN with one MAC: eth0, and eth1 on another network."""

    def __init__(self, plugin: str) -> None:
        drive.ready(plugin)
        run("ip link add nic1 type veth peer name wire1")
        run("ip link set nic1 up")
        self.config = {**ON[plugin], "runtimeConfig": {"mac": MAC}}
        self.other = {
            **self.config,
            "name": "other",
            "bridge": "cni1",
            "master": "nic1",
            "ipam": {"type": "host-local", "subnet": "10.20.0.0/24"},
        }
        self.runtime = container("c1")
        self.elsewhere = Runtime("c1", self.runtime.netns, interface="eth1")
        self.result = add(self.config, self.runtime)
        self.others = add(self.other, self.elsewhere)

    def goes(self) -> None:
        succeed("DEL", {**self.config, "prevResult": self.result}, self.runtime)

    def only_the_other_is_there(self) -> None:
        assert "eth0" not in interfaces()
        succeed("CHECK", {**self.other, "prevResult": self.others}, self.elsewhere)


def interfaces(netns: str = "c1") -> list[str]:
    return [str(link["ifname"]) for link in ip("link", netns)]


@pytest.mark.parametrize("plugin", ON)
@in_host
def test_a_del_and_one_more_of_it(plugin: str) -> None:
    """The second has no record to go by."""
    place = Twice(plugin)
    for _ in range(2):
        place.goes()
        place.only_the_other_is_there()


@pytest.mark.parametrize("plugin", ON)
@in_host
def test_a_del_of_one_whose_interface_is_gone(plugin: str) -> None:
    place = Twice(plugin)
    run("ip -n c1 link del eth0")
    place.goes()
    place.only_the_other_is_there()


@in_host
def test_a_macvlan_interface_that_is_nobodys_of_ours() -> None:
    drive.ready("macvlan")
    runtime = container("c1")
    result = add(MACVLAN, runtime)
    run("ip link add nic1 type veth peer name wire1")
    mac = result["interfaces"][0]["mac"]
    run(f"ip link add link nic1 name own0 netns c1 address {mac} type macvlan mode bridge")
    succeed("DEL", MACVLAN, runtime)
    assert interfaces() == ["lo", "own0"]


def renamed() -> None:
    run("ip -n c1 link set eth0 down")
    run("ip -n c1 link set eth0 name uplink7")


def given_another_mac() -> None:
    run("ip -n c1 link set eth0 address 02:11:22:33:44:55")


def renamed_and_given_another_mac() -> None:
    given_another_mac()
    renamed()


DISGUISES = [renamed, given_another_mac, renamed_and_given_another_mac]


@pytest.mark.parametrize("recorded", [True, False], ids=["recorded", "store lost"])
@pytest.mark.parametrize("disguise", DISGUISES, ids=lambda each: each.__name__)
@in_host
def test_a_macvlan_interface_is_found_in_disguise(disguise: Any, recorded: bool) -> None:
    drive.ready("macvlan")
    runtime = container("c1")
    result = add(MACVLAN, runtime)
    disguise()
    if not recorded:
        for path in drive.STATE.glob("pynet.db*"):
            path.unlink()
    succeed("DEL", {**MACVLAN, "prevResult": result}, runtime)
    assert interfaces() == ["lo"]


@in_host
def test_a_macvlan_interface_of_who_has_the_namespace_now() -> None:
    """A path is used again: the DEL of who had it, of whom nothing is known, comes late."""
    drive.ready("macvlan")
    runtime = container("c1")
    given = {**MACVLAN, "prevResult": add(MACVLAN, runtime)}
    succeed("DEL", given, Runtime("c0", runtime.netns))
    succeed("DEL", MACVLAN, Runtime("c0", runtime.netns))
    succeed("CHECK", given, runtime)


@pytest.mark.parametrize("disguise", DISGUISES, ids=lambda each: each.__name__)
@in_host
def test_a_macvlan_interface_has_its_name_and_mac_back_by_a_reload(disguise: Any) -> None:
    drive.ready("macvlan")
    runtime = container("c1")
    given = {**MACVLAN, "prevResult": add(MACVLAN, runtime)}
    disguise()
    pynet("reload")
    assert interfaces() == ["lo", "eth0"]
    succeed("CHECK", given, runtime)


@in_host
def test_somebodys_interface_in_its_place_keeps_its_mac() -> None:
    drive.ready("macvlan")
    runtime = container("c1")
    add(MACVLAN, runtime)
    run("ip -n c1 link del eth0")
    run(f"ip -n c1 link add eth0 address {MAC} type veth peer name own0")
    assert "kind is veth, should be macvlan" in pynet("reload", status=1)
    assert ip("link show eth0", "c1")[0]["address"] == MAC
