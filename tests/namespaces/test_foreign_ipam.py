"""Somebody else's IPAM under our main plugin, and ours under somebody else's."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import drive
import pytest
from drive import Runtime
from evidence import nothing_left, rest, rows
from pools import BASE, Config, given
from scenes import add, container, in_host, lines, refused, succeed, the_error

FOREIGN = """#!/bin/sh
# Notes how it was called, and answers as the file beside it says.
config=$(cat)
echo "$CNI_COMMAND $CNI_CONTAINERID $CNI_IFNAME $CNI_NETNS $CNI_ARGS" >> /run/foreign.calls
echo "$config" > /run/foreign.stdin
echo "a line of log" >&2
test -e /run/foreign.$CNI_COMMAND && { cat /run/foreign.$CNI_COMMAND; exit 1; }
test $CNI_COMMAND = ADD && cat /run/foreign.result
exit 0
"""
RESULT = {
    "cniVersion": "1.1.0",
    "ips": [{"address": "10.5.0.9/24", "gateway": "10.5.0.1"}],
    "routes": [{"dst": "0.0.0.0/0"}],
    "dns": {"nameservers": ["9.9.9.9"]},
}


def foreign(name: str = "whereabouts") -> Config:
    """The configuration of a bridge with an IPAM plugin of somebody else's."""
    Path("/run/plugins").mkdir(exist_ok=True)
    binary = Path("/run/plugins", name)
    binary.write_text(FOREIGN)
    binary.chmod(0o755)
    Path("/run/foreign.result").write_text(json.dumps(RESULT))
    return {**BASE, "type": "bridge", "isGateway": True, "ipam": {"type": name, "pool": "blue"}}


def with_plugins(name: str = "c1") -> Runtime:
    environ = {"CNI_PATH": "/nowhere:/run/plugins", "CNI_ARGS": "K8S=1;IgnoreUnknown=1"}
    return replace(container(name), environ=environ)


def calls() -> list[str]:
    file = Path("/run/foreign.calls")
    found = file.read_text().splitlines() if file.exists() else []
    file.unlink(missing_ok=True)
    return [line.split()[0] for line in found]


@pytest.mark.parametrize("name", ["whereabouts", "host-local"])
@in_host
def test_every_command_is_passed_on(name: str) -> None:
    """One of our names, too, is somebody else's where the first of that name in CNI_PATH is."""
    wanted = foreign(name)
    one = with_plugins()
    result = add(wanted, one)
    assert Path("/run/foreign.calls").read_text() == (
        "ADD c1 eth0 /run/netns/c1 K8S=1;IgnoreUnknown=1\n"
    )
    assert json.loads(Path("/run/foreign.stdin").read_text()) == wanted
    assert given(result) == ["10.5.0.9/24"] and result["dns"] == RESULT["dns"]
    assert "address eth0 10.5.0.9/24" in lines("c1")
    calls()
    checked = {**wanted, "prevResult": result}
    succeed("CHECK", checked, one)
    assert json.loads(Path("/run/foreign.stdin").read_text()) == checked
    succeed("STATUS", wanted, one)
    living = [{"containerID": "c1", "ifname": "eth0"}]
    succeed("GC", {**wanted, "cni.dev/valid-attachments": living}, one)
    assert "valid-attachments" in Path("/run/foreign.stdin").read_text()
    succeed("DEL", checked, one)
    assert calls() == ["CHECK", "STATUS", "GC", "DEL"]


@in_host
def test_a_foreign_failure_is_passed_on_and_all_is_undone() -> None:
    wanted = foreign()
    add(wanted, with_plugins("c2"))
    calls()
    Path("/run/foreign.ADD").write_text('{"code": 11, "msg": "pool is busy", "details": "x"}')
    refused(11, "whereabouts|pool is busy", "ADD", wanted, with_plugins("c1"))
    assert calls() == ["ADD", "DEL"]
    Path("/run/foreign.ADD").write_text('{"code": 150, "msg": "something of ours"}')
    refused(103, "whereabouts|something of ours", "ADD", wanted, with_plugins("c3"))
    Path("/run/foreign.ADD").write_text("Segmentation fault")
    refused(103, "whereabouts|exit status 1", "ADD", wanted, with_plugins("c4"))


@in_host
def test_who_refuses_has_given_nothing_that_would_hold_the_container() -> None:
    """An old plugin, for one, that knows nothing of the configuration's version."""
    wanted = foreign()
    add(wanted, with_plugins("c2"))
    calls()
    for command in ("ADD", "DEL"):
        Path(f"/run/foreign.{command}").write_text('{"code": 1, "msg": "incompatible versions"}')
    one = with_plugins("c1")
    for _ in range(2):
        refused(1, "incompatible versions", "ADD", wanted, one)
        assert calls() == ["ADD", "DEL"]
    succeed("DEL", {**wanted, "ipam": {}}, one)
    assert calls() == []


@pytest.mark.parametrize(
    "answer, words",
    [
        ("", "whereabouts|no address"),
        ("{}", "whereabouts|no address"),
        ("nonsense", "whereabouts|JSON"),
        ('{"cniVersion": "1.1.0", "ips": [{"address": "x"}]}', "ips[0].address"),
        ('{"cniVersion": "0.2.0", "ip4": {"ip": "10.5.0.9/24"}}', "cniVersion|0.2.0"),
    ],
)
@in_host
def test_an_answer_that_is_none(answer: str, words: str) -> None:
    wanted = foreign()
    add(wanted, with_plugins("c2"))
    calls()
    Path("/run/foreign.result").write_text(answer)
    error = refused_any(words, "ADD", wanted, with_plugins("c1"))
    assert error["code"] in (7, 103)
    assert calls() == ["ADD", "DEL"]


def refused_any(words: str, command: str, wanted: Config, one: Runtime) -> Any:
    before = rest()
    error = the_error(drive.call(command, wanted, one))
    assert all(word in error["msg"] for word in words.split("|")), error
    assert rest() == before
    return error


@in_host
def test_a_foreign_del_that_fails_is_tried_again_by_gc() -> None:
    wanted = foreign()
    add(wanted, with_plugins("c2"))
    before = rest()
    one = with_plugins("c1")
    add(wanted, one)
    Path("/run/foreign.DEL").write_text('{"code": 11, "msg": "server is away"}')
    error = the_error(drive.call("DEL", wanted, one))
    assert error["code"] == 11 and "server is away" in error["msg"]
    left = nothing_left(before, rest())
    assert left and all(line.startswith("row ") for line in left)
    Path("/run/foreign.DEL").unlink()
    calls()
    living = [{"containerID": "c2", "ifname": "eth0"}]
    succeed("GC", {**wanted, "cni.dev/valid-attachments": living}, one)
    assert calls() == ["DEL", "GC"]
    assert rest() == before


@in_host
def test_without_a_record_the_foreign_del_is_run_all_the_same() -> None:
    wanted = foreign()
    succeed("DEL", wanted, with_plugins())
    assert calls() == ["DEL"]


@in_host
def test_a_del_does_without_an_ipam_plugin_that_is_gone() -> None:
    """Nothing is recorded, so there is nothing it would have to give back that we know of."""
    succeed("DEL", {**BASE, "type": "bridge", "ipam": {"type": "gone"}}, container("c1"))


@in_host
def test_a_foreign_status_and_check_count() -> None:
    wanted = foreign()
    one = with_plugins()
    result = add(wanted, one)
    for command in ("STATUS", "CHECK"):
        Path(f"/run/foreign.{command}").write_text('{"code": 50, "msg": "no server"}')
        refused(50, "no server", command, {**wanted, "prevResult": result}, one)


@in_host
def test_host_local_under_somebody_elses_main_plugin() -> None:
    """As an executable it is called with the main plugin's configuration and environment."""
    ipam = {"type": "host-local", "subnet": "10.1.0.0/24"}
    wanted = {**BASE, "type": "macvlan", "master": "eth7", "ipam": ipam}
    stdin = json.dumps(wanted).encode()
    one = container("c1")

    def call(command: str, text: bytes = stdin) -> drive.Outcome:
        outcome = drive.raw_call("host-local", one.environment(command), text)
        assert outcome.status == 0, outcome.stdout
        return outcome

    before = rest()
    result = call("ADD").document
    assert given(result) == ["10.1.0.2/24"]
    assert "interfaces" not in result and "interface" not in result["ips"][0]
    ours = {**result["ips"][0], "interface": 0}
    told = {
        **result,
        "interfaces": [{"name": "eth0", "sandbox": "/run/netns/c1"}],
        "ips": [ours],
    }
    call("CHECK", json.dumps({**wanted, "prevResult": told}).encode())
    call("STATUS")
    call("DEL", json.dumps({**wanted, "prevResult": told}).encode())
    assert nothing_left(before, rest()) == []


@pytest.mark.parametrize(("text", "times"), [("[", 100_000), ("[]", 1), ("x", 9 << 20)])
@in_host
def test_what_is_no_result_is_its_error(text: str, times: int) -> None:
    wanted, one = foreign(), with_plugins()
    Path("/run/foreign.result").write_text(text * times)
    outcome = drive.call("ADD", wanted, one)
    assert outcome.code == 103, outcome.stdout[:500]
    assert len(outcome.stdout) < 2000
    succeed("DEL", wanted, one)
    assert rows() == set()
