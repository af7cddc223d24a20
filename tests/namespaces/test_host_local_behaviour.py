"""Every key and input of `host-local`."""

from __future__ import annotations

import os
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import drive
import evidence
import pytest
from drive import Runtime
from pools import DUAL, SMALL, Config, config, given, ranges, runtime
from pools import any_namespace as any_namespace
from scenes import (
    add,
    container,
    in_host,
    lines,
    refused,
    run,
    stderr_of,
    succeed,
    the_error,
    wait_for,
)

# --- ranges ---------------------------------------------------------------------


@in_host
def test_one_subnet() -> None:
    result = add(config(subnet="10.1.0.0/24"), runtime())
    assert result == {
        "cniVersion": "1.1.0",
        "ips": [{"address": "10.1.0.2/24", "gateway": "10.1.0.1"}],
    }


@in_host
def test_bounds_and_gateway() -> None:
    wanted = config(
        subnet="10.1.0.0/24", rangeStart="10.1.0.10", rangeEnd="10.1.0.12", gateway="10.1.0.11"
    )
    assert given(add(wanted, runtime(1))) == ["10.1.0.10/24"]
    result = add(wanted, runtime(2))
    assert result["ips"] == [{"address": "10.1.0.12/24", "gateway": "10.1.0.11"}]
    remedies = "pynet inspect web|pynet detach CONTAINER web|pynet cni gc web --yes"
    said = f"no IP addresses available|10.1.0.10-10.1.0.12|{remedies}"
    refused(50, said, "ADD", wanted, runtime(3))


@in_host
def test_all_of_a_subnet_but_network_gateway_and_broadcast() -> None:
    found = [given(add(SMALL, runtime(number)))[0] for number in range(5)]
    assert found == [f"10.1.0.{number}/29" for number in range(2, 7)]
    refused(50, "5 of 5 held", "ADD", SMALL, runtime(6))


@in_host
def test_ipv6_has_no_broadcast() -> None:
    wanted = config(subnet="fd00:1::/126")
    assert [given(add(wanted, runtime(number)))[0] for number in range(2)] == [
        "fd00:1::2/126",
        "fd00:1::3/126",
    ]


@in_host
def test_a_set_of_ranges_is_used_up_one_by_one() -> None:
    wanted = config(ranges=ranges(["10.1.0.0/30", "10.2.0.0/30"]))
    assert given(add(wanted, runtime(1))) == ["10.1.0.2/30"]
    result = add(wanted, runtime(2))
    assert result["ips"] == [{"address": "10.2.0.2/30", "gateway": "10.2.0.1"}]
    refused(50, "10.1.0|10.2.0", "ADD", wanted, runtime(3))


@in_host
def test_an_address_of_each_set() -> None:
    wanted = config(ranges=ranges(["10.1.0.0/24"], ["10.2.0.0/24"], ["fd00:1::/64"]))
    expected = ["10.1.0.2/24", "10.2.0.2/24", "fd00:1::2/64"]
    assert given(add(wanted, runtime())) == expected
    succeed("DEL", wanted, runtime())
    assert evidence.rows() == set()


@in_host
def test_the_older_form_comes_before_ranges() -> None:
    wanted = config(subnet="10.9.0.0/24", ranges=ranges(["10.1.0.0/24"]))
    assert given(add(wanted, runtime())) == ["10.9.0.2/24", "10.1.0.2/24"]


@in_host
def test_where_one_set_is_full_nothing_of_the_other_is_taken() -> None:
    wanted = config(ranges=ranges(["10.1.0.0/24"], ["fd00:1::/126"]))
    for number in range(2):
        add(wanted, runtime(number))
    refused(50, "fd00:1::", "ADD", wanted, runtime(3))


@pytest.mark.parametrize("version", ["0.1.0", "0.2.0"])
@in_host
def test_old_versions_have_one_address_a_family(version: str) -> None:
    both = {**DUAL, "cniVersion": version}
    result = add(both, runtime())
    assert (result["ip4"]["ip"], result["ip6"]["ip"]) == ("10.1.0.2/24", "fd00:1::2/64")
    two = {**config(ranges=ranges(["10.3.0.0/24"], ["10.4.0.0/24"])), "cniVersion": version}
    refused(7, f"ipam.ranges|{version}|more than one IPv4", "ADD", two, runtime(2))


@in_host
def test_never_used_first_then_what_was_released_first() -> None:
    for number in range(4):
        add(SMALL, runtime(number))  # .2 to .5
    succeed("DEL", SMALL, runtime(2))  # .4
    succeed("DEL", SMALL, runtime(0))  # .2
    order = [given(add(SMALL, runtime(number)))[0] for number in range(10, 13)]
    assert order == ["10.1.0.6/29", "10.1.0.4/29", "10.1.0.2/29"]


@in_host
def test_networks_do_not_share_their_addresses() -> None:
    other = {**SMALL, "name": "db"}
    assert given(add(SMALL, runtime())) == given(add(other, runtime())) == ["10.1.0.2/29"]


@in_host
def test_a_container_with_two_interfaces_has_two_addresses() -> None:
    second = replace(runtime(), interface="eth1")
    assert given(add(SMALL, runtime())) != given(add(SMALL, second))
    succeed("DEL", SMALL, runtime())
    assert given(add(SMALL, runtime(2))) == ["10.1.0.4/29"]
    refused(100, "c1|eth1", "ADD", SMALL, second)


# --- requests -------------------------------------------------------------------

WAYS: dict[str, tuple[Config, dict[str, str]]] = {
    "runtimeConfig": ({"runtimeConfig": {"ips": ["10.1.0.77"]}}, {}),
    "runtimeConfig with prefix": ({"runtimeConfig": {"ips": ["10.1.0.77/24"]}}, {}),
    "args": ({"args": {"cni": {"ips": ["10.1.0.77"]}}}, {}),
    "CNI_ARGS": ({}, {"CNI_ARGS": "IgnoreUnknown=1;IP=10.1.0.77"}),
}


@pytest.mark.parametrize("way", WAYS)
@in_host
def test_an_address_asked_for(way: str) -> None:
    keys, environ = WAYS[way]
    wanted = {**DUAL, **keys}
    assert given(add(wanted, runtime(1, **environ))) == ["10.1.0.77/24", "fd00:1::2/64"]
    refused(104, "10.1.0.77|c1|eth0", "ADD", wanted, runtime(2, **environ))
    succeed("DEL", wanted, runtime(1, **environ))
    assert given(add(wanted, runtime(2, **environ)))[0] == "10.1.0.77/24"


@in_host
def test_addresses_of_both_families_asked_for() -> None:
    wanted = {**DUAL, "runtimeConfig": {"ips": ["fd00:1::77", "10.1.0.77"]}}
    assert given(add(wanted, runtime())) == ["10.1.0.77/24", "fd00:1::77/64"]


@pytest.mark.parametrize(
    "asked, words",
    [
        (["10.9.0.5"], "failed to allocate all requested IPs|10.9.0.5"),
        (["10.1.0.5", "10.1.0.6"], "failed to allocate all requested IPs|10.1.0.6"),
        (["10.1.0.1"], "10.1.0.1|gateway"),
        (["10.1.0.0"], "10.1.0.0"),
        (["10.1.0.255"], "10.1.0.255"),
        (["house"], "house|not an IP address"),
        ([5], "ips|list of addresses"),
    ],
)
@in_host
def test_what_can_not_be_asked_for(asked: list[Any], words: str) -> None:
    refused(7, words, "ADD", {**DUAL, "runtimeConfig": {"ips": asked}}, runtime())


@in_host
def test_cni_args_count_only_where_nothing_else_asks() -> None:
    """CNI conventions, "args": "the runtime should ignore CNI_ARGS" where both are given."""
    wanted = {**DUAL, "args": {"cni": {"ips": ["10.1.0.77"]}}}
    asking = runtime(1, CNI_ARGS="IP=10.1.0.88")
    assert given(add(wanted, asking))[0] == "10.1.0.77/24"


@in_host
def test_ranges_of_the_runtime_come_first() -> None:
    own = [[{"subnet": "10.7.0.0/24", "rangeStart": "10.7.0.9"}]]
    wanted = {**config(subnet="10.1.0.0/24"), "runtimeConfig": {"ipRanges": own}}
    assert given(add(wanted, runtime(1))) == ["10.7.0.9/24", "10.1.0.2/24"]
    only = {**config(), "runtimeConfig": {"ipRanges": own}}
    assert given(add(only, runtime(2))) == ["10.7.0.10/24"]


# --- leases that the reference kept ---------------------------------------------


def reference_lease(directory: Path, address: str, owner: str) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "lock").touch()
    file = directory / address
    file.write_text(owner)
    return file


@pytest.mark.parametrize("data_dir", ["", "/run/leases"])
@in_host
def test_leases_of_the_reference_are_taken_over(data_dir: str) -> None:
    run("mount -t tmpfs none /var/lib")
    directory = Path(data_dir or "/var/lib/cni/networks", "web")
    mine = reference_lease(directory, "10.1.0.2", "old\r\neth0")
    older = reference_lease(directory, "10.1.0.3", "ancient")  # before interfaces were noted
    empty = reference_lease(directory, "10.1.0.4", "")
    (directory / "last_reserved_ip.0").write_text("10.1.0.4")
    wanted = {**SMALL, "ipam": {**SMALL["ipam"], **({"dataDir": data_dir} if data_dir else {})}}
    assert given(add(wanted, runtime(1))) == ["10.1.0.5/29"]
    assert given(add(wanted, runtime(2))) == ["10.1.0.6/29"]
    succeed("DEL", wanted, Runtime("old"))
    assert not mine.exists() and older.exists()
    succeed("DEL", wanted, Runtime("ancient"))
    assert not older.exists() and empty.exists()
    found = {given(add(wanted, runtime(number)))[0] for number in (3, 4, 5)}
    assert found == {"10.1.0.2/29", "10.1.0.3/29", "10.1.0.4/29"}


@in_host
def test_the_container_of_a_lease_taken_over_keeps_its_address() -> None:
    file = reference_lease(Path("/run/leases/web"), "10.1.0.5", "c1\r\neth0")
    wanted = config(subnet="10.1.0.0/29", dataDir="/run/leases")
    assert given(add(wanted, runtime(1))) == ["10.1.0.5/29"]
    succeed("DEL", wanted, runtime(1))
    assert not file.exists()


@pytest.mark.parametrize("command", ["ADD", "DEL"])
@in_host
def test_leases_that_can_not_be_read_hold_no_container(command: str) -> None:
    """Not after an ADD that failed for it, nor where there was none."""
    directory = Path("/run/leases/web")
    directory.mkdir(parents=True)
    os.mkfifo(directory / "lock")
    wanted = config(subnet="10.1.0.0/29", dataDir="/run/leases")
    if command == "ADD":
        refused(5, f"{directory}/lock", "ADD", wanted, runtime(1))
    said = stderr_of(lambda: succeed("DEL", wanted, runtime(1)))
    assert f"it stays: leases in {directory}/lock can't be read" in said


@in_host
def test_a_data_dir_is_a_pool_of_its_own() -> None:
    one, two = (config(subnet="10.1.0.0/29", dataDir=f"/run/{name}") for name in ("a", "b"))
    assert given(add(one, runtime(1))) == given(add(two, runtime(2))) == ["10.1.0.2/29"]


# --- CHECK and STATUS -----------------------------------------------------------


@in_host
def test_check() -> None:
    add(DUAL, runtime())
    succeed("CHECK", DUAL, runtime())
    drop_leases()
    error = the_error(drive.call("CHECK", DUAL, runtime()))
    assert error["code"] == 101 and "10.1.0.2" in error["msg"] and "fd00:1::2" in error["msg"]


@in_host
def test_check_of_who_has_no_address() -> None:
    add(DUAL, runtime(2))
    error = the_error(drive.call("CHECK", DUAL, runtime()))
    assert error["code"] == 101 and "an address of pool" in error["msg"]
    add(DUAL, runtime())
    succeed("CHECK", DUAL, runtime())
    succeed("DEL", DUAL, runtime())
    assert the_error(drive.call("CHECK", DUAL, runtime()))["code"] == 101


def drop_leases() -> None:
    with sqlite3.connect("/run/pynet/pynet.db") as store:
        store.execute("DELETE FROM lease")


@pytest.mark.parametrize("plugin", ["host-local", "bridge"])
@in_host
def test_status_of_a_full_range(plugin: str) -> None:
    wanted = config(plugin, subnet="10.1.0.0/30")
    succeed("STATUS", wanted)
    add(wanted, container("c1"))
    refused(50, "no IP addresses available|10.1.0.1-10.1.0.2", "STATUS", wanted)
    quiet = config(plugin, subnet="10.1.0.0/30", statusOnExhaustion="ok")
    succeed("STATUS", quiet)
    unclear = config(plugin, subnet="10.1.0.0/30", statusOnExhaustion="perhaps")
    refused(7, "ipam.statusOnExhaustion|perhaps", "STATUS", unclear)
    succeed("DEL", wanted, Runtime("c1", "/run/netns/c1"))
    succeed("STATUS", wanted)


@pytest.mark.parametrize("command", ["STATUS", "ADD"])
@in_host
def test_a_full_range_is_first_cleared_of_the_dead(command: str) -> None:
    wanted = config("bridge", subnet="10.1.0.0/30")
    dead = container("c1")
    add(wanted, dead)
    living = container("c2")
    refused(50, "no IP addresses available", command, wanted, living)
    run("ip netns del c1")
    wait_for(lambda: not any(" veth" in line for line in lines()))
    succeed(command, wanted, living)
    if command == "ADD":
        assert given(add({**wanted, "name": "db", "bridge": "cni1"}, container("c3")))
        refused(50, "no IP addresses available", "STATUS", wanted)
