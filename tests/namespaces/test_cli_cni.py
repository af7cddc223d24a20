"""`pynet cni`, `attach` and `detach` on a fake host: what they print, and what the kernel has."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from machine import NETWORKS, PLUGINS, THEIRS, Machine, bridge, write

from pynet.testnets.lab.lab import Container, Host


@pytest.fixture
def c1(host: Host) -> Container:
    return host.container("c1")


# --- cnitool's verbs -------------------------------------------------------------------


def test_add_check_del(machine: Machine, c1: Container) -> None:
    result = json.loads(machine.pynet("cni", "add", "web", "c1"))
    assert result["cniVersion"] == "1.1.0"
    assert [interface.get("sandbox") for interface in result["interfaces"]][-1] == c1.path
    assert machine.addresses(c1, "eth0") == ["10.1.0.2"]
    assert machine.pynet("cni", "check", "web", "c1") == ""
    assert machine.json("cni", "check", "web", c1.path)["ok"] is True
    machine.pynet("cni", "del", "web", "c1")
    assert machine.links(c1) == set()
    assert machine.links() == {"br1"}
    machine.pynet("cni", "del", "web", "c1")  # and again, of what is no longer there


def test_check_says_what_has_changed(machine: Machine, c1: Container) -> None:
    machine.pynet("cni", "add", "web", "c1")
    c1.run(["ip", "addr", "flush", "dev", "eth0"])
    said = machine.pynet("cni", "check", "web", "c1", status=1)
    assert said.startswith("pynet: network web: bridge CHECK: ")
    assert "10.1.0.2/16" in said
    assert said.count("\n") == 1
    document = machine.json("cni", "check", "web", "c1", status=1)
    assert (document["ok"], document["error"]["code"]) == (False, 101)
    assert document["error"]["details"][0]["subject"]


def test_a_second_add_is_refused_and_harmless(machine: Machine, c1: Container) -> None:
    machine.pynet("cni", "add", "web", "c1")
    machine.pynet("cni", "add", "web", "c1", status=1)
    machine.pynet("cni", "add", "web", "c1", "--container-id", "another", status=1)
    assert machine.addresses(c1, "eth0") == ["10.1.0.2"]
    machine.pynet("cni", "check", "web", "c1")


def test_a_failed_add_leaves_nothing(machine: Machine, c1: Container) -> None:
    machine.write("bad", bridge(3), {"type": "theirs", "failOn": "ADD"})
    said = machine.pynet("cni", "add", "bad", "c1", status=1)
    assert said == "pynet: network bad: theirs ADD: as it was told\n"
    assert machine.links(c1) == set()
    assert machine.links() == {"br3"}
    machine.write("bad", bridge(3), {"type": "theirs"})
    result = json.loads(machine.pynet("cni", "add", "bad", "c1"))
    assert result["ips"][0]["address"].startswith("10.3.")
    assert machine.json("network", "ls")["networks"][0]["attachments"] == 1


def test_arguments_of_capabilities_are_remembered(machine: Machine, c1: Container) -> None:
    wanted = json.dumps({"ips": ["10.1.7.7/16"], "mac": "02:00:00:00:00:07"})
    options = ["--capabilities", wanted, "--container-id", "abc", "-i", "net1"]
    machine.pynet("cni", "add", "web", "c1", *options)
    assert machine.addresses(c1, "net1") == ["10.1.7.7"]
    document = machine.json("cni", "del", "web", "c1", "-i", "net1")
    assert document["containerID"] == "abc"
    assert machine.links(c1) == set()


def test_a_network_that_is_no_longer_configured_can_be_left(
    machine: Machine, c1: Container
) -> None:
    machine.pynet("cni", "add", "web", "c1")
    machine.host.call((NETWORKS / "web.conflist").unlink)
    machine.pynet("cni", "check", "web", "c1")
    machine.pynet("cni", "del", "web", "c1")
    assert machine.links(c1) == set()


def test_status_and_version(machine: Machine) -> None:
    assert machine.pynet("cni", "status", "web") == "web: ready\n"
    machine.write("tiny", bridge(4) | {"ipam": {"type": "host-local", "subnet": "10.4.0.0/31"}})
    assert machine.json("cni", "status", "tiny", status=1)["ready"] is False
    machine.write("old", bridge(5), cniVersion="1.0.0")
    assert machine.json("cni", "status", "old")["ready"] is None
    (plugin,) = machine.json("cni", "version", "web")["plugins"]
    assert (plugin["type"], plugin["binary"], plugin["compatible"]) == ("bridge", None, True)
    machine.write("mute", {"type": "theirs"})
    assert machine.json("cni", "version", "mute", status=1)["plugins"][0]["versions"] == []


# --- before and during ----------------------------------------------------------------------


def test_a_dry_run_tells_what_the_add_then_does(machine: Machine, c1: Container) -> None:
    said = machine.pynet("cni", "add", "web", "c1", "--dry-run")
    assert "10.1.0.2/16" in said
    plan = machine.json("cni", "add", "web", "c1", "--dry-run")
    kinds = [resource["kind"] for resource in plan["plugins"][0]["resources"]]
    assert kinds.index("bridge") < kinds.index("veth") < kinds.index("link-up")
    assert machine.links() == machine.links(c1) == set()
    assert machine.json("network", "show", "web")["attachments"] == 0
    result = machine.json("cni", "add", "web", "c1")["result"]
    assert result["ips"] == plan["result"]["ips"]


def test_somebody_elses_plugin_can_not_be_planned(machine: Machine, c1: Container) -> None:
    machine.write("chain", bridge(3), {"type": "theirs"}, {"type": "loopback"})
    said = machine.pynet("cni", "add", "chain", "c1", "--dry-run")
    assert "theirs: not plannable, somebody else's plugin (/opt/cni/bin/theirs)" in said
    plan = machine.json("cni", "add", "chain", "c1", "--dry-run")
    assert [plugin["plannable"] for plugin in plan["plugins"]] == [True, False, False]
    assert plan["result"] is None


def test_a_dry_run_fails_as_the_add_would(machine: Machine, c1: Container) -> None:
    machine.write("wrong", bridge(3, vlan=5000))
    planned = machine.pynet("cni", "add", "wrong", "c1", "--dry-run", status=1)
    assert planned.removeprefix("pynet: ") in machine.pynet("cni", "add", "wrong", "c1", status=1)


def test_time_names_every_step_and_execution(machine: Machine, c1: Container) -> None:
    machine.write("chain", bridge(3), {"type": "theirs"})
    steps = machine.json("cni", "add", "chain", "c1", "--time")["steps"]
    named = [step["step"] for step in steps]
    assert any(name.startswith("veth ") for name in named)
    assert [name for name in named if name.endswith(" ADD")] == ["bridge ADD", "theirs ADD"]


# --- GC -----------------------------------------------------------------------------------


def test_gc_spares_who_lives(machine: Machine, c1: Container) -> None:
    machine.host.container("c2")
    machine.pynet("cni", "add", "web", "c1")
    machine.pynet("cni", "add", "web", "c2")
    machine.end("c2")
    before = machine.json("cni", "gc", "web")
    assert [one["netns"] for one in before["stale"]] == ["/run/netns/c2"]
    assert (len(before["kept"]), before["removed"]) == (1, False)
    assert "--yes" in machine.pynet("cni", "gc", "web")
    assert machine.json("network", "show", "web")["attachments"] == 2
    assert machine.json("cni", "gc", "web", "--yes")["removed"] is True
    assert machine.json("network", "show", "web")["attachments"] == 1
    machine.pynet("cni", "check", "web", "c1")
    assert machine.pynet("cni", "gc", "web") == "web: attachments: 0 to remove, 1 kept\n"


def test_gc_knows_that_a_path_is_another_containers_now(machine: Machine, c1: Container) -> None:
    machine.pynet("attach", "c1", "web", "--container-id", "first")
    machine.end("c1")
    machine.host.container("c1")
    machine.host.run(["ip", "-n", "c1", "link", "add", "eth0", "type", "veth", "peer", "name", "p"])
    machine.pynet("cni", "gc", "web", "--yes")
    assert machine.links(c1) == {"eth0", "p"}  # nobody's business
    assert machine.json("network", "show", "web")["attachments"] == 0


def test_gc_names_the_references_leases_that_it_frees(machine: Machine, c1: Container) -> None:
    folder = Path("/var/lib/cni/networks/web")

    def leased() -> list[str]:
        return [path.name for path in folder.glob("10.*")]

    def lease() -> None:
        folder.mkdir(parents=True)
        (folder / "10.1.0.9").write_text("past\r\neth0", newline="")

    machine.host.call(lease)
    machine.pynet("cni", "add", "web", "c1")
    line = "past eth0 (the reference's host-local leased it 10.1.0.9)\n"
    assert f"would remove {line}" in machine.pynet("cni", "gc", "web")
    assert machine.json("cni", "gc", "web")["leases"][0]["address"] == "10.1.0.9"
    assert machine.host.call(leased) == ["10.1.0.9"]
    assert f"removed {line}" in machine.pynet("cni", "gc", "web", "--yes")
    assert machine.host.call(leased) == []
    assert machine.json("cni", "gc", "web")["leases"] == []


def test_gc_spares_what_was_attached_past_this_cache(machine: Machine, c1: Container) -> None:
    machine.pynet("cni", "add", "web", "c1", "--cache-dir", "/run/another")
    machine.pynet("cni", "gc", "web", "--yes")
    assert machine.addresses(c1, "eth0") == ["10.1.0.2"]


@pytest.mark.parametrize("cached", [True, False], ids=["cached", "recorded"])
def test_gc_from_where_its_path_is_not_seen_spares_who_lives(
    machine: Machine, c1: Container, cached: bool
) -> None:
    machine.pynet("cni", "add", "web", "c1", *([] if cached else ["--cache-dir", "/run/another"]))
    assert b"0 removed, 1 kept" in machine.host.run([*ELSEWHERE, *COLLECT, "web", "--yes"]).stdout
    assert machine.addresses(c1, "eth0") == ["10.1.0.2"]
    assert "1 kept" in machine.pynet("cni", "gc", "web")


ELSEWHERE = ("unshare", "-m", "sh", "-c", 'mount -t tmpfs tmpfs /run/netns && exec "$@"', "sh")
COLLECT = (sys.executable, "-m", "pynet.cli", "cni", "gc")


def test_gc_of_a_network_of_somebody_elses(machine: Machine, c1: Container) -> None:
    """What no record tells of: the cache knows by what number the host knew the namespace."""
    machine.write("theirs", {"type": "all-theirs"})
    machine.host.call(_install_all_theirs)
    machine.pynet("cni", "add", "theirs", "c1")
    elsewhere = machine.host.run([*ELSEWHERE, *COLLECT, "theirs", "--yes"]).stdout
    assert b"0 removed, 1 kept" in elsewhere
    machine.end("c1")
    assert "1 removed, 0 kept" in machine.pynet("cni", "gc", "theirs", "--yes")


def _install_all_theirs() -> None:
    alone = THEIRS.replace('config["prevResult"]', '{"cniVersion": config["cniVersion"]}')
    write(PLUGINS / "all-theirs", alone)
    (PLUGINS / "all-theirs").chmod(0o755)


def test_gc_can_be_switched_off(machine: Machine, c1: Container) -> None:
    machine.pynet("cni", "add", "web", "c1")
    machine.end("c1")
    machine.write("web", bridge(1), disableGC=True)
    assert machine.json("cni", "gc", "web", "--yes")["disabled"] is True
    assert machine.json("network", "show", "web")["attachments"] == 1


# --- the friendly face ------------------------------------------------------------------------


def test_attach_and_detach(machine: Machine, c1: Container) -> None:
    assert machine.pynet("attach", "c1", "web", "--ip", "10.1.0.9") == (
        "c1 is on web as eth0 with 10.1.0.9/16, gateway 10.1.0.1\n"
    )
    assert machine.pynet("attach", "c1", "db").startswith("c1 is on db as eth1 with 10.2.0.2/16")
    assert "already, as eth0" in machine.pynet("attach", "c1", "web", status=1)
    machine.pynet("attach", "c1", "web", "--ifname", "web2")
    assert machine.links(c1) == {"eth0", "eth1", "web2"}
    assert "eth0, web2" in machine.pynet("detach", "c1", "web", status=1)
    machine.pynet("detach", "c1", "web", "--ifname", "web2")
    assert machine.pynet("detach", "c1", "web") == "c1 is no longer on web (eth0 is gone)\n"
    assert "it is on db as eth1" in machine.pynet("detach", "c1", "web", status=1)
    machine.end("c1")
    machine.pynet("detach", "c1", "db")
    assert machine.links() == {"br1", "br2"}


def test_attach_and_cni_mean_the_same_container(machine: Machine, c1: Container) -> None:
    assert machine.json("attach", "c1", "web")["containerID"] == "c1"
    assert machine.json("cni", "check", "web", c1.path)["containerID"] == "c1"
    machine.pynet("cni", "add", "db", "c1", "-i", "db0")
    machine.pynet("detach", c1.path, "db")
    assert machine.links(c1) == {"eth0"}


def test_any_noun_finds_the_container(machine: Machine, c1: Container) -> None:
    machine.pynet("attach", c1.path, "web", "--container-id", "4b1dfeed")
    assert machine.json("attach", "4b1d", "db")["containerID"] == "4b1dfeed"
    machine.pynet("detach", "4b1d", "db")
    machine.pynet("detach", "c1", "web")
    with machine.host.popen(["sleep", "60"], netns=c1) as process:
        try:
            machine.pynet("attach", _sleeper(machine), "web")
            assert machine.addresses(c1, "eth0")
        finally:
            process.kill()


def _sleeper(machine: Machine) -> str:
    """The pid, inside the host, of a process in c1."""
    while not (found := machine.host.run(["ip", "netns", "pids", "c1"]).stdout.split()):
        pass
    return found[0].decode()


def test_an_address_and_a_mac_go_the_way_the_network_offers(
    machine: Machine, c1: Container
) -> None:
    machine.write("plain", bridge(3, capabilities={}))
    wishes = ["--ip", "10.3.0.33", "--mac", "02:00:00:00:00:33"]
    assert "10.3.0.33/16" in machine.pynet("attach", "c1", "plain", *wishes)
    done = c1.run(["ip", "-j", "link", "show", "eth0"])
    assert json.loads(done.stdout)[0]["address"] == "02:00:00:00:00:33"


def test_an_interface_that_is_there_is_told_of_the_container_that_was_typed(
    machine: Machine, c1: Container
) -> None:
    machine.pynet("attach", "c1", "web")
    machine.write("other", bridge(4))
    error = machine.pynet("attach", "c1", "other", "--ifname", "eth0", status=1)
    assert error.startswith("pynet: c1 has an interface eth0 already; ")
    assert "CNI_" not in error


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("attach", "c9", "web"), "`ip netns add c9`"),
        (("attach", "c1", "wen"), 'did you mean "web"?'),
        (("attach", "/etc/hostname", "web"), "/etc/hostname is not a network namespace"),
        (("detach", "c1", "web"), "`pynet inspect` shows what is"),
        (("detach", "c9", "web"), "`pynet inspect` shows what is"),
        (("cni", "add", "web", "c9"), "/run/netns/c9 is not a network namespace"),
        (("cni", "check", "web", "c1"), "nothing is known of"),
        (("attach", "c1", "web", "--ip", "192.0.2.1"), "192.0.2.1"),
        (("attach", "/proc/self/ns/net", "web"), "has no network namespace of its own"),
    ],
)
def test_what_can_not_be_done_is_said_in_one_line(
    machine: Machine, c1: Container, arguments: tuple[str, ...], said: str
) -> None:
    error = machine.pynet(*arguments, status=1)
    assert error.startswith("pynet: ")
    assert said in error
    assert error.count("\n") == 1
    document = machine.json(*arguments, status=1)
    assert document["schema"] == "pynet.error/1"
    assert said in document["message"]
    assert machine.links(c1) == set()


@pytest.mark.parametrize("kind", ["dummy", "ipvlan", "macvlan", "vlan"])
def test_a_dry_run_fails_where_the_kernel_has_no_such_link(
    machine: Machine, c1: Container, kind: str
) -> None:
    """Whatever this machine's kernel has."""
    machine.host.run(["sh", "-ec", "ip link add nic0 type veth peer wire; ip link set nic0 up"])
    machine.host.run(["ip", "link", "set", "wire", "up"])
    ipam = {"type": "host-local", "subnet": "10.7.0.0/24"}
    master = {} if kind == "dummy" else {"master": "nic0"}
    number = {"vlanId": 5} if kind == "vlan" else {}
    machine.write("kind", {"type": kind, "ipam": ipam} | master | number)
    dry, _, why = machine.said("cni", "add", "kind", "c1", "--dry-run")
    added, _, refused = machine.said("cni", "add", "kind", "c1")
    assert dry == added, (why, refused)
    features = {one["name"]: one for one in machine.json("status", status=1)["features"]}
    assert bool(features[kind]["missing"]) == bool(added)
    if added:
        assert f"this kernel makes no links of kind {kind}" in why
        assert f"this kernel makes no links of kind {kind}" in refused
