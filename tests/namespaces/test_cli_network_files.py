"""Files of networks that can't be written, or can't be read: what is left, and what is said."""

from __future__ import annotations

from pathlib import Path

import pytest
from machine import NETWORKS, Machine, bridge

from pynet.testnets.lab.lab import Host


@pytest.fixture
def machine(host: Host) -> Machine:
    return Machine(host)


def files(machine: Machine) -> set[str]:
    return set(machine.host.run(["ls", "-A", str(NETWORKS)]).stdout.decode().split())


def test_a_full_file_system_leaves_no_file(machine: Machine) -> None:
    machine.host.run(["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", str(NETWORKS)])
    machine.host.run(["sh", "-c", f"head -c 4096 /dev/zero > {NETWORKS}/full"])
    said = machine.pynet("network", "create", "w", status=1)
    assert said == f"pynet: {NETWORKS}/w.conflist: No space left on device\n"
    assert files(machine) == {"full"}
    machine.host.run(["rm", f"{NETWORKS}/full"])
    machine.pynet("network", "create", "w")
    assert "w.conflist" in machine.pynet("network", "validate")


def test_a_directory_in_its_place(machine: Machine) -> None:
    before = files(machine)
    machine.host.run(["mkdir", f"{NETWORKS}/dd.conflist"])
    said = machine.pynet("network", "create", "dd", status=1)
    assert f"{NETWORKS}/dd.conflist: Is a directory" in said
    assert files(machine) == before | {"dd.conflist"}
    assert "dd" not in machine.pynet("network", "ls").split()


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (
            '{"cniVersion": "1.0.0", "name": "yy", "plugins": [{"type": "loopback"}]}',
            "is network yy",
        ),
        ('{"name": "zz",}', "can't be read as a network"),
    ],
)
def test_a_file_of_somebody_in_its_place(machine: Machine, content: str, what: str) -> None:
    path = Path(NETWORKS, "zz.conflist")
    machine.host.call(path.write_text, content)
    for more in ([], ["--dry-run"]):
        said = machine.pynet("network", "create", "zz", *more, status=1)
        assert f"{path} is there already, and {what}: choose another name, or move it away" in said
    assert machine.host.call(path.read_text) == content


def test_what_a_killed_call_leaves_is_no_network(machine: Machine) -> None:
    """What is not in place yet has a name that no runtime reads: a dot hides it from nobody."""
    kill = (
        "from pathlib import Path, PosixPath; import os\n"
        "PosixPath.rename = lambda *_: os.kill(os.getpid(), 9)\n"
        "from pynet.cli.main import main; main(['network', 'create', 'half'])"
    )
    before = files(machine)
    machine.python(kill)
    (left,) = files(machine) - before
    assert left.rpartition(".")[2] not in ("conflist", "conf", "json")
    assert "half" not in machine.pynet("network", "ls").split()
    machine.pynet("network", "create", "half")
    assert files(machine) == before | {"half.conflist"}


def test_a_name_that_no_file_could_have_is_wrong_usage(machine: Machine) -> None:
    said = machine.pynet("network", "create", "n" * 300, status=2)
    assert "longer than" in said


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ("type veth peer name other", "it is no bridge"),
        ("type bridge; ip addr add 192.168.3.1/24 dev pn-foo", "192.168.3.1/24"),
    ],
)
def test_an_interface_in_the_bridge_s_place(machine: Machine, made: str, said: str) -> None:
    machine.host.run(["sh", "-ec", f"ip link add pn-foo {made}"])
    assert said in machine.pynet("network", "create", "foo", status=1)
    assert "foo.conflist" not in files(machine)


def test_an_empty_bridge_in_its_place_is_taken(machine: Machine) -> None:
    machine.host.run(["ip", "link", "add", "pn-foo", "type", "bridge"])
    machine.pynet("network", "create", "foo")


def test_an_empty_file_is_called_empty(machine: Machine) -> None:
    machine.host.run(["touch", f"{NETWORKS}/00-empty.conflist"])
    for command in (["attach", "c1", "web"], ["network", "show", "web"], ["cni", "status", "web"]):
        said = machine.pynet(*command, status=1)
        assert f"{NETWORKS}/00-empty.conflist: it is empty" in said, said
        assert "stdin" not in said
        assert "move it away" in said
    said = machine.pynet("network", "create", "new", status=1)
    assert f"{NETWORKS}/00-empty.conflist: it is empty" in said
    assert "new.conflist" not in files(machine)


def test_rm_removes_its_own_bridge_alone(machine: Machine) -> None:
    machine.host.container("c1")
    for name in ("shop", "mine"):
        machine.pynet("network", "create", name)
        machine.pynet("attach", "c1", name)
        machine.pynet("detach", "c1", name)
    machine.write("shared", bridge(7, bridge="pn-mine"))
    said = machine.pynet("network", "rm", "mine")
    assert "bridge" not in said
    said = machine.pynet("network", "rm", "shared")
    assert "bridge pn-mine removed" in said
    assert machine.links() == {"pn-shop"}


def test_what_the_second_network_of_a_bridge_is_refused_for_is_a_mistake(machine: Machine) -> None:
    machine.write("other", bridge(9, bridge="br1"))
    said = machine.json("network", "validate", status=1)["findings"]
    assert [(one["file"], one["key"]) for one in said] == [("web.conflist", "bridge")]
    assert "br1 has 10.9.0.1/16 already, of other.conflist" in said[0]["message"]
    machine.host.container("c1")
    machine.pynet("attach", "c1", "other")
    refused = machine.pynet("attach", "c1", "web", status=1)
    assert "give this network a bridge of its own" in refused
    assert "forceAddress" not in refused


def test_a_subnet_that_was_edited_while_attached(machine: Machine) -> None:
    machine.host.container("c1")
    machine.host.container("c2")
    machine.pynet("attach", "c1", "web")
    machine.write("web", bridge(8, bridge="br1"))
    said = machine.pynet("attach", "c2", "web", status=1)
    assert "`pynet detach CONTAINER web`" in said
    assert "bridge of its own" not in said
    machine.pynet("detach", "c1", "web")
    machine.pynet("network", "rm", "web")  # the bridge of the old subnet goes with it
    machine.write("web", bridge(8, bridge="br1"))
    machine.pynet("attach", "c2", "web")


def test_a_plugin_that_is_nowhere_is_nobody_s(machine: Machine) -> None:
    machine.write("typo", {"type": "brigde"})
    found = machine.json("network", "validate", status=1)
    assert "brigde" not in found["foreign"]
    assert 'there is no plugin "brigde"' in found["findings"][0]["message"]
