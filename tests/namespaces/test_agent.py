"""What has a life of its own: given by the agent, kept by it, and found again whoever dies."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from agents import AGENT_SOCKET, Beats, state_of
from executables import in_host, until
from heartbeat import FAIL, HANG, REFUSE

import pynet
from pynet.daemon import home
from pynet.daemon.settings import Mode
from pynet.model.errors import CniError
from pynet.testnets.lab.lab import Host, Process

DAEMON = (
    "-c",
    "import sys, pynet.daemon.server as s; s.LOOK_SECONDS = 0.2\n"
    "from pynet.daemon.__main__ import main; sys.exit(main())",
)
"""pynetd, whose half minutes are short."""


@pytest.fixture
def beats(host: Host, tmp_path: Path) -> Iterator[Beats]:
    made = Beats(host, tmp_path)
    yield made
    made.end_left_behind()


def good(outcome: object) -> None:
    assert getattr(outcome, "status", None) == 0, outcome


def is_dead(process: Process) -> bool:
    return process.poll() is not None


def test_a_lease_is_given_kept_and_given_back(beats: Beats) -> None:
    with beats.agent():
        added = beats.add()
        good(added)
        assert beats.beats()["token"] == added.document["dns"]["search"][0]
        good(beats.call("CHECK"))
        good(beats.add("c2"))
        beats.beats("c2")
        beats.assert_whole("c1", "c2")
        for container in ("c1", "c2"):
            good(beats.call("DEL", container))
        beats.assert_whole()
        good(beats.call("DEL"))


def test_the_same_attachment_is_added_again_after_it_was_deleted(beats: Beats) -> None:
    with beats.agent():
        tokens = set()
        for _ in range(2):
            tokens.add(beats.add().document["dns"]["search"][0])
            again = beats.call("ADD")
            assert again.code == 100, again
            beats.assert_whole("c1")
            good(beats.call("DEL"))
    assert len(tokens) == 2


def test_what_is_kept_is_found_again_after_a_kill_at_any_point(beats: Beats) -> None:
    """Of the agent: from the question over answer, commit and renewals to the release."""
    beats.most = 3
    fault, died = 0, True
    while died:
        fault += 1
        name = f"c{fault}"
        with beats.agent(fault=fault) as agent:
            died = not lives(beats, name, agent)
        if died:
            with beats.agent():
                revive(beats, name)
        beats.assert_whole()
    assert fault > 8, "too few fault points: the hook is not there"


def lives(beats: Beats, name: str, agent: Process) -> bool:
    """Whether the agent gives, keeps and takes back without being killed."""
    if beats.add(name).status == 0:
        until(lambda: is_dead(agent) or beats.has_beaten(name), "the heart does not beat")
        if beats.call("DEL", name).status == 0:
            return True
    until(lambda: is_dead(agent), "it fails, and nobody has killed it")
    return False


def revive(beats: Beats, name: str) -> None:
    """Another agent goes on where one was killed, whatever the callers were told."""
    if beats.answers():
        beats.assert_whole(name)
    else:
        good(beats.call("DEL", name))
        good(beats.add(name))
    until(lambda: beats.has_beaten(name), "the heart does not beat")
    beats.assert_whole(name)
    good(beats.call("DEL", name))


@pytest.mark.parametrize("command", ["ADD", "DEL"])
def test_a_caller_killed_at_any_point_leaves_nothing_kept(beats: Beats, command: str) -> None:
    fault, died = 0, True
    with beats.agent():
        while died:
            fault += 1
            name = f"c{fault}"
            beats.host.container(name)
            if command == "DEL":
                good(beats.call("ADD", name))
            died = beats.dies(command, name, fault)
            good(beats.call("DEL", name))
            beats.assert_whole()
    assert fault > 3, "too few fault points: the hook is not there"


def test_without_an_agent_and_none_to_be_left_behind(beats: Beats) -> None:
    refused = beats.add()
    assert refused.code == 50
    assert "PYNET_DAEMON=never" in refused.document["msg"]
    assert "pynet agent" in refused.document["msg"]
    assert beats.on_record() == 0, "nothing waits for somebody who was never asked"
    with beats.agent():
        good(beats.add("c1"))
    stuck = beats.call("DEL")
    assert stuck.code == 50
    assert "PYNET_DAEMON=never" in stuck.document["msg"]
    assert beats.kept() == []
    with beats.agent():
        good(beats.call("DEL"))
    beats.assert_whole()


def test_whoever_needs_one_leaves_it_behind(beats: Beats) -> None:
    good(beats.add("c1", Mode.AUTO))
    first = beats.agent_pid()
    assert first is not None
    count = beats.beats()["count"]
    beats.end_left_behind()
    until(lambda: beats.agent_pid() is None, "it can't be killed")
    good(beats.add("c2", Mode.AUTO))
    assert beats.agent_pid() not in (first, None)
    assert beats.beats("c1")["count"] > count
    beats.assert_whole("c1", "c2")
    for container in ("c1", "c2"):
        good(beats.call("DEL", container, Mode.AUTO))
    beats.assert_whole()


def test_a_service_that_fails_is_told_of_at_once_and_made_anew(beats: Beats) -> None:
    with beats.agent():
        good(beats.add())
        good(beats.add("c2", keeper="steady"))
        order = beats.order(FAIL)
        until(lambda: state_of(beats, "heartbeat")() == "failed", "it does not fail")
        refused = beats.add("c3")
        if state_of(beats, "heartbeat")() == "failed":
            assert refused.code == 11, refused
            assert "heartbeat has failed: RuntimeError: told to fail" in refused.document["msg"]
        assert state_of(beats, "steady")() == "running"
        good(beats.call("CHECK", "c2", keeper="steady"))
        order.unlink()
        beats.beats()
        for container in ("c1", "c3"):
            good(beats.call("DEL", container))
        good(beats.call("DEL", "c2", keeper="steady"))
        beats.assert_whole()


def test_one_that_refuses_leaves_nothing(beats: Beats) -> None:
    with beats.agent():
        order = beats.order(REFUSE)
        refused = beats.add()
        assert "told to refuse" in refused.document["msg"]
        beats.assert_whole()
        order.unlink()
        good(beats.add("c1"))
        beats.assert_whole("c1")


def test_one_that_hangs_holds_nobody_for_longer_than_was_said(beats: Beats) -> None:
    with beats.agent():
        good(beats.add("c0"))  # it runs
        order = beats.order(HANG)
        late = beats.add(seconds=0.5)
        assert late.code == 11, late
        assert "not answered within 0.5 s" in late.document["msg"]
        assert beats.call("DEL", seconds=0.5).code == 11
        order.unlink()
        until(lambda: beats.call("DEL", seconds=0.5).status == 0, "it is never given back")
        beats.assert_whole("c0")


def test_a_service_that_no_package_has(beats: Beats) -> None:
    with beats.agent():
        refused = beats.add(keeper="nobody")
        assert refused.code == 50, refused
        assert "pynet.services" in refused.document["msg"]
        assert beats.on_record() == 0


def test_of_two_agents_one_remains(beats: Beats) -> None:
    with beats.start() as first, beats.start() as second:
        ended = until(lambda: next((a for a in (first, second) if is_dead(a)), None), "both stay")
        assert ended.returncode == 0
        (other,) = {first, second} - {ended}
        until(beats.agent_pid, "the other one does not answer")
        good(beats.add())
        beats.beats()
        other.terminate()
        assert other.wait(30) == 0


def test_one_whose_package_is_another_leaves_its_place_to_that(
    beats: Beats, tmp_path: Path
) -> None:
    package = tmp_path / "package" / "__init__.py"
    package.parent.mkdir()
    package.write_text("# old")
    code = (
        "import sys, pynet.agent.__main__ as agent\n"
        "from pathlib import Path\n"
        "from pynet.daemon.installed import Installed\n"
        f"agent.installed = lambda: Installed(Path({str(package.parent)!r}))\n"
        "sys.exit(agent.main())"
    )
    with beats.agent(command=("-c", code)) as old:
        good(beats.add("c1"))
        first = beats.agent_pid()
        beats.beats("c1")
        package.write_text("# the next one")
        good(beats.add("c2", Mode.AUTO))
        assert old.wait(30) == 0
        assert beats.agent_pid() not in (first, None)
    beats.beats("c1")
    beats.beats("c2")
    beats.assert_whole("c1", "c2")
    for container in ("c1", "c2"):
        good(beats.call("DEL", container, Mode.AUTO))


def test_sigterm_ends_it_and_its_services(beats: Beats) -> None:
    with beats.agent() as agent:
        good(beats.add())
        beats.beats()
        agent.terminate()
        assert agent.wait(30) == 0
    there = {path.name for path in in_host(beats.host, AGENT_SOCKET).parent.iterdir()}
    assert not {"agent.sock", "agent.lock"} & there
    beats.assert_whole("c1")


def test_it_stays_while_it_keeps_something(beats: Beats) -> None:
    with beats.agent("--idle-exit", "3") as agent:
        good(beats.add())
        beats.beats(more=30)
        assert not is_dead(agent)
        good(beats.call("DEL"))
        assert agent.wait(60) == 0


def test_a_question_whose_descriptors_are_lost_is_not_answered(beats: Beats) -> None:
    """It would be taken for one about no namespace; who asks will ask again."""
    with beats.agent(), home.connect(in_host(beats.host, AGENT_SOCKET), 5.0) as connection:
        socket.send_fds(connection, [b'{"v": 1, "op": "about"}\n'], [0] * 20)
        assert connection.recv(1) == b""


def test_what_it_says_of_itself(beats: Beats) -> None:
    with beats.agent():
        good(beats.add())
        until(lambda: state_of(beats, "heartbeat")() == "running", "it does not run")
        (service,) = beats.about()["services"]
        assert (service["name"], service["keeps"], service["failures"]) == ("heartbeat", 1, 0)


@pytest.mark.parametrize(
    "question",
    [
        b"\n",
        b"[]\n",
        b'{"v": 2, "op": "about"}\n',
        b'{"v": 1}\n',
        b'{"v": 1, "op": "lease"}\n',
        b'{"v": 1, "op": "lease", "keeper": [], "record": {}, "claim": 1, "key": 1,'
        b' "seconds": ""}\n',
        b'{"v": 1, "op": "release", "keeper": "heartbeat", "record": 9, "claim": 1, "key": "k",'
        b' "seconds": 1}\n',
    ],
)
def test_what_is_no_question_is_refused(beats: Beats, question: bytes) -> None:
    _is_refused(beats, question)


def test_a_question_that_is_too_long_is_refused(beats: Beats) -> None:
    _is_refused(beats, b"x" * 3_000_000 + b"\n")


def _is_refused(beats: Beats, question: bytes) -> None:
    with beats.agent() as agent:
        with pytest.raises(CniError):
            beats.ask(question)
        assert beats.about()["version"]
        assert not is_dead(agent)


@pytest.mark.second_user
def test_another_user_is_not_served(beats: Beats) -> None:
    def ask() -> bytes:
        Path("/run/pynet").chmod(0o755)
        Path(AGENT_SOCKET).chmod(0o777)
        os.setuid(65534)
        with socket.socket(socket.AF_UNIX) as asking:
            asking.connect(AGENT_SOCKET)
            return asking.recv(1 << 16)

    with beats.agent():
        assert in_host(beats.host, AGENT_SOCKET).stat().st_mode & 0o777 == 0o600
        assert b"not 65534" in beats.host.call(ask)


def test_a_killed_one_is_no_reason_to_wait(beats: Beats) -> None:
    with beats.agent() as agent:
        good(beats.add())
        agent.send_signal(signal.SIGKILL)
        agent.wait(30)
    refused = beats.call("DEL")
    assert refused.code == 50
    good(beats.call("DEL", mode=Mode.AUTO))
    beats.assert_whole()


def test_pynet_status_shows_it_and_pynet_agent_is_it(beats: Beats) -> None:
    def status(*flags: str) -> str:
        environ = {"PYTHONPATH": beats.path, "PATH": os.environ["PATH"]}
        argv = [sys.executable, "-P", "-m", "pynet.cli"]
        done = beats.host.run([*argv, "status", *flags], env=environ, check=False)
        return done.stdout.decode()

    assert "none at /run/pynet/agent.sock" in status()
    with beats.agent(command=("-m", "pynet.cli", "agent")):
        good(beats.add())
        until(lambda: state_of(beats, "heartbeat")() == "running", "it does not run")
        assert "heartbeat running for" in status() and "keeps 1" in status()
        said = json.loads(status("--json"))
        assert said["agent"]["running"] and said["agent"]["version"] == pynet.__version__
        assert said["agent"]["services"][0]["keeps"] == said["store"]["kept"] == 1
        assert not [finding for finding in said["findings"] if finding.startswith("agent")]
    (finding,) = [
        each for each in json.loads(status("--json"))["findings"] if each.startswith("agent")
    ]
    assert "none runs, and 1 lease needs one" in finding


def test_the_daemon_sees_to_it_that_somebody_keeps_what_is_kept(beats: Beats) -> None:
    with beats.agent():
        good(beats.add())
    assert beats.agent_pid() is None
    count = beats.answers()["c1"]["count"]
    with beats.start(command=DAEMON) as daemon:
        until(beats.agent_pid, "nobody has left one behind")
        assert beats.beats()["count"] > count
        daemon.kill()
    good(beats.call("DEL"))
    beats.assert_whole()
