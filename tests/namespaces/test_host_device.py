"""`host-device`: traffic, each way to name a device, what CHECK sees, and what is not lent."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import drive
import lan
import pytest
from cards import CARD, DUAL, NAMELESS, PLAIN, attached, inserted, shown
from drive import HOST_DEVICE, Runtime
from scenes import add, container, in_host, ip, reaches, refused, run, stderr_of, succeed


@in_host
def test_a_container_reaches_what_the_device_is_wired_to() -> None:
    before = inserted()
    runtime, result = attached(DUAL)
    (interface,) = result["interfaces"]
    (link,) = ip("link show eth0", "c1")
    assert interface == {
        "name": "eth0",
        "mac": "02:00:00:00:70:00",
        "mtu": 1380,
        "sandbox": "/run/netns/c1",
    }
    assert (link["address"], link["mtu"], "UP" in link["flags"]) == (before["address"], 1380, True)
    assert [each["address"] for each in result["ips"]] == ["10.7.0.2/24", "fd00:7::2/64"]
    assert [each["interface"] for each in result["ips"]] == [0, 0]
    for address in ("10.7.0.1", "fd00:7::1"):
        assert reaches("c1", address)
        assert f"via {address} dev eth0" in run(
            f"ip -n c1 route get {'8.8.8.8' if '.' in address else '2600::1'}"
        )
    given = {**DUAL, "prevResult": result}
    succeed("CHECK", given, runtime)
    succeed("DEL", given, runtime)
    assert shown(CARD) == before
    assert [each["ifname"] for each in ip("link", "c1")] == ["lo"]


@pytest.mark.parametrize(
    "naming", [{"device": CARD}, {"hwaddr": "02-00-00-00-70-00"}, {"HWaddr": "0200.0000.7000"}]
)
@in_host
def test_each_way_to_name_it(naming: dict[str, Any]) -> None:
    before = inserted()
    runtime, result = attached({**NAMELESS, **naming})
    assert result["interfaces"][0]["mac"] == before["address"]
    assert reaches("c1", "10.7.0.1")
    succeed("DEL", {**NAMELESS, **naming}, runtime)
    assert shown(CARD) == before


@in_host
def test_without_ipam_it_is_set_up_and_has_no_address() -> None:
    before = inserted()
    runtime, result = attached({**PLAIN, "cniVersion": "0.3.1"})
    assert result.get("ips", []) == []
    assert shown("eth0", "c1")["flags"] == ["UP"]
    assert shown("eth0", "c1")["addresses"] == []
    succeed("DEL", PLAIN, runtime)
    assert shown(CARD) == before


@in_host
def test_it_keeps_its_mac_and_says_so() -> None:
    inserted()
    config = {**PLAIN, "runtimeConfig": {"mac": "02:00:00:00:66:01"}}
    runtime = container("c1")
    said = stderr_of(lambda: add(config, runtime))
    assert f"mac 02:00:00:00:66:01 has no effect: {CARD} has its own" in said
    assert shown("eth0", "c1")["address"] == "02:00:00:00:70:00"


@in_host
def test_tuning_after_it_changes_what_is_given_back_all_the_same() -> None:
    before = inserted()
    runtime, result = attached(DUAL)
    tuned = {**drive.TUNING, "name": "cards", "prevResult": result}
    after = add(tuned, runtime)
    assert shown("eth0", "c1")["address"] == drive.TUNING["mac"]
    succeed("CHECK", {**DUAL, "prevResult": after}, runtime)
    # The runtime loses the list: the owner of the interface takes all of it back.
    succeed("DEL", {**DUAL, "prevResult": after}, runtime)
    assert shown(CARD) == before


# --- what CHECK sees --------------------------------------------------------------------------


def goes_down() -> None:
    run("ip -n c1 link set eth0 down")


def takes_less() -> None:
    run("ip -n c1 link set eth0 mtu 1300")


def has_another_mac() -> None:
    run("ip -n c1 link set eth0 address 02:00:00:00:66:02")


def is_renamed() -> None:
    run("ip -n c1 link set eth0 down")
    run("ip -n c1 link set eth0 name wan7")


def is_gone() -> None:
    run("ip -n c1 link del eth0")


def is_another() -> None:
    is_renamed()
    run("ip -n c1 link add eth0 address 02:00:00:00:70:00 type veth peer name eth9")
    run("ip -n c1 link set eth0 mtu 1380 up")


def has_lost_its_address() -> None:
    run("ip -n c1 addr flush dev eth0")


@pytest.mark.parametrize(
    ("happens", "words"),
    [
        (goes_down, "eth0: state is down, should be up"),
        (takes_less, "eth0: MTU is 1300, should be 1380"),
        (has_another_mac, "eth0: MAC is 02:00:00:00:66:02, should be 02:00:00:00:70:00"),
        (is_renamed, "eth0 is missing"),
        (is_gone, "eth0 is missing"),
        (is_another, f"eth0: alias is none, should be {CARD}"),
        (has_lost_its_address, "10.7.0.2/24"),
    ],
)
@in_host
def test_check_sees_what_becomes_of_it(happens: Callable[[], None], words: str) -> None:
    before = inserted()
    runtime, result = attached(HOST_DEVICE)
    given = {**HOST_DEVICE, "prevResult": result}
    succeed("CHECK", given, runtime)
    happens()
    refused(101, words, "CHECK", given, runtime)
    succeed("DEL", given, runtime)
    if happens is not is_gone:
        assert shown(CARD) == before


def _taken_back_by_hand() -> None:
    run("ip -n c1 link set eth0 down")
    run(f"nsenter --net=/run/netns/c1 ip link set eth0 netns {os.getpid()} name {CARD}")


def _unmarked() -> None:
    run("ip -n c1 link set eth0 alias -")


@pytest.mark.parametrize(
    "happens", [goes_down, takes_less, has_another_mac, _unmarked, _taken_back_by_hand]
)
@in_host
def test_reload_makes_it_what_it_was(happens: Callable[[], None]) -> None:
    before = inserted()
    runtime, result = attached(HOST_DEVICE)
    given = {**HOST_DEVICE, "prevResult": result}
    happens()
    assert drive.call("CHECK", given, runtime).code == 101
    run(f"{sys.executable} -I -m pynet.cli reload")
    succeed("CHECK", given, runtime)
    assert reaches("c1", "10.7.0.1")
    succeed("DEL", given, runtime)
    assert shown(CARD) == before


# --- what can't be lent -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({}, "one of device, hwaddr, kernelpath and pciBusID has to be given"),
        ({"device": "nowhere"}, "device: there is no interface nowhere on the host"),
        ({"device": "a/b"}, 'device: "a/b" holds'),
        ({"device": "lo"}, "device: lo belongs to the host"),
        ({"device": CARD, "pciBusID": "0000:03:00.0"}, "device and pciBusID each name a device"),
        ({"hwaddr": "02:00:00:00:70:00", "device": CARD}, "device and hwaddr each name a device"),
        ({"hwaddr": "02:00:00:00:ff:ff"}, "hwaddr: there is no device 02:00:00:00:ff:ff"),
        ({"hwaddr": "02:00"}, 'hwaddr: "02:00" is not a hardware address'),
        ({"pciBusID": "ffff:ff:1f.7"}, "pciBusID: there is no device ffff:ff:1f.7"),
        ({"pciBusID": "../x"}, 'pciBusID: "../x" is not a PCI address'),
        ({"kernelpath": "/sys/devices/nowhere"}, "there is no device /sys/devices/nowhere"),
        ({"kernelpath": "/sys/devices/../x"}, "is not the path of a device below /sys/devices/"),
        ({"kernelpath": "/proc/1"}, "is not the path of a device below /sys/devices/"),
        ({"kernelpath": "/sys/devices/virtual"}, "(driver: none) has no interface on the host"),
        ({"runtimeConfig": {"deviceID": "0000:ff:1f.7"}}, "there is no device 0000:ff:1f.7"),
        ({"runtimeConfig": {"deviceID": "../pci"}}, "'../pci' is not the name of a device"),
        ({"device": CARD, "runtimeConfig": {"deviceID": 7}}, "7 is not the name of a device"),
        ({"device": CARD, "runtimeConfig": {"mac": "x"}}, "is not a unicast MAC address"),
    ],
)
@in_host
def test_what_can_not_be_lent_is_refused_by_its_key(config: dict[str, Any], words: str) -> None:
    inserted()
    refused(7, words, "ADD", {**NAMELESS, **config}, container("c1"))
    assert ip("link show", "c1")[0]["ifname"] == "lo"


@pytest.mark.parametrize("family", ["-4", "-6"])
@in_host
def test_the_way_out_of_the_host_is_not_lent(family: str) -> None:
    inserted()
    run(f"ip {family} route add default dev {CARD}")
    refused(7, f"a default route of the host leads by {CARD}", "ADD", HOST_DEVICE, container("c1"))
    refused(50, f"a default route of the host leads by {CARD}", "STATUS", HOST_DEVICE)
    run(f"ip {family} route del default dev {CARD}")
    add(HOST_DEVICE, Runtime())


@in_host
def test_one_in_another_namespace_is_not_found() -> None:
    inserted()
    run("ip netns add other")
    run(f"ip link set {CARD} netns other")
    refused(7, f"device: there is no interface {CARD} on the host", "ADD", HOST_DEVICE,
            container("c1"))  # fmt: skip


@in_host
def test_one_that_is_lent_is_told_with_who_has_it() -> None:
    before = inserted()
    runtime, _ = attached(HOST_DEVICE)
    succeed("STATUS", HOST_DEVICE)
    refused(50, "there is no interface nowhere", "STATUS", {**HOST_DEVICE, "device": "nowhere"})
    second = container("c2")
    refused(104, "container c1|pynet detach c1 cards", "ADD", HOST_DEVICE, second)
    refused(100, "c1", "ADD", HOST_DEVICE, runtime)
    succeed("DEL", HOST_DEVICE, second)
    succeed("DEL", HOST_DEVICE, runtime)
    assert shown(CARD) == before
    add(HOST_DEVICE, second)


@in_host
def test_what_the_kernel_moves_nowhere_stays() -> None:
    run("ip link add br0 type bridge")
    run("ip link set br0 up")
    before = shown("br0")
    refused(102, "br0", "ADD", {**PLAIN, "device": "br0"}, container("c1"))
    assert shown("br0") == before


@in_host
def test_an_interface_of_that_name_stands_in_the_way() -> None:
    before = inserted()
    runtime = container("c1")
    run("ip -n c1 link add eth0 type veth peer name eth9")
    refused(100, "eth0 already exists", "ADD", HOST_DEVICE, runtime)
    assert shown(CARD) == before


# --- devices on a bus -------------------------------------------------------------------------


def _driven_by(driver: str) -> None:
    """A PCI device 0000:05:00.0 that is bound to `driver`, in a tree that looks like sysfs."""
    folder = Path("/sys/bus/pci/devices")
    run(f"mount -t tmpfs tmpfs {folder}")
    (folder / driver).mkdir()
    (folder / "0000:05:00.0").mkdir()
    (folder / "0000:05:00.0/driver").symlink_to(folder / driver)


@pytest.mark.parametrize(
    "naming",
    [
        {"pciBusID": "0000:05:00.0"},
        {"runtimeConfig": {"deviceID": "0000:05:00.0"}},
        {"device": "card9", "runtimeConfig": {"deviceID": "0000:05:00.0"}},
    ],
)
@in_host
def test_a_device_that_a_program_drives_only_has_addresses(naming: dict[str, Any]) -> None:
    lan.insert_cards()
    _driven_by("vfio-pci")
    config = {**DUAL, **naming}
    if "device" not in naming:
        del config["device"]
    runtime, result = attached(config)
    assert result.get("interfaces", []) == []
    assert [each["address"] for each in result["ips"]] == ["10.7.0.2/24", "fd00:7::2/64"]
    assert all("interface" not in each for each in result["ips"])
    assert [each["ifname"] for each in ip("link", "c1")] == ["lo"]
    given = {**config, "prevResult": result}
    succeed("CHECK", given, runtime)
    succeed("DEL", given, runtime)
    assert add(config, runtime)["ips"][0]["address"] == "10.7.0.3/24"


@in_host
def test_a_device_that_has_no_interface_here_is_told_with_its_driver() -> None:
    _driven_by("ixgbevf")
    config = {**NAMELESS, "pciBusID": "0000:05:00.0"}
    refused(7, "0000:05:00.0 (driver: ixgbevf) has no interface on the host", "ADD", config,
            container("c1"))  # fmt: skip
