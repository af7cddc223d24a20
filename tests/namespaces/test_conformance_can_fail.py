"""`pynet conformance`: each check fails for a plugin that does what it is against."""

from __future__ import annotations

from pathlib import Path

import pytest
import wrong_plugins

from pynet.conformance import calls, traces
from pynet.conformance.catalogue import SAMPLES
from pynet.conformance.families import ALL
from pynet.conformance.running import run

AT_FAULT: dict[str, tuple[str, str]] = {
    "adding.addresses-only": ("host-local", ""),
    "adding.again-after-del": ("bridge", "needs-new"),
    "adding.failure-leaves-nothing": ("bridge", "leases"),
    "adding.result-is-true": ("bridge", "lies"),
    "adding.sandbox-is-verbatim": ("bridge", "elsewhere"),
    "chaining.addresses-know-their-interface": ("portmap", ""),
    "chaining.result-is-passed-on": ("portmap", ""),
    "chaining.result-that-is-none": ("portmap", ""),
    "chaining.unknown-keys": ("bridge", "strict"),
    "checking.after-add": ("bridge", "suspicious"),
    "checking.later-plugins-route": ("bridge", "suspicious"),
    "checking.reservation-gone": ("host-local", ""),
    "checking.route-without-gateway": ("bridge", "suspicious"),
    "checking.setting-undone": ("portmap", ""),
    "checking.without-ipam": ("bridge", "suspicious bare"),
    "collecting.gc-frees-addresses": ("bridge", "leases"),
    "collecting.gc-keeps-other-networks": ("bridge", "unavailable"),
    "collecting.gc-keeps-the-valid": ("bridge", "unavailable"),
    "collecting.gc-of-nothing": ("bridge", "unavailable"),
    "collecting.status": ("bridge", "unavailable"),
    "deleting.master-gone": ("macvlan", ""),
    "deleting.never-attached": ("bridge", "needs-state"),
    "deleting.without-state": ("bridge", "needs-state"),
    "documents.own-namespace": ("bridge", "two-answers"),
    "environment.foreign-arguments": ("bridge", "strict"),
    "environment.path-is-optional": ("host-local", "no-path"),
    "killing.add-again": ("bridge", "needs-new"),
    "versions.version": ("bridge", "no-versions"),
    "versions.version-alone": ("bridge", "no-path"),
}
"""Check -> the plugin that fails it, and its faults; all others are failed by `bridge` without."""
BY_NAME = {check.full_name: check for check in ALL}


def test_the_table_names_checks() -> None:
    assert AT_FAULT.keys() <= BY_NAME.keys()
    assert len(BY_NAME) == len(ALL)


@pytest.mark.parametrize("name", BY_NAME)
def test_it_can_fail(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traces, "SETTLING", 0.2)
    plugin, faults = AT_FAULT.get(name, ("bridge", ""))
    folder = wrong_plugins.make(tmp_path, *faults.split())
    (outcome,) = run(SAMPLES[plugin], [folder], [BY_NAME[name]], seed=1)
    assert outcome.failed, (outcome.verdict, outcome.message)
    assert outcome.message
    assert outcome.shown is not None and outcome.shown.argv == (str(folder / plugin),)


@pytest.mark.parametrize(
    "said",
    [
        "",
        "ADD is done",
        "[]",
        '{"cniVersion": "1.1.0"} {}',
        '{"cniVersion": "1.1.0", "interfaces": 7}',
        '{"cniVersion": "1.1.0", "interfaces": [{"mac": 7}]}',
        '{"cniVersion": "1.1.0", "ips": ["10.1.0.2/24"]}',
        '{"cniVersion": "1.1.0", "ips": [{"address": "10.1.0.2/24", "interface": "eth0"}]}',
        '{"cniVersion": "1.1.0", "routes": [{"dst": null}]}',
        '{"cniVersion": "1.1.0", "ips": null, "interfaces": null, "dns": 7}',
    ],
)
def test_no_answer_is_too_odd(said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends as findings, and as reasons why the rest could not be asked."""
    monkeypatch.setattr(traces, "SETTLING", 0.2)
    wrong_plugins.write(tmp_path / "bridge", wrong_plugins.SAYS, said)
    wrong_plugins.write(tmp_path / "host-local", wrong_plugins.SAYS, said)
    asked = [check for check in ALL if check.family in ("adding", "checking", "documents")]
    outcomes = list(run(SAMPLES["bridge"], [tmp_path], asked, seed=1))
    assert len(outcomes) == len(asked)
    assert {one.check.full_name for one in outcomes if one.failed} >= {
        "adding.result-is-true",
        "documents.bad-json",
    }


@pytest.mark.parametrize("what", [b"", b"no program\n", b"\x7fELF"])
def test_a_file_that_is_no_program(what: bytes, tmp_path: Path) -> None:
    wrong_plugins.make(tmp_path)
    (tmp_path / "bridge").write_bytes(what)
    (tmp_path / "bridge").chmod(0o755)
    (outcome,) = run(SAMPLES["bridge"], [tmp_path], [BY_NAME["versions.version"]], seed=1)
    assert outcome.failed and "can't be executed" in outcome.message
    assert outcome.shown is None


def test_a_process_left_behind_that_holds_stdout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "PATIENCE", 0.5)
    wrong_plugins.make(tmp_path)
    wrong_plugins.write(tmp_path / "bridge", wrong_plugins.LEAVES_SOMEBODY)
    (outcome,) = run(SAMPLES["bridge"], [tmp_path], [BY_NAME["documents.no-name"]], seed=1)
    assert outcome.failed and "holds its stdout" in outcome.message
