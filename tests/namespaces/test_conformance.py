"""`pynet conformance` of our plugins finds nothing; of the reference's, what is known of them."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
import wrong_plugins
from executables import Executables

from pynet.cli import main
from pynet.cni.version import SUPPORTED
from pynet.conformance.catalogue import SAMPLES
from pynet.conformance.checks import Family, Outcome
from pynet.conformance.families import ALL, FAMILIES
from pynet.conformance.running import chosen, run

REFERENCE = Path("/usr/lib/cni")
OURS = ("bridge", "firewall", "host-local", "loopback", "macvlan", "portmap", "ptp", "static",
        "tuning")  # fmt: skip


def asked(plugin: str, folder: Path, *only: str) -> list[Outcome]:
    return list(run(SAMPLES[plugin], [folder], chosen(only, ()), seed=7))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
@pytest.mark.parametrize("plugin", OURS)
def test_ours_have_no_findings(plugin: str, family: Family, plugins: Executables) -> None:
    outcomes = asked(plugin, plugins.folder, family.name)
    assert [(one.check.full_name, one.message) for one in outcomes if one.failed] == []
    role = SAMPLES[plugin].role
    if any(not check.reason_against(role, SUPPORTED) for check in family.checks):
        assert "passed" in {one.verdict for one in outcomes}


# --- the reference ---------------------------------------------------------------------------

DEFECTS: dict[str, tuple[str, ...]] = {
    "bridge": (
        "adding.failure-leaves-nothing",  # eth0 stays, so that the next ADD fails
        "deleting.namespace-gone",  # the masquerading rules stay
        "deleting.no-namespace",
        "deleting.another-interface-stays",  # its rules are keyed by network and container
        "checking.without-ipam",  # "no plugin name provided"
        "checking.rules-gone",
        "checking.forwarding-off",
        "checking.gateway-gone",
        "checking.host-end-down",
        "delegating.refusal-leaves-nothing",
    ),
    "macvlan": ("adding.failure-leaves-nothing", "deleting.master-gone"),
    "portmap": ("deleting.another-interface-stays",),
    "sbr": ("deleting.no-namespace", "deleting.namespace-gone", "checking.without-result"),
    "host-device": ("deleting.namespace-gone", "deleting.twice", "deleting.no-namespace"),
}
"""Of Debian 12's containernetworking-plugins, 1.1.1."""


@pytest.mark.skipif(not REFERENCE.is_dir(), reason=f"needs the reference plugins in {REFERENCE}")
@pytest.mark.timeout(300)
@pytest.mark.parametrize("plugin", DEFECTS)
def test_the_references_defects_are_found(plugin: str) -> None:
    outcomes = {one.check.full_name: one for one in asked(plugin, REFERENCE, *DEFECTS[plugin])}
    assert {name for name, one in outcomes.items() if one.failed} == set(DEFECTS[plugin])
    for one in outcomes.values():
        assert one.shown is not None and one.shown.argv == (str(REFERENCE / plugin),)


@pytest.mark.skipif(not REFERENCE.is_dir(), reason=f"needs the reference plugins in {REFERENCE}")
def test_what_the_reference_is_too_old_for_is_not_applicable() -> None:
    outcomes = asked("bridge", REFERENCE, "collecting")
    if any(one.verdict == "not applicable" and "1.1.0" in one.message for one in outcomes):
        assert {one.verdict for one in outcomes} == {"not applicable"}
    else:
        assert "collecting.gc-frees-addresses" in {o.check.full_name for o in outcomes if o.failed}


# --- the command -------------------------------------------------------------------------------

SOME = ("--only", "documents.*", "--only", "versions.version", "--seed", "5")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return wrong_plugins.make(tmp_path)


def told(capsys: pytest.CaptureFixture[str], status: int, *words: str | Path) -> str:
    assert main.run(["conformance", *map(str, words)]) == status
    return capsys.readouterr().out


def test_people_get_findings_and_a_table(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    printed = told(capsys, 1, "bridge", "--bin-dir", folder, *SOME)
    assert "FAILED         bridge documents.empty-stdin: it succeeded" in printed
    assert 'expected: no configuration at all is error 6 (CNI specification 1.1.0, "Err' in printed
    assert "sent: CNI_COMMAND=ADD CNI_CONTAINERID=c1 CNI_NETNS=/run/netns/c1" in printed
    assert "received: status 0, stdout: {" in printed
    assert "stdin: empty" in printed
    assert printed.endswith("findings, seed 5\n")
    assert "versions.version" not in printed


def test_all_well(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("bridge", "--bin-dir", folder, "--only", "versions.version", "-v")
    printed = told(capsys, 0, *words)
    assert "passed         bridge versions.version\n" in printed
    assert "no findings, seed " in printed


def test_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = json.loads(told(capsys, 1, "bridge", "--bin-dir", folder, *SOME, "--json"))
    assert document["schema"] == "pynet.conformance/1"
    assert document["seed"] == 5 and document["bin_dirs"] == [str(folder)]
    outcomes: dict[str, Any] = {one["check"]: one for one in document["outcomes"]}
    assert outcomes["versions.version"]["verdict"] == "passed"
    failed = outcomes["documents.no-name"]
    assert failed["verdict"] == "failed" and failed["clause"] == "Error"
    shown = failed["calls"][failed["call"]]
    assert shown["sent"]["environ"]["CNI_COMMAND"] == "ADD"
    assert "name" not in json.loads(shown["sent"]["stdin"])
    assert shown["received"]["status"] == 0 and "10.88.0.2/24" in shown["received"]["stdout"]
    verdicts = [one["verdict"] for one in document["outcomes"]]
    assert document["failed"] == verdicts.count("failed") > 0
    assert len(verdicts) == document["passed"] + document["failed"] + document["not_applicable"]


def test_tap(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("bridge", "loopback", "--bin-dir", folder, "--only", "documents", "--tap")
    lines = told(capsys, 1, *words).splitlines()
    assert lines[0] == "TAP version 13"
    points = [line for line in lines if line.startswith(("ok ", "not ok "))]
    assert lines[2] == f"1..{len(points)}"
    assert [line.split(" - ")[0].split()[-1] for line in points] == [
        str(number) for number in range(1, len(points) + 1)
    ]
    assert any(line.startswith("ok ") and "# SKIP it is asked of no loopback" in line
               for line in points)  # fmt: skip
    first = lines.index(next(line for line in points if line.startswith("not ok ")))
    assert lines[first + 1] == "  ---"
    assert json.loads(lines[first + 2].removeprefix("  message: "))


def test_junit(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "results.xml"
    told(capsys, 1, "bridge", "--bin-dir", folder, *SOME, "--junit", file)
    (suite,) = ElementTree.parse(file).getroot()
    cases = {case.get("name"): case for case in suite}
    assert cases["bridge versions.version"].find("failure") is None
    failure = cases["bridge documents.no-name"].find("failure")
    assert failure is not None and failure.text and "sent: CNI_COMMAND=ADD" in failure.text
    assert suite.get("failures") == str(sum(case.find("failure") is not None for case in suite))


def test_a_plugin_of_a_name_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], plugins: Executables
) -> None:
    """In a network of its author's, behind a plugin of ours, from two directories."""
    wrong_plugins.write(tmp_path / "mine", wrong_plugins.CHAINED)
    network = {
        "cniVersion": "1.1.0",
        "name": "lab",
        "plugins": [{"type": "loopback"}, {"type": "mine", "capabilities": {"mac": True}}],
    }
    file = tmp_path / "lab.conflist"
    file.write_text(json.dumps(network))
    folders = ("--bin-dir", tmp_path, "--bin-dir", plugins.folder)
    words = ("--config", file, *folders, "--only", "chaining.result-is-passed-on", "--json")
    (outcome,) = json.loads(told(capsys, 1, "mine", *words))["outcomes"]
    assert outcome["verdict"] == "failed" and "'lo' of prevResult" in outcome["message"]
    before, own = outcome["calls"]
    assert before["sent"]["argv"] == [str(plugins.folder / "loopback")]
    assert own["sent"]["argv"] == [str(tmp_path / "mine")]
    assert json.loads(own["sent"]["stdin"])["name"] == "lab"
    assert "capabilities" not in json.loads(own["sent"]["stdin"])


def test_the_same_seed_kills_at_the_same_times() -> None:
    from random import Random

    from pynet.conformance.running import random_of

    check = ALL[-1]
    assert random_of(3, "bridge", check).random() == random_of(3, "bridge", check).random()
    assert random_of(3, "bridge", check).random() != random_of(4, "bridge", check).random()
    assert isinstance(random_of(3, "bridge", check), Random)


def test_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    printed = told(capsys, 0, "--list", "--only", "killing")
    assert printed.splitlines()[0].split() == ["check", "what", "is", "expected", "clause"]
    assert len(printed.splitlines()) == 4
    listed = json.loads(told(capsys, 0, "--list", "--json"))
    assert [one["check"] for one in listed["checks"]] == [check.full_name for check in ALL]
    assert all(one["title"] and one["clause"] for one in listed["checks"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nothing"], "no plugin 'nothing' is known"),
        (["dhcp"], "it needs a DHCP server on the network"),
        (["tap"], "it needs /dev/net/tun on the host"),
        (["brigde"], 'did you mean "bridge"'),
        (["sbr"], "there is no sbr in"),
        (["bridge", "--only", "nothing"], "no check is called 'nothing'"),
        (["bridge", "--tap", "--json"], "both want stdout"),
        (["bridge", "--seed", "-1"], "--seed"),
    ],
)
def test_wrong_usage(
    words: list[str], said: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(["conformance", *words, "--bin-dir", str(folder)]) == 2
    captured = capsys.readouterr()
    assert said in captured.err + captured.out


def test_a_network_that_can_not_be_read(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = folder / "x.conflist"
    file.write_text('{"name": "x", "plugins": []}')
    words = ["conformance", "--bin-dir", str(folder), "--config", str(file)]
    assert main.run(words) == 2
    assert "x.conflist: plugins" in capsys.readouterr().err
    file.write_text('{"name": "x", "plugins": [{"type": "mine"}]}')
    assert main.run([*words[:1], "yours", *words[1:]]) == 2
    assert "has no plugin 'yours'; it has mine" in capsys.readouterr().err
