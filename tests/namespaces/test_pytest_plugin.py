"""The fixtures of labs: what passes, what fails and what it then says, what is left."""

from __future__ import annotations

import itertools
import os
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pynet.testnets import Net, NetAssertion, Topo, topology
from pynet.testnets.fixtures.fixtures import Source
from pynet.testnets.lab.lab import CommandFailed, LabError
from pynet.testnets.live.crashing import Command
from pynet.testnets.standing.standing import Registry

CABLE = Topo("cable").host("h1").host("h2").link("h1:eth0", "h2:eth0")
SWITCHED = Topo("switched").host("h1").host("h2").switch("sw")
SWITCHED = SWITCHED.link("h1:eth0", "sw").link("h2:eth0", "sw")
BRIDGE = Topo("bridge").host("h1").network("web", subnets=["10.1.0.0/24"])
BRIDGE = BRIDGE.container("a", networks=["web"]).container("b", networks=["web"])

pytestmark = topology(CABLE)


# --- what a test holds --------------------------------------------------------------------------


def test_nodes_have_names(net: Net) -> None:
    assert [str(node) for node in net] == ["h1", "h2"]
    assert net.h1.name == net["h1"].name == "h1"
    with pytest.raises(AttributeError, match="no 'h3'; it has h1, h2"):
        net.h3  # noqa: B018
    with pytest.raises(KeyError, match="no 'h3'"):
        net["h3"]


def test_a_node_runs_commands_and_functions(net: Net) -> None:
    assert net.h1.run("hostname").stdout == b"h1\n"
    assert net.h2.call(os.uname).nodename == "h2"
    net.h1.run(["ping", "-c", "1", "h2"])
    with pytest.raises(CommandFailed):
        net.h1.run("false")


@pytest.mark.parametrize("family", [4, 6])
def test_what_is_true_passes(net: Net, family: int) -> None:
    net.h1.ping(net.h2, family=family)
    net.h1.tcp("h2:80", family=family, seen_as=net.h1)
    net.h1.udp(f"[{net.h2.address(6)}]:53" if family == 6 else f"{net.h2.address()}:53")
    net.h2.http("h1:80", family=family)
    net.h1.mtu("h2", 1500, family=family)
    net.h1.path("h2", via=[net.h1, "h2"], family=family)
    net.mesh("h1", "h2", family=family)


def test_what_is_not_true_fails(net: Net) -> None:
    with pytest.raises(NetAssertion, match="h2"):
        net.h1.deny("h2:80")
    with pytest.raises(NetAssertion, match="1500"):
        net.h1.mtu("h2", 1400, within=0.2)


@topology(BRIDGE)
def test_a_failure_says_where_the_packet_was_last_seen(net: Net) -> None:
    net.b.run("nft add table inet wall")
    net.b.run("nft add chain inet wall in { type filter hook input priority 0; }")
    net.b.run("nft add rule inet wall in iifname eth0 tcp dport 80 drop")
    net.a.deny("b:80")
    with pytest.raises(NetAssertion, match="arrived at b's eth0; b did not answer"):
        net.a.tcp("b:80", within=0.2)
    net.b.run("ip link set eth0 down")
    with pytest.raises(NetAssertion, match="last seen"):
        net.a.ping("b", within=0.2)


@topology(SWITCHED)
def test_a_link_is_bent_for_a_while(net: Net) -> None:
    with net.link("h1", "sw").down():
        net.h1.deny("h2:80")
    net.h1.tcp("h2:80")
    with net.link("sw", net.h1).impair(loss="100%"):
        net.h1.deny("h2:80")
    net.h1.tcp("h2:80")
    with pytest.raises(KeyError, match="no link between h1 and h2; there is h1 -- sw, h2 -- sw"):
        net.link("h1", "h2")


@topology(SWITCHED)
def test_a_link_is_bent_for_good(net: Net) -> None:
    line = net.link("h1", "sw")
    line.down()
    net.h1.deny("h2:80")
    line.up()
    net.h1.tcp("h2:80")
    with pytest.raises(ValueError, match="20ms"):
        line.impair(delay="20")


def test_waiting_ends_with_the_first_true_answer(net: Net) -> None:
    answers = iter([0, False, 7])
    assert net.wait(lambda: next(answers)) == 7


def test_waiting_in_vain_says_what_it_waited_for(net: Net) -> None:
    def never() -> bool:
        raise AssertionError("the moon is not blue")

    with pytest.raises(NetAssertion, match="the moon is not blue"):
        net.wait(never, within=0.05)


def test_a_capture_is_a_pcap_file(net: Net) -> None:
    with net.capture("h1:eth0") as recording:
        net.h1.ping("h2", family=4)
    assert recording.packets >= 2
    assert recording.path.name == "h1-eth0.pcap"
    (magic,) = struct.unpack("=I", recording.path.read_bytes()[:4])
    assert magic == 0xA1B23C4D  # draft-ietf-opsawg-pcap: with nanoseconds
    with pytest.raises(LabError, match="eth7"), net.capture("h1:eth7"):
        pass


def test_a_factory_makes_labs_that_end_with_the_test(
    net: Net, net_factory: Callable[[Source], Net]
) -> None:
    one, other = net_factory(CABLE), net_factory("single-bridge")
    assert len({each.testnet.lab.pid for each in (net, one, other)}) == 3
    one.h1.ping("h2")
    other.a.ping("b")


# --- killed plugins -----------------------------------------------------------------------------


@topology(BRIDGE)
@pytest.mark.parametrize("command", ["ADD", "DEL"])
def test_a_plugin_is_killed_where_the_test_wants_it(net: Net, command: Command) -> None:
    before = net.h1.run("ip -br link").stdout
    half_made = False
    for at in itertools.count(1, 6):
        with net.h1.crash("web", command=command, at=at) as crash:
            half_made |= net.h1.run("ip -br link").stdout != before
            net.a.ping("b")
        assert net.h1.run("ip -br link").stdout == before
        if not crash.killed:
            break
    assert at > 6
    assert half_made


@topology(BRIDGE)
def test_what_cannot_be_killed_is_said(net: Net) -> None:
    with (
        pytest.raises(LabError, match="no plugin 'tuning'; it has bridge"),
        net.h1.crash("web", plugin="tuning"),
    ):
        pass
    with pytest.raises(LabError, match="no network 'wep'"), net.h1.crash("wep"):
        pass


# --- a suite of its own -------------------------------------------------------------------------


class Suite:
    """A test file in a folder of its own, run by a pytest of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers\n")

    def run(self, text: str, *arguments: str, **expected: int) -> str:
        """What the run prints; `expected` is how many tests came to which end."""
        (self.folder / "test_it.py").write_text(f"{_HEAD}\n{text}")
        argv = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *_WITHOUT, *arguments]
        environ = {**os.environ, "XDG_RUNTIME_DIR": str(self.folder)}
        done = subprocess.run(argv, cwd=self.folder, env=environ, capture_output=True, text=True)
        for end, count in expected.items():
            assert f"{count} {end}" in done.stdout, done.stdout + done.stderr
        return done.stdout


_WITHOUT = ("-p", "no:hypothesispytest")  # which takes longer to load than all else

_HEAD = """\
from pynet.testnets import Topo, needs, topology

CABLE = Topo("cable").host("h1").host("h2").link("h1:eth0", "h2:eth0")
"""


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    return Suite(tmp_path)


def test_a_module_shares_a_lab_and_a_test_has_its_own(suite: Suite) -> None:
    suite.run(
        """
pytestmark = topology(CABLE, scope="module")
seen = []

def test_first(net):
    seen.append(net.testnet.lab.pid)

def test_second(net):
    assert net.testnet.lab.pid == seen[0]

@topology(CABLE)
def test_alone(net):
    assert net.testnet.lab.pid != seen[0]
""",
        passed=3,
    )


def test_what_is_wrong_with_a_mark_is_said_in_a_line(suite: Suite) -> None:
    (suite.folder / "broken.yaml").write_text("nodes:\n  h1: hots\n")
    said = suite.run(
        """
def test_without(net):
    pass

@topology("nowhere.yaml")
def test_no_file(net):
    pass

@topology("broken.yaml")
def test_broken(net):
    pass
""",
        errors=3,
    )
    assert "mark the test with @topology(FILE)" in said
    assert "nowhere.yaml" in said
    assert "broken.yaml:2" in said
    assert "Traceback" not in said


def test_what_the_kernel_lacks_skips_with_the_reason(suite: Suite) -> None:
    (suite.folder / "conftest.py").write_text(
        "import pynet.testnets.lab.features as features\n"
        "features.FEATURES = {**features.FEATURES, 'warp': lambda: 'no dilithium'}\n"
    )
    said = suite.run(
        """
@needs("warp")
def test_marked():
    assert False

@topology(Topo("t").host("h1").needs("warp"))
def test_topology(net):
    assert False

@needs("bridge")
def test_there():
    pass
""",
        "-rs",
        skipped=2,
        passed=1,
    )
    assert said.count("warp: no dilithium") == 2


def test_labs_are_kept_where_they_are_asked_for(
    suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = suite.run("@topology(CABLE)\ndef test_it(net): pass", "--net-keep", passed=1)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(suite.folder))
    registry = Registry()
    (kept,) = list(registry)
    assert kept.name.startswith("test_it-")
    assert f"`pynet testnet shell {kept.name}`" in said
    registry.end(kept)
    assert list(registry) == []


def test_each_test_leaves_a_capture(suite: Suite) -> None:
    suite.run(
        "@topology(CABLE)\ndef test_it(net): net.h1.ping('h2')", "--net-capture=all", passed=1
    )
    (file,) = (suite.folder / "all").glob("*/*")
    assert file.relative_to(suite.folder) == Path("all/test_it.py-test_it/h1-eth0.pcap")
    assert file.stat().st_size > 100


def test_labs_stand_side_by_side(suite: Suite) -> None:
    suite.run(
        """
import pytest

pytestmark = topology(CABLE, scope="module")

@pytest.mark.parametrize("number", range(6))
def test_shared(net, number):
    net.h1.tcp("h2:80")

@topology(CABLE)
@pytest.mark.parametrize("number", range(6))
def test_alone(net, number):
    net.h1.tcp("h2:80")
""",
        "-n2",
        passed=12,
    )
