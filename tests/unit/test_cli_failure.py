"""Errors of the command line: one line for people, one document for programs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import click
import pytest

from pynet.cli import main
from pynet.cli.cni.execution import PluginError
from pynet.cli.failure import Findings, failure, line
from pynet.cli.output import json_option
from pynet.model.errors import CniError, ConfigError

ID = "52ba91c04e7f" + "0" * 52


def fails(error: Exception, arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    """The exit status of a command line whose command ends with `error`."""

    @click.command()
    @json_option
    def failing(as_json: bool) -> None:
        raise error

    monkeypatch.setattr(main.pynet, "get_command", lambda ctx, name: failing)
    return main.run(["status", *arguments])


@pytest.mark.parametrize(
    ("error", "status", "document"),
    [
        (
            ConfigError("name: missing; create it: `pynet network create web`", details="name"),
            1,
            {
                "code": 7,
                "message": "name: missing; create it: `pynet network create web`",
                "details": "name",
                "hint": "pynet network create web",
            },
        ),
        (
            PluginError("theirs ADD: no", 4711, json.dumps([{"subject": "x"}])),
            1,
            {
                "code": 4711,
                "message": "theirs ADD: no",
                "details": [{"subject": "x"}],
                "hint": None,
            },
        ),
        (
            FileNotFoundError(2, "No such file", "/x"),
            1,
            {"code": 5, "message": "/x: No such file", "details": None, "hint": None},
        ),
        (
            click.ClickException("a\nb"),
            1,
            {"code": None, "message": "a b", "details": None, "hint": None},
        ),
        (
            Findings(["f:1: one", "f:2: two"]),
            2,
            {
                "code": None,
                "message": "f:1: one f:2: two",
                "details": ["f:1: one", "f:2: two"],
                "hint": None,
            },
        ),
    ],
)
def test_under_json_an_error_is_a_document(
    error: Exception,
    status: int,
    document: object,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert fails(error, ["--json"], monkeypatch) == status
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert (found.pop("schema"), err) == ("pynet.error/1", "")
    assert found == document
    assert fails(error, [], monkeypatch) == status
    out, err = capsys.readouterr()
    assert (out, err != "") == ("", True)


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["attach", "--json"], "pynet attach --help"),
        (["detatch", "c1", "--json"], "pynet --help"),
        (["cni", "add", "web", "c1", "--nonsense", "--json"], "pynet cni add --help"),
        (["network", "ls", "--json", "--conf-dir", "/nonexistent"], "pynet network ls --help"),
    ],
)
def test_a_wrong_line_is_one_too(
    arguments: list[str], hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(arguments) == 2
    out, err = capsys.readouterr()
    document = json.loads(out)
    assert (document["schema"], document["hint"], err) == ("pynet.error/1", hint, "")
    assert document["code"] is None


def test_a_mistake_of_ours_is_one_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fails(KeyError("missing"), ["--json"], monkeypatch) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["code"] == 999
    assert document["message"].startswith("internal error: KeyError: 'missing' (test_cli_failure")


def test_what_a_command_in_a_lab_is_given_is_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert main.run(["testnet", "exec", "nolab", "a", "ip", "--json"]) == 1
    assert capsys.readouterr().err.startswith("pynet: ")


def test_each_reason_is_told_once_and_no_internals() -> None:
    same = [ConfigError("no such chain"), ConfigError("no such chain"), OSError("else")]
    assert line(ExceptionGroup("several", same)) == "no such chain; else"
    taken = CniError(f"container {ID} has it", details=json.dumps({"record": 7}))
    assert line(taken) == "container 52ba91c04e7f has it"
    assert failure(taken).to_json()["details"] == {"record": 7}
    assert ID in failure(taken).message


@pytest.mark.parametrize(
    ("message", "hint"),
    [
        ("no; choose another, or detach it: `pynet detach c1 web`", "pynet detach c1 web"),
        ("`pynet inspect` shows what is", "pynet inspect"),
        ("missing (`/opt/v/bin/python -m pip install x`)", "/opt/v/bin/python -m pip install x"),
        ("`iptables-nft -S`: Permission denied", None),
        ("`systemctl disable --now pynetd.socket` failed: no", None),
    ],
)
def test_a_hint_is_a_command_that_helps(message: str, hint: str | None) -> None:
    assert failure(ConfigError(message)).hint == hint


def test_every_command_has_a_short_way_to_its_help() -> None:
    """In a fresh interpreter: click keeps the help option of a command once it was asked for."""
    lines = ["", "attach", "cni add", "network validate", "testnet up", "uninstall"]
    script = (
        "import sys\nfrom pynet.cli.main import run\n"
        "print([run([*line.split(), '-h']) for line in sys.argv[1:]], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *lines], capture_output=True, text=True, check=True
    )
    assert done.stderr == f"{[0] * len(lines)}\n"
    for line_ in lines:
        assert f"Usage: {f'pynet {line_}'.strip()} [OPTIONS]" in done.stdout
