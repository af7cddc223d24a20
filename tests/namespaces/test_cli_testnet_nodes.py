"""`pynet testnet exec` and `shell`: what runs in a node, and how it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from standing_labs import PYNET, Commands

from pynet.testnets.lab.births import born_at
from pynet.testnets.lab.lab import Lab
from pynet.testnets.standing.standing import Door, Registry, Standing


@pytest.fixture
def commands(tmp_path: Path) -> Commands:
    (tmp_path / "runtime").mkdir(mode=0o700)
    return Commands(tmp_path, tmp_path / "runtime")


@pytest.fixture
def two(lab: Lab, commands: Commands, monkeypatch: pytest.MonkeyPatch) -> Iterator[Standing]:
    """A lab with two hosts side by side, and a container without an interface."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(commands.runtime))
    one, other = lab.host("h1"), lab.host("h2")
    lab.wire(one, "eth0", other, "eth0", addresses=(["192.0.2.1/24"], ["192.0.2.2/24"]))
    container = one.container("c")
    user = os.geteuid() != 0
    standing = Standing(
        name="two",
        file="two.yaml",
        pid=lab.pid,
        born=born_at(lab.pid),
        since=time.time(),
        doors={
            "h1": Door(one.pid, one.inner_pid, user=user),
            "h2": Door(other.pid, other.inner_pid, user=user),
            "c": Door(one.pid, one.inner_pid, container.path, user=user),
        },
    )
    Registry().record(standing)
    yield standing


pytestmark = pytest.mark.usefixtures("two")


def test_a_command_runs_in_the_node_it_names(commands: Commands) -> None:
    assert commands("exec", "two", "h1", "--", "hostname").lines == ["h1"]
    assert "192.0.2.2/24" in commands("exec", "two", "h2", "ip", "-br", "address").stdout
    assert commands("exec", "two", "c", "ls", "/sys/class/net").status == 0
    assert "192.0.2" not in commands("exec", "two", "c", "--", "ip", "address").stdout
    assert commands("exec", "two", "h1", "--", "ping", "-c1", "192.0.2.2").status == 0


def test_its_exit_status_is_passed_on(commands: Commands) -> None:
    assert commands("exec", "two", "c", "--", "sh", "-c", "exit 7").status == 7
    assert commands("exec", "two", "c", "--", "sh", "-c", "kill -TERM $$").status == -15
    missing = commands("exec", "two", "c", "--", "no-such-command")
    assert (missing.status, missing.stderr) == (
        127,
        "pynet: no-such-command: there is no such command\n",
    )
    assert commands("exec", "two", "c", "--", "/etc").status == 126


def test_it_has_our_files_and_our_directory(commands: Commands) -> None:
    (commands.directory / "here").write_text("text")
    assert commands("exec", "two", "c", "--", "cat", "here").stdout == "text"
    assert commands("exec", "two", "c", "--", "cat", stdin="said").stdout == "said"


def test_it_does_not_know_our_session(commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CNI_COMMAND", "ADD")
    monkeypatch.setenv("COLOUR", "blue")
    said = commands("exec", "two", "h1", "--", "env").lines
    assert "COLOUR=blue" in said
    assert not [line for line in said if line.startswith(("CNI_", "XDG_", "PYNET_"))]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_with_the_command_that_started_it(
    commands: Commands, number: signal.Signals
) -> None:
    script = "trap 'echo told; exit 3' TERM INT; echo ready; while :; do sleep 0.05; done"
    with commands.running("exec", "two", "c", "--", "sh", "-c", script) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        assert process.stdout.readline() == "told\n"
        assert process.wait() == 3


def test_it_does_not_outlive_a_killed_command(commands: Commands) -> None:
    with commands.running(
        "exec", "two", "c", "--", "sh", "-c", "echo ready; exec sleep 100"
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        process.kill()
        assert process.stdout.read() == ""  # the pipe's last writer is gone


def test_who_is_unknown_is_told_apart(commands: Commands) -> None:
    unknown = commands("exec", "tow", "h1", "--", "true")
    assert (unknown.status, unknown.stderr.count("\n")) == (1, 1)
    assert "no lab 'tow' stands; there is two, did you mean 'two'?" in unknown.stderr
    node = commands("exec", "two", "h3", "--", "true")
    assert (node.status, node.stderr) == (1, "pynet: lab two has no node 'h3'; it has h1, h2, c\n")
    assert commands("exec", "two", "h1").status == 2
    assert commands("exec", "two", "h1", "--").status == 2


def test_in_a_shell_every_node_is_a_command(commands: Commands) -> None:
    script = "h1 hostname\nh2 sh -c 'hostname; exit 4'\necho $?\nh1 ping -c1 192.0.2.2 | head -1\n"
    said = commands("shell", "two", stdin=script)
    assert said.lines[:3] == ["h1", "h2", "4"]
    assert said.lines[3].startswith("PING 192.0.2.2")
    assert said.status == 0
    assert commands("shell", "two", stdin="h1 sh -c 'exit 5'").status == 5
    assert sorted(path.suffix for path in (commands.runtime / "pynet/testnets").iterdir()) == [
        ".json"
    ]


def test_a_shell_in_a_node_has_them_too(commands: Commands) -> None:
    script = "hostname\nh2 hostname\nc ip address | grep -c 192.0.2\nexit 6\n"
    said = commands("shell", "two", "h1", stdin=script)
    assert (said.lines, said.status) == (["h1", "h2", "0"], 6)


def test_a_node_called_like_a_command_hides_it_from_the_shell_alone(
    commands: Commands, two: Standing, monkeypatch: pytest.MonkeyPatch
) -> None:
    doors = {**two.doors, "hostname": two.doors["h2"]}
    Registry().record(Standing(**{**vars(two), "doors": doors}))
    assert commands("shell", "two", stdin="hostname hostname").lines == ["h2"]
    assert commands("shell", "two", "h1", stdin="hostname hostname").lines == ["h2"]


def test_a_terminal_gets_a_prompt_and_interrupts_the_command_once(commands: Commands) -> None:
    script = (
        "trap 'echo told; n=1' INT; echo ready; while [ -z $n ]; do sleep 0.05; done; sleep 0.3"
    )
    line = f'\nc sh -c "{script}"\n'
    terminal, end = os.openpty()
    with subprocess.Popen(
        [*PYNET, "shell", "two"],
        stdin=end,
        stdout=end,
        stderr=end,
        env=commands.environ | {"HOME": str(commands.directory), "TERM": "dumb"},
        start_new_session=True,
        preexec_fn=lambda: os.open(os.ttyname(0), os.O_RDWR),  # makes it the session's terminal
    ) as shell:
        os.close(end)
        _until(terminal, "(two) ")
        os.write(terminal, line.replace("$n", '\\"\\$n\\"').encode())
        _until(terminal, "\nready")
        os.write(terminal, b"\x03")
        said = _until(terminal, "(two) ")
        assert said.count("told") == 1
        os.write(terminal, b"exit 9\n")
        assert shell.wait(20) == 9
    os.close(terminal)


def _until(terminal: int, text: str) -> str:
    """What is said on a terminal up to `text`."""
    said = ""
    while text not in said.replace("\r", ""):
        said += os.read(terminal, 4096).decode()
    return said
