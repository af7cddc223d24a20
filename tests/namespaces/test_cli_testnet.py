"""`pynet testnet` from up to down: what each command says, leaves behind, and ends with."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
from standing_labs import Commands, Outcome

from pynet.testnets import gallery
from pynet.testnets.lab.births import born_at

TWO = """\
name: two
nodes:
  h1: host
  h2: host
  sw: switch
links:
  - h1:eth1 -- sw
  - h2:eth1 -- sw
networks:
  web: {subnets: [10.1.0.0/24], hosts: [h1]}
containers:
  a@h1: {networks: [web]}
checks:
  - tcp: {from: h1, to: "a:80"}
  - deny: {from: h2, to: "a:80"}
"""
WRONG = TWO.replace("h2:eth1 -- sw", "h3:eth1 -- sw").replace("from: h1", "from: h9")
FAILING = TWO.replace("from: h1,", "from: h2,")


@pytest.fixture
def pynet(tmp_path: Path) -> Iterator[Commands]:
    """Runs `pynet testnet ...` beside the file two.yaml; its labs end with the test."""
    (tmp_path / "runtime").mkdir(mode=0o700)
    (tmp_path / "two.yaml").write_text(TWO)
    commands = Commands(tmp_path, tmp_path / "runtime")
    yield commands
    assert commands("down", "--all").status == 0


@pytest.fixture
def two(pynet: Commands) -> int:
    """A lab that stands; the pid of its holder."""
    assert pynet("up", "two.yaml", "--detach").status == 0
    return only_lab(pynet)["pid"]


def labs(pynet: Commands) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(pynet("ls", "--json").stdout)["labs"]
    return found


def only_lab(pynet: Commands) -> dict[str, int]:
    (lab,) = labs(pynet)
    return lab  # type: ignore[return-value]  # of what is asked for here


def reaches(pynet: Commands, node: str, other: str) -> bool:
    return pynet("exec", "two", node, "ping", "-c1", "-W1", other).status == 0


# --- up and down --------------------------------------------------------------------------------


def test_a_detached_lab_stands_until_it_is_taken_down(pynet: Commands) -> None:
    said = pynet("up", "two.yaml", "--detach")
    assert (said.status, said.stderr) == (0, "")
    assert said.stdout.startswith("lab two is up: 3 nodes, 1 container, ")
    lab = only_lab(pynet)
    file = str(pynet.directory / "two.yaml")
    assert (lab["name"], lab["file"], lab["nodes"], lab["containers"]) == ("two", file, 3, 1)
    assert pynet("ls").lines[1].split()[:3] == ["two", "3", "1"]
    assert born_at(lab["pid"])
    assert pynet("down", "two").lines == ["lab two is gone"]
    assert born_at(lab["pid"]) == ""
    assert labs(pynet) == []
    assert list((pynet.runtime / "pynet" / "testnets").iterdir()) == []


def test_labs_of_one_file_stand_side_by_side(pynet: Commands, two: int) -> None:
    assert pynet("up", "two.yaml", "--detach", "--name", "other").status == 0
    assert [lab["name"] for lab in labs(pynet)] == ["other", "two"]
    assert pynet("exec", "other", "h1", "touch", "/run/here").status == 0
    assert pynet("exec", "two", "h1", "ls", "/run/here").status != 0
    ended = pynet("down", "other", "two", "--json")
    assert json.loads(ended.stdout) == {"schema": "pynet.testnet.down/1", "ended": ["other", "two"]}


def test_names_resolve_in_every_node(pynet: Commands, two: int) -> None:
    for node, other in (("h1", "h2"), ("h1", "a"), ("a", "h2")):
        assert reaches(pynet, node, other), (node, other)
    assert "a" in pynet("exec", "two", "sw", "getent", "hosts", "a").stdout
    assert "h1-eth1" in pynet("exec", "two", "sw", "ip", "link").stdout


def test_a_lab_in_the_foreground_ends_with_ctrl_c(pynet: Commands) -> None:
    with pynet.running("up", "two.yaml") as up:
        assert up.stdout
        assert "lab two is up" in up.stdout.readline()
        holder = only_lab(pynet)["pid"]
        assert reaches(pynet, "h1", "a")
        up.send_signal(signal.SIGINT)
        assert up.wait() == 0
    assert born_at(holder) == ""
    assert list((pynet.runtime / "pynet" / "testnets").iterdir()) == []


def test_a_lab_in_the_foreground_does_not_outlive_a_kill(pynet: Commands) -> None:
    with pynet.running("up", "two.yaml") as up:
        assert up.stdout
        up.stdout.readline()
        holder = os.pidfd_open(only_lab(pynet)["pid"])
        up.kill()
        assert _ended(holder)
    assert labs(pynet) == []


def _ended(pidfd: int) -> bool:
    from select import POLLIN, poll

    waiting = poll()
    waiting.register(pidfd, POLLIN)
    return bool(waiting.poll(20_000))


def test_a_command_killed_half_way_stands_in_nobodys_way(pynet: Commands) -> None:
    with pynet.running("up", "two.yaml") as up:
        deadline = time.monotonic() + 20
        while not list(pynet.runtime.glob("pynet/testnets/two.*")):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        up.kill()
        up.wait()
    assert labs(pynet) == []
    assert pynet("up", "two.yaml", "--detach").stderr == ""


def test_down_ends_the_command_that_keeps_a_lab(pynet: Commands) -> None:
    with pynet.running("up", "two.yaml") as up:
        assert up.stdout
        assert up.stderr
        up.stdout.readline()
        assert pynet("down", "two").status == 0
        assert up.wait() == 0
        assert up.stderr.read().endswith("somebody has ended lab two\n")


def test_up_of_a_standing_lab_changes_what_the_file_says_otherwise(
    pynet: Commands, two: int
) -> None:
    assert pynet("exec", "two", "h2", "touch", "/run/here").status == 0
    assert pynet("up", "two.yaml").lines == ["lab two is as the file says already"]
    (pynet.directory / "two.yaml").write_text(
        TWO.replace("a@h1: {", "b@h1: {").partition("checks")[0]
    )
    said = pynet("up", "two.yaml")
    assert said.lines[0] == "lab two is as the file says now:"
    assert len(said.lines) == 3
    assert [line.split(":")[0].split()[-1] for line in said.lines[1:]] == ["a", "b"]
    assert only_lab(pynet)["pid"] == two
    assert reaches(pynet, "h1", "b")
    assert pynet("exec", "two", "a", "true").status == 1
    assert pynet("exec", "two", "h2", "ls", "/run/here").status == 0


def test_up_says_it_for_programs(pynet: Commands) -> None:
    first = json.loads(pynet("up", "two.yaml", "-d", "--check", "--json").stdout)
    assert first["schema"] == "pynet.testnet.up/2"
    assert (first["name"], first["stays"], first["changed"]) == ("two", True, None)
    assert [check["passed"] for check in first["checks"]] == [True, True]
    assert json.loads(pynet("up", "two.yaml", "--json").stdout)["changed"] == []


# --- checks -------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [("up", "two.yaml", "--check"), ("check", "two.yaml")])
def test_a_file_is_checked_and_nothing_is_left(pynet: Commands, arguments: tuple[str, ...]) -> None:
    passed = pynet(*arguments)
    assert passed.status == 0
    assert passed.lines[-3].startswith("passed  tcp h1 -> a:80")
    assert passed.lines[-1] == "2 checks, none failed"
    (pynet.directory / "two.yaml").write_text(FAILING)
    failed = pynet(*arguments)
    assert failed.status == 1
    assert [line for line in failed.lines if line.startswith("FAILED  tcp h2 -> a:80")]
    assert failed.lines[-1] == "2 checks, 1 failed"
    assert labs(pynet) == []


def test_a_standing_lab_is_checked_as_it_is(pynet: Commands, two: int) -> None:
    assert pynet("check", "two").status == 0
    assert pynet("exec", "two", "a", "ip", "link", "set", "eth0", "down").status == 0
    assert pynet("check", "two", "-k", "tcp a:80").status == 1
    assert pynet("check", "two", "-k", "deny").status == 0
    assert only_lab(pynet)["pid"] == two


def test_outcomes_for_programs(pynet: Commands) -> None:
    (pynet.directory / "two.yaml").write_text(FAILING)
    said = pynet("check", "two.yaml", "--json", "--junit", "out.xml")
    document = json.loads(said.stdout)
    assert (said.status, document["schema"]) == (1, "pynet.testnet.check/2")
    assert [check["passed"] for check in document["checks"]] == [False, True]
    (suite,) = ElementTree.parse(pynet.directory / "out.xml").getroot()
    assert (suite.get("name"), suite.get("tests"), suite.get("failures")) == ("two", "2", "1")


def test_words_that_no_check_has_are_wrong_usage(pynet: Commands, two: int) -> None:
    said = pynet("check", "two", "-k", "mesh")
    assert said.status == 2
    assert "no check has 'mesh' in it; there is: tcp h1 -> a:80; deny tcp h2 -> a:80" in said.stderr


# --- mistakes -----------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["up", "check", "graph"])
def test_what_is_wrong_with_a_file_is_a_line_each(pynet: Commands, command: str) -> None:
    (pynet.directory / "two.yaml").write_text(WRONG)
    said = pynet(command, "two.yaml")
    assert (said.status, said.stdout) == (2, "")
    assert [line.partition(": ")[0] for line in said.stderr.splitlines()] == [
        "two.yaml:8",
        "two.yaml:14",
    ]


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["up", "duel-stack"], 2, "no file 'duel-stack', and no topology of that name"),
        (["up", "two.yaml", "--name", "a/b"], 2, "can't be a lab's name"),
        (["down"], 2, "give the names of labs, or --all"),
        (["down", "two", "--all"], 2, "give the names of labs, or --all"),
        (["down", "two"], 1, "no lab 'two' stands; `pynet testnet up FILE --detach` makes one"),
        (["impair", "two", "h1 -- sw"], 2, "give some of rate=, delay= and loss="),
        (["impair", "two", "h1 -- sw", "loss=lots"], 2, "loss"),
        (["validate"], 2, "give files to look at, or --schema"),
    ],
)
def test_mistakes_of_a_command_line(
    pynet: Commands, arguments: list[str], status: int, said: str
) -> None:
    answer = pynet(*arguments)
    assert (answer.status, answer.stdout) == (status, "")
    assert answer.stderr.count("\n") == 1
    assert said in answer.stderr


def test_validate_notes_what_is_often_not_meant(pynet: Commands) -> None:
    said = pynet("validate", "overlapping-subnets")
    assert said.status == 0
    assert said.lines[-1] == "1 file, no mistakes"
    (note,) = said.lines[:-1]
    assert "overlapping-subnets.yaml:14: networks.web: it has containers on h1, h2, and" in note
    assert note.startswith("note: ")
    noted = json.loads(pynet("validate", "overlapping-subnets", "two.yaml", "--json").stdout)
    assert noted["findings"] == []
    assert [each["where"] for each in noted["notes"]] == ["networks.web"]


def test_validate(pynet: Commands) -> None:
    assert pynet("validate", "two.yaml", "dual-stack").lines == ["2 files, no mistakes"]
    (pynet.directory / "wrong.yaml").write_text(WRONG)
    said = pynet("validate", "two.yaml", "wrong.yaml")
    assert (said.status, said.stderr, len(said.lines)) == (1, "", 2)
    assert said.lines[0].startswith("wrong.yaml:8: ")
    findings = json.loads(pynet("validate", "wrong.yaml", "--json").stdout)["findings"]
    assert [(each["file"], each["line"]) for each in findings] == [
        ("wrong.yaml", 8),
        ("wrong.yaml", 14),
    ]


def test_the_schema_is_for_editors(pynet: Commands) -> None:
    schema = json.loads(pynet("validate", "--schema").stdout)
    assert {"nodes", "links", "containers", "checks"} <= set(schema["properties"])


# --- pictures and links ---------------------------------------------------------------------------


def test_graph_of_a_file_and_of_a_lab(pynet: Commands, two: int) -> None:
    assert pynet("graph", "two.yaml", "-o", "two.svg").lines == ["two.svg"]
    assert ElementTree.parse(pynet.directory / "two.svg").getroot().tag.endswith("}svg")
    assert pynet("graph", "two.yaml", "-o", "two.mmd").status == 0
    assert (pynet.directory / "two.mmd").read_text() == pynet(
        "graph", "two.yaml", "--format", "mermaid"
    ).stdout
    assert pynet("graph", "two.yaml", "--format", "dot").stdout != pynet("graph", "two.yaml").stdout
    address = "10.1.0.2/24"
    assert address not in pynet("graph", "./two.yaml").stdout
    assert address in pynet("graph", "two").stdout


def test_an_impaired_link_is_whole_again(pynet: Commands, two: int) -> None:
    link = ("impair", "two", "h1--sw")
    assert pynet(*link, "loss=100%").lines == ["h1 -- sw: loss=100%"]
    assert not reaches(pynet, "h1", "h2")
    assert pynet(*link, "--clear").lines == ["h1 -- sw: whole again"]
    assert reaches(pynet, "h1", "h2")
    assert json.loads(pynet(*link, "loss=100%", "--json").stdout)["link"] == "h1 -- sw"
    assert pynet("up", "two.yaml").lines[1:] == ["  link h1 -- sw: as the file says again"]
    assert reaches(pynet, "h1", "h2")
    unknown = pynet("impair", "two", "h1 -- h2", "--clear")
    assert (unknown.status, unknown.stdout) == (2, "")
    assert "there is h1 -- sw, h2 -- sw" in unknown.stderr


# --- completion -----------------------------------------------------------------------------------


def completed(pynet: Commands, *words: str) -> list[str]:
    line = " ".join(("pynet", "testnet", *(word.replace(" ", "\\ ") for word in words)))
    said = _completing(pynet, line, len(words) + 1)
    return [text.partition(",")[2] for text in said.lines if text.startswith("plain,")]


def _completing(pynet: Commands, line: str, word: int) -> Outcome:
    environ = {"_PYNET_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(word)}
    script = "from pynet.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=pynet.environ | environ,
        capture_output=True,
        text=True,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


def test_names_nodes_links_and_topologies_are_completed(pynet: Commands, two: int) -> None:
    assert completed(pynet, "down", "") == ["two"]
    assert completed(pynet, "exec", "two", "h") == ["h1", "h2"]
    assert completed(pynet, "shell", "two", "") == ["h1", "h2", "a", "sw"]
    assert completed(pynet, "impair", "two", "h1") == ["h1 -- sw"]
    assert completed(pynet, "up", "dual") == ["dual-stack"]
    assert completed(pynet, "check", "") == ["two", *gallery.names()]
    assert completed(pynet, "exec", "nobody", "") == []
