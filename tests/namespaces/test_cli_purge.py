"""`pynet uninstall --purge`: the host is as it was before; without, what stays is named."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import isolated
import pytest
from evidence import nothing_left, rest
from executables import daemon
from test_cli_install import ALLOWED, BIN, Person

from pynet.model.request import Attachment
from pynet.testnets.lab.lab import Host

RUN = Path("/run/pynet")


@pytest.fixture
def person(host: Host, tmp_path: Path) -> Person:
    return Person(host, isolated.interpreter(tmp_path / "venv", "python"))


@pytest.fixture
def before(person: Person) -> set[str]:
    """A host whose firewall drops what is forwarded, with a container of its own."""
    person.host.container("c1")
    # Once written, even 0 stays where the kernel had none.
    person.host.run(["sh", "-c", "iptables -P FORWARD DROP; ip6tables -P FORWARD DROP"])
    return set(person.host.call(rest))


@pytest.fixture
def used(person: Person, before: set[str]) -> Iterator[Person]:
    """Installed, with c1 attached by a network that has all there is, and a daemon."""
    person.succeeds("install", ALLOWED)
    person.succeeds("network", "create", "web")
    with daemon(person.host):
        person.succeeds("attach", "c1", "web", "--publish", "8080:80")
        yield person


def test_purge_puts_the_host_back_as_it_was(used: Person, before: set[str]) -> None:
    status, _, complaint = used.pynet("uninstall", "--purge")
    assert status == 1
    assert "c1 on web as eth0" in complaint
    assert "--force" in complaint
    assert "bridge" in used.look(BIN)

    for plain, refused in ((["--purge"], "would be cut off"), ([], "detaches it again")):
        status, shown, complaint = used.pynet("uninstall", *plain, "--dry-run")
        assert (status, complaint) == (1, "")
        assert "remove bridge" in shown if plain else "stays: " in shown
        assert "refused without --force" in shown
        assert refused in shown
    would = used.succeeds("uninstall", "--purge", "--force", "--dry-run")
    said = used.succeeds("uninstall", "--purge", "--force")
    for line in (
        "disconnect c1 on web as eth0",
        "stop the daemon, pid ",
        "remove rules in others' chains (iptables-nft -I FORWARD -j PYNET-FORWARD",
        "remove nftables table inet pynet",
        "remove bridge pn-web",
        "switch off IPv4 forwarding",
        "switch off IPv6 forwarding",
        "remove /run/pynet",
    ):
        assert line in would
        assert line in said
    assert "stays: the configuration of web" in said
    assert nothing_left(before, used.host.call(rest)) == []
    assert used.look(BIN) == used.look(RUN) == used.look(Path("/var/lib/cni/results")) == {}
    assert not used.host.call(RUN.exists)
    assert "this host: clean" in used.succeeds("uninstall", "--purge")


def test_uninstall_says_what_stays_and_why(used: Person) -> None:
    used.succeeds("detach", "c1", "web")
    said = used.succeeds("uninstall").splitlines()
    stays = [line.removeprefix("stays: ") for line in said if line.startswith("stays: ")]
    assert [line.split(" (")[0] for line in stays if "daemon" not in line] == [
        "nftables table inet pynet",
        "bridge pn-web",
        "IPv4 forwarding",
        "IPv6 forwarding",
        "/run/pynet",
    ]
    assert any(line.startswith("the daemon, pid ") for line in stays)
    assert said[-1] == "`pynet uninstall --purge` takes that away, too"


def test_what_was_there_before_stays(person: Person) -> None:
    """Forwarding that was on, and a bridge with somebody else's port."""
    person.host.container("c1")
    person.host.run(["sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"])
    person.succeeds("install", ALLOWED)
    person.succeeds("network", "create", "web", "--subnet", "10.1.0.0/24")
    person.succeeds("attach", "c1", "web")
    person.host.run(["ip", "link", "add", "theirs", "master", "pn-web", "type", "veth"])
    status, out, _ = person.pynet("uninstall", "--purge", "--force", "--json")
    document = json.loads(out)
    assert (status, document["left"]) == (1, ["bridge pn-web: others have ports in it"])
    assert not any("forwarding" in one["what"] for one in document["purged"])
    assert person.host.run(["cat", "/proc/sys/net/ipv4/ip_forward"]).stdout == b"1\n"


def test_the_host_s_own_router_is_heard_as_before(person: Person) -> None:
    accepted = ["cat", "/proc/sys/net/ipv6/conf/nic0/accept_ra"]
    person.host.run(["ip", "tuntap", "add", "dev", "nic0", "mode", "tap"])
    person.host.container("c1")
    person.succeeds("install", ALLOWED)
    person.succeeds("network", "create", "web", "--subnet", "fd00:1::/64")
    person.succeeds("attach", "c1", "web")
    assert person.host.run(accepted).stdout == b"2\n"
    status, said, _ = person.pynet("uninstall", "--dry-run")
    assert status == 1  # as without it: c1 is attached
    assert "stays: net.ipv6.conf.nic0.accept_ra=2 (" in said
    assert "change back to 1 net.ipv6.conf.nic0.accept_ra=2" in person.succeeds(
        "uninstall", "--purge", "--force"
    )
    assert person.host.run(accepted).stdout == b"1\n"


@pytest.mark.parametrize("losing", ["rm /run/pynet/pynet.db*", "mv /run/pynet /run/elsewhere"])
def test_who_no_record_tells_of_is_not_cut_off_unasked(
    person: Person, before: set[str], losing: str
) -> None:
    person.succeeds("install", ALLOWED)
    person.succeeds("network", "create", "web", "--subnet", "10.1.0.0/24")
    person.succeeds("attach", "c1", "web")
    person.host.run(["sh", "-c", losing])
    status, _, complaint = person.pynet("uninstall", "--purge")
    assert status == 1
    assert "of whom no record tells" in complaint
    said = person.succeeds("uninstall", "--purge", "--force")
    assert "remove bridge pn-web" in said
    assert "forget the results that a runtime keeps in /var/lib/cni/results of c1 on web" in said
    switch = "sysctl -w net.ipv4.ip_forward=0"
    why = f"whether it was on before, no record tells; if not: `{switch}`"
    assert f"leave IPv4 forwarding, which is on ({why})" in said
    person.host.run(switch.split())
    left = nothing_left(before, person.host.call(rest))
    assert [line for line in left if "elsewhere" not in line and "lock " not in line] == []
    assert person.look(Path("/var/lib/cni/results")) == {}
    assert "this host: clean" in person.succeeds("uninstall", "--purge")


def test_forwarding_that_was_on_stays_on_after_a_loss(person: Person) -> None:
    """The record that was made up of what stands can't tell who had switched it on."""
    person.host.run(["sysctl", "-qw", "net.ipv4.ip_forward=1"])
    person.succeeds("install", ALLOWED)
    person.succeeds("network", "create", "web", "--subnet", "10.1.0.0/24")
    person.host.container("c1")
    person.succeeds("attach", "c1", "web")
    person.host.run(["rm", "-r", "/run/pynet"])
    person.succeeds("detach", "c1", "web")
    assert "forwarding" not in person.succeeds("uninstall", "--purge")
    assert person.host.run(["cat", "/proc/sys/net/ipv4/ip_forward"]).stdout == b"1\n"


def test_a_bridge_without_a_record_stays_with_others_ports(person: Person) -> None:
    person.host.container("c1")
    person.succeeds("install", ALLOWED)
    person.succeeds("network", "create", "web", "--subnet", "10.1.0.0/24")
    person.succeeds("attach", "c1", "web")
    person.host.run(["ip", "link", "add", "br0", "type", "bridge"])
    person.host.run(["ip", "link", "add", "theirs", "master", "pn-web", "type", "veth"])
    person.host.run(["sh", "-c", "rm -r /run/pynet"])
    status, out, _ = person.pynet("uninstall", "--purge", "--force", "--json")
    document = json.loads(out)
    assert (status, document["left"]) == (1, ["bridge pn-web: others have ports in it"])
    assert not any("br0" in one["what"] for one in document["purged"])


def test_a_runtime_s_results_go_with_what_was_pynet_s(person: Person) -> None:
    """Those of containers that are gone: by the names and MACs that only pynet gives."""
    results = Path("/var/lib/cni/results")
    person.succeeds("install", ALLOWED)
    gone, alive = (Attachment("web", name, "eth0") for name in ("gone", "c1"))
    person.host.container("c1")
    made = {
        "gone": {"name": gone.host_end, "mac": gone.mac("host")},
        "theirs": {"name": "veth1234abcd", "mac": "5a:00:00:00:00:01"},
        "c1": {"name": "eth0", "mac": alive.mac("container"), "sandbox": "/run/netns/c1"},
    }
    for name, interface in made.items():
        document = {
            "kind": "cniCacheV1", "networkName": "web", "containerId": name, "ifName": "eth0",
            "netns": f"/run/netns/{name}",
            "result": {"cniVersion": "1.0.0", "interfaces": [interface, 5]},
        }  # fmt: skip
        person.host.call(partial(_write, results / f"web-{name}-eth0", document))
    person.host.call(partial(_write, results / "web-x-eth0", "no entry"))
    said = person.succeeds("uninstall", "--purge", "--force")
    assert "of gone on web" in said
    assert set(person.look(results)) == {"web-theirs-eth0", "web-c1-eth0", "web-x-eth0"}


def _write(path: Path, document: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))


def test_purge_is_for_all_of_the_hosts_plugins(person: Person) -> None:
    person.succeeds("install", ALLOWED, "--bin-dir", str(BIN), "--bin-dir", "/opt/pynet/bin")
    status, _, complaint = person.pynet("uninstall", "--purge")
    assert (status, "--bin-dir /opt/pynet/bin" in complaint) == (1, True)
    person.succeeds("uninstall", "--purge", "--bin-dir", str(BIN), "--bin-dir", "/opt/pynet/bin")
    assert person.look(BIN) == person.look(Path("/opt/pynet/bin")) == {}


def test_a_directory_of_others_files_stays(person: Person) -> None:
    person.host.container("c1")
    person.host.run(["sh", "-c", "mkdir -m 700 /run/mine && touch /run/mine/pynet-notes"])
    person.succeeds("install", ALLOWED, "--state-dir", "/run/mine")
    person.plugin("loopback", "ADD", {"cniVersion": "1.1.0", "name": "lo", "type": "loopback"})
    status, out, _ = person.pynet("uninstall", "--purge", "--force")
    assert status == 1
    assert "left: /run/mine: it holds files of others" in out
    assert person.look(Path("/run/mine")) == {"pynet-notes": "0"}
