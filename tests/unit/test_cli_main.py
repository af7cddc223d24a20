"""The command `pynet` itself: what it loads, where errors end, what is printed where."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from pynet.cli import main, output
from pynet.model.errors import CniError, ConfigError

PYTHON = [sys.executable, "-c"]
SOURCES = Path(__file__).resolve().parents[2] / "src"


@pytest.fixture(autouse=True)
def _own_environment() -> Iterator[None]:
    """`--state-dir` and its like are put into the environment: no later test is to find them."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


def loaded_by(*arguments: str) -> set[str]:
    """The modules in memory after a command line was run in a fresh interpreter."""
    script = (
        "import sys\nfrom pynet.cli.main import run\n"
        f"status = run({list(arguments)!r})\n"
        "print('LOADED', status, *sys.modules, file=sys.stderr)\n"
    )
    done = subprocess.run([*PYTHON, script], capture_output=True, text=True, check=True)
    status, *modules = done.stderr.rpartition("LOADED")[2].split()
    assert status == "0", done
    return set(modules)


@pytest.mark.parametrize("arguments", [("--version",), ("--help",)])
def test_version_and_help_load_no_command(arguments: tuple[str, ...]) -> None:
    modules = loaded_by(*arguments)
    assert "pynet.cli.main" in modules
    assert {name for name in modules if name.startswith("pynet.cli.")} <= {
        "pynet.cli.main",
        "pynet.cli.lazy",
    }
    assert not modules & {"pydantic", "rich", "pyroute2", "asyncio", "subprocess", "sqlite3"}


def test_json_needs_no_rich(tmp_path: Path) -> None:
    assert "rich" not in loaded_by("network", "ls", "--json", "--conf-dir", str(tmp_path))


def commands(group: click.Group, path: str = "pynet") -> Iterator[tuple[str, click.Command]]:
    with click.Context(group) as ctx:
        for name in group.list_commands(ctx):
            command = group.get_command(ctx, name)
            assert command is not None
            yield f"{path} {name}", command
            if isinstance(command, click.Group):
                yield from commands(command, f"{path} {name}")


def test_every_command_is_there_and_teaches_by_example() -> None:
    found = dict(commands(main.pynet))
    assert {"pynet attach", "pynet cni del", "pynet network validate"} <= set(found)
    for path, command in found.items():
        with click.Context(command, info_name=path) as ctx:
            text = command.get_help(ctx)
        assert f"{path} " in text.partition("Usage:")[2].partition("\n")[2], f"{path}: no example"


def test_the_table_says_what_the_command_says() -> None:
    for name, (_, about) in main.COMMANDS.items():
        assert about.endswith("."), name
        assert len(about) < 70, name


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (ConfigError("name: missing"), 1, "pynet: name: missing"),
        (CniError("no", details="because"), 1, "pynet: no (because)"),
        (CniError("no", details='["a.b"]'), 1, "pynet: no"),
        (ExceptionGroup("both", [ConfigError("one"), OSError("two")]), 1, "pynet: one; two"),
        (FileNotFoundError(2, "No such file", "/x"), 1, "pynet: /x: No such file"),
        (click.UsageError("wrong."), 2, "pynet: wrong; see pynet --help"),
        (click.ClickException("a\nb"), 1, "pynet: a b"),
        (click.Abort(), 130, ""),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_an_error_ends_as_one_line(
    error: BaseException,
    status: int,
    line: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def failing(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(main.pynet, "main", failing)
    assert main.run([]) == status
    assert capsys.readouterr().err.rstrip("\n") == line


def test_a_mistake_of_ours_is_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(main.pynet, "main", lambda *_, **__: {}["missing"])
    assert main.run([]) == 1
    said = capsys.readouterr().err
    assert said.startswith("pynet: internal error: KeyError: 'missing' (test_cli_main.py:")
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["detatch"], 'there is no command "detatch"; did you mean "detach"?'),
        (["--color"], "No such option"),
        (["cni", "add", "web"], "pynet cni add --help"),
        (["cni", "add", "web", "c1", "--capabilities", "[1]"], "not an object"),
        (["cni", "add", "web", "c1", "--capabilities", "{"], "not JSON"),
        (["completion", "tcsh"], "'tcsh' is not one of"),
        (["--socket", f"/{'s' * 107}", "status"], "longer than 107 bytes"),
        (["daemon", "--socket", f"/{'s' * 107}"], "longer than 107 bytes"),
        (["install", "--socket", f"/{'s' * 107}"], "longer than 107 bytes"),
        (["attach", "", "web"], "'' is empty"),
        (["attach", "c1", ""], "'' is empty"),
        (["attach", "c1", "web", "--ifname", "a/b"], "'a/b' holds '/'"),
        (["attach", "c1", "web", "--container-id", "/x"], "must start with a letter"),
        (["attach", "c1", "web", "--ip", "10.1.0.300"], "is not an IP address"),
        (["attach", "c1", "web", "--mac", "01:00:00:00:00:01"], "not a unicast MAC"),
        (["attach", "c1", "web", "--mac", ""], "not a unicast MAC"),
        (["attach", "c1", "web", "--publish", "80"], "is not HOST-PORT:PORT"),
        (["attach", "c1", "web", "--publish", "1.2.3:80:80"], "is not HOST-PORT:PORT"),
        (["attach", "c1", "web", "--publish", "80:65536"], "not within 1..65535"),
        (["attach", "c1", "web", "--publish", "80:80/icmp"], "none of tcp, udp, sctp"),
        (["detach", "c1", "web", "--ifname", "sixteen-letters-"], "longer than 15 bytes"),
        (["cni", "add", "web", "c1", "--args", "IP"], "invalid pair 'IP'"),
        (["cni", "del", "web", ""], "'' is empty"),
        (["cni", "check", "web", "c1", "-i", "a b"], "holds a space"),
        (["network", "create", "x", "--subnet", "10.1.2.3/24"], "write it as 10.1.2.0/24"),
        (["network", "create", "x", "--subnet", "ten"], "write it as 10.1.0.0/24"),
        (["network", "create", "x", "--subnet", "127.0.0.0/8"], "loopback addresses"),
        (["network", "create", "x", "--subnet", "10.1.0.0/31"], "too small"),
        (["network", "create", "x/y"], "must start with a letter"),
        (["network", "validate", "/nowhere/x.conflist"], "does not exist"),
        (["inspect", ""], "'' is empty"),
        (["testnet", "up", "dual-stack", "--name", "a b"], "can't be a lab's name"),
    ],
)
def test_wrong_usage(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("pynet: ")
    assert said in error


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["completion", "bash", "--json"], "pynet completion has no --json"),
        (["testnet", "graph", "single-bridge", "--json"], "pynet testnet graph has no --json"),
        (["--json", "network", "ls"], "stands after the command: pynet network ls --json"),
    ],
)
def test_where_json_stands(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(arguments) == 2
    assert said in json.loads(capsys.readouterr().out)["message"]


def test_arguments_of_the_environment_are_the_plugins_to_judge(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CNI_ARGS", "IP")
    assert main.run(["cni", "add", "web", "c1", "--conf-dir", str(tmp_path)]) == 1
    assert "there is no network" in capsys.readouterr().err


def test_the_statuses_stand_in_the_help_and_in_the_docs() -> None:
    in_help = dict(re.findall(r"^  (\d+) +(.+)$", main.EPILOG, re.MULTILINE))
    page = (SOURCES.parent / "docs" / "cli.md").read_text()
    in_docs = dict(re.findall(r"^\| (\d+) \| (.+?) \|", page, re.MULTILINE))
    assert in_help == in_docs
    assert {int(status) for status in in_help} == {0, main.FAILED, main.USAGE, main.INTERRUPTED}


def test_flags_win_over_the_environment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PYNET_STATE_DIR", "/from/environment")
    monkeypatch.setenv("PYNET_SOCKET", "/from/environment.sock")
    monkeypatch.setenv("PYNET_DAEMON", "auto")
    flags = ["--state-dir", "/from/flag", "--daemon", "never"]
    assert main.run([*flags, "completion", "bash"]) == 0
    assert os.environ["PYNET_STATE_DIR"] == "/from/flag"
    assert os.environ["PYNET_SOCKET"] == "/from/environment.sock"
    assert os.environ["PYNET_DAEMON"] == "never"


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    script = "from pynet.cli.main import main; main(['completion', 'bash'])"
    try:
        done = subprocess.run([*PYTHON, script], stdout=writing, stderr=subprocess.PIPE)
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.parametrize(
    ("redirected", "status", "said"),
    [
        (">&-", 1, "pynet: the output can't be written: it was closed\n"),
        ("<&- >&-", 1, "pynet: the output can't be written: it was closed\n"),
        ("2>&-", 0, ""),
        (">&- 2>&-", 1, ""),
        (">/dev/full", 1, "pynet: the output can't be written: No space left on device\n"),
        (">/dev/full 2>/dev/full", 1, ""),
    ],
)
@pytest.mark.parametrize(
    "arguments", ["--help", "network ls --json", "inspect", "inspect --json", "reload"]
)
def test_output_that_nobody_takes(
    arguments: str, redirected: str, status: int, said: str, tmp_path: Path
) -> None:
    line = f"exec {sys.executable} -m pynet.cli {arguments} {redirected}"
    environ = {**os.environ, "PYTHONPATH": str(SOURCES), "PYNET_STATE_DIR": str(tmp_path)}
    environ.pop("PYTHONUNBUFFERED", None)  # what is kept back is refused once more at the end
    done = subprocess.run(["sh", "-c", line], env=environ, capture_output=True, check=False)
    assert (done.returncode, done.stderr.decode()) == (status, said)


@pytest.mark.parametrize("line", ["network ls --conf-dir {}", "--state-dir {} inspect"])
def test_a_directory_that_is_named_has_to_be_there(
    line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(line.format(tmp_path / "none").split()) == 2
    assert f"there is no directory {tmp_path / 'none'}" in capsys.readouterr().err


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_what_a_terminal_would_obey_is_written_out(
    encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(written, encoding, "backslashreplace"))
    root = output.Branch("host")
    root.add("veth\x1b[2J\n\udcff").add("\u00e9")
    output.print_tree(root)
    output.print_table(["NAME"], [["a\x07b"]])
    sys.stdout.flush()
    text = written.getvalue().decode(encoding)
    assert "veth\\x1b[2J\\n\\udcff" in text and "a\\x07b" in text
    assert ("└── " in text) == (encoding == "utf-8")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["completion", shell]) == 0
    assert f"_PYNET_COMPLETE={shell}_complete" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("pynet d", {"detach", "daemon"}),
        ("pynet cni ch", {"check"}),
        ("pynet cni add w", {"web"}),
        ("pynet attach c1 ", {"web", "db"}),
        ("pynet network show d", {"db"}),
    ],
)
def test_completion_of_commands_and_networks(
    words: str, expected: set[str], tmp_path: Path
) -> None:
    for name in ("web", "db"):
        document = {"name": name, "cniVersion": "1.1.0", "plugins": [{"type": "bridge"}]}
        (tmp_path / f"{name}.conflist").write_text(json.dumps(document))
    environ = os.environ | {
        "NETCONFPATH": str(tmp_path),
        "_PYNET_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split(" ")) - 1),
    }
    script = "from pynet.cli.main import main; main()"
    done = subprocess.run(
        [*PYTHON, script], env=environ, capture_output=True, text=True, check=True
    )
    assert {line.split(",")[1] for line in done.stdout.split()} == expected


def test_a_table_in_a_pipe_is_aligned_and_whole(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_table(("NAME", "N"), [("a", "1"), ("longer than that" * 20, "22")])
    lines = capsys.readouterr().out.splitlines()
    assert {line.rindex(" ") for line in lines} == {len("longer than that" * 20) + 1}
    assert not any(line != line.rstrip() for line in lines)


@pytest.mark.parametrize("width", [40, 80, 100, 200])
def test_a_table_on_a_terminal_fits_and_breaks_no_word(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(output, "on_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", str(width))
    subnets = "10.224.0.0/24 fd17:b36c:7e2b:27ce::/64"
    headers = ("NAME", "PLUGINS", "BRIDGE", "SUBNETS", "ATTACHED", "FILE")
    rows = [("services", "bridge portmap", "pn-services", subnets, "", "services.conflist")]
    output.print_table(headers, [*rows, rows[0]])
    said = click.unstyle(capsys.readouterr().out)
    assert max(map(len, said.splitlines())) <= width
    words = {word for cell in rows[0] for word in cell.split()}
    assert words <= set(said.split())


def test_a_tree_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    root = output.Branch("root")
    root.add("a").add("b")
    root.add("c")
    output.print_tree(root)
    assert capsys.readouterr().out == "root\n├── a\n│   └── b\n└── c\n"


def test_json_opens_with_its_schema(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_json("x/1", {"b": 1})
    assert list(json.loads(capsys.readouterr().out).items()) == [("schema", "pynet.x/1"), ("b", 1)]
