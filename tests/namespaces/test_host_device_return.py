"""`host-device`: how what was lent comes back, whoever lent it, and whatever became of it."""

from __future__ import annotations

import os
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import drive
import lan
import pytest
from cards import CARD, DUAL, NAMELESS, OTHER, attached, inserted, shown
from drive import HOST_DEVICE, Runtime
from executables import Executables, daemon
from references import REFERENCE, by_reference, needs_reference
from scenes import add, container, in_host, ip, reaches, refused, run, succeed, wait_for

from pynet.model.query import REPLACED
from pynet.testnets.lab.lab import Host


@in_host
def test_who_died_with_it_gives_the_address_back() -> None:
    """One that is virtual dies with the namespace; another is inserted, and is lent."""
    lan.insert_cards()
    config = {**HOST_DEVICE, "ipam": {**HOST_DEVICE["ipam"], "rangeEnd": "10.7.0.2"}}
    runtime, _ = attached(config)
    run("ip netns del c1")
    succeed("DEL", config, runtime)
    wait_for(lambda: not ip("link show type veth", lan.RACKS[CARD]))
    lan.insert_cards()
    _, result = attached(config, "c2")
    assert result["ips"][0]["address"] == "10.7.0.2/24"
    assert reaches("c2", "10.7.0.1")


@pytest.mark.parametrize("kind", ["daemon", "one-shot"])
@pytest.mark.parametrize("command", ["DEL", "GC"])
def test_by_the_executables(host: Host, plugins: Executables, kind: str, command: str) -> None:
    """The daemon keeps neither the container's namespace nor the card."""
    before = host.call(inserted)
    with daemon(host) if kind == "daemon" else nullcontext():
        mode = "require" if kind == "daemon" else "never"
        for path_is_there in (True, False):
            host.container("c1")
            runtime = Runtime(environ={"PYNET_DAEMON": mode})
            config: dict[str, Any] = {**DUAL, "cni.dev/valid-attachments": []}
            added = plugins.call(host, "ADD", config, runtime)
            assert added.status == 0, added.stdout
            config["prevResult"] = added.document
            assert plugins.call(host, "CHECK", config, runtime).status == 0
            kept = host.popen(["sleep", "60"], netns="c1")
            if not path_is_there:
                host.run(["ip", "netns", "del", "c1"])
            done = plugins.call(host, command, config, runtime)
            assert (done.status, done.stdout) == (0, b"")
            assert host.call(shown, CARD) == before
            kept.kill()
            kept.wait()
            if path_is_there:
                host.delete_container("c1")


def _on_the_host(name: str) -> None:
    """What the kernel does with a card whose namespace ends, to one that it would destroy."""
    run("ip -n c1 link set eth0 down")
    run(f"ip -n c1 link set eth0 name {name}")
    run(f"nsenter --net=/run/netns/c1 ip link set {name} netns {os.getpid()}")
    known = len(run("ip netns list-id").splitlines())
    run("ip netns del c1")
    wait_for(lambda: len(run("ip netns list-id").splitlines()) < known)


@pytest.mark.parametrize("command", ["DEL", "GC"])
@in_host
def test_a_card_that_the_kernel_has_put_on_the_host(command: str) -> None:
    before = inserted()
    runtime, result = attached(HOST_DEVICE)
    _on_the_host("dev5")
    succeed(command, {**HOST_DEVICE, "prevResult": result}, runtime)
    assert shown(CARD) == before


@in_host
def test_what_the_dead_have_is_lent_to_the_next() -> None:
    """Whom nobody has told of that: the card is on the host by the name it had inside."""
    before = inserted()
    attached(HOST_DEVICE)
    _on_the_host("eth0")
    runtime, _ = attached(HOST_DEVICE, "c2")
    assert reaches("c2", "10.7.0.1")
    succeed("DEL", HOST_DEVICE, runtime)
    assert shown(CARD) == before


@in_host
def test_of_a_lost_store_its_name_is_known() -> None:
    lan.insert_cards()
    before = shown(CARD)
    for config in (HOST_DEVICE, {**NAMELESS, "hwaddr": before["address"]}):
        runtime, result = attached(config)
        for path in drive.STATE.glob("pynet.db*"):
            path.unlink()
        succeed("DEL", {**config, "prevResult": result}, runtime)
        assert shown(CARD) == before
        run("ip netns del c1")


@in_host
def test_a_del_of_nothing_takes_it_from_nobody() -> None:
    """Another network's, of the same container and interface: its ADD was refused."""
    inserted()
    runtime, result = attached(HOST_DEVICE)
    others = {**HOST_DEVICE, "name": "others"}
    refused(104, f"link {CARD} of the host|container c1", "ADD", others, runtime)
    for config in (others, {**others, "device": OTHER}, {**others, "prevResult": result}):
        succeed("DEL", config, runtime)
        assert reaches("c1", "10.7.0.1")
    succeed("CHECK", {**HOST_DEVICE, "prevResult": result}, runtime)


# --- taken over from the reference ------------------------------------------------------------


def _kept_by_an_installation(runtime: Runtime) -> None:
    """As `pynet install --replace` leaves it: a DEL without a record runs it, too."""
    folder = Path("/opt/cni/bin")
    (folder / REPLACED).mkdir(parents=True)
    (folder / "pynet-launcher").write_text("")
    (folder / "host-device").symlink_to("pynet-launcher")
    for name in ("host-device", "host-local"):
        run(f"cp {REFERENCE / name} {folder / REPLACED}")


@needs_reference("host-device")
@pytest.mark.parametrize("kept", [False, True], ids=["alone", "kept"])
@pytest.mark.parametrize("naming", [{"device": CARD}, {"hwaddr": "02:00:00:00:70:00"}])
@in_host
def test_what_the_reference_has_lent_comes_back(naming: dict[str, Any], kept: bool) -> None:
    lan.insert_cards()
    before = shown(CARD)
    config = {**NAMELESS, **naming, "cniVersion": "1.0.0"}
    runtime = container("c1")
    result = by_reference("ADD", config, runtime)
    files = Path("/var/lib/cni/networks/cards")
    assert (files / "10.7.0.2").exists()
    if kept:
        _kept_by_an_installation(runtime)
    given = {**config, "prevResult": result}
    succeed("CHECK", given, runtime)
    for _ in ("once", "and again"):
        succeed("DEL", given, runtime)
        assert shown(CARD) == before
        assert [each["ifname"] for each in ip("link", "c1")] == ["lo"]
        assert not (files / "10.7.0.2").exists()
    add(config, runtime)
    assert reaches("c1", "10.7.0.1")


@needs_reference("host-device")
@pytest.mark.parametrize("netns", ["/run/netns/c1", ""])
@in_host
def test_what_the_reference_has_lent_to_the_dead(netns: str) -> None:
    """Its own DEL fails there, or keeps the address for ever."""
    lan.insert_cards()
    before = shown(CARD)
    config = {**HOST_DEVICE, "cniVersion": "1.0.0"}
    runtime = container("c1")
    result = by_reference("ADD", config, runtime)
    _kept_by_an_installation(runtime)
    _on_the_host("dev5")
    succeed("DEL", {**config, "prevResult": result}, Runtime("c1", netns))
    assert shown(CARD) == before
    assert not Path("/var/lib/cni/networks/cards/10.7.0.2").exists()
