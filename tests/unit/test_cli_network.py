"""`pynet network`: what is configured, and what is wrong with it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from pynet.cli import output
from pynet.cli.main import run
from pynet.cli.network import in_use

BRIDGE = {
    "type": "bridge",
    "bridge": "cni-web",
    "isGateway": True,
    "ipam": {
        "type": "host-local",
        "ranges": [[{"subnet": "10.1.0.0/16"}], [{"subnet": "fd00:1::/64"}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    },
}

Pynet = Callable[..., tuple[int, str, str]]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "net.d").mkdir()
    (tmp_path / "bin").mkdir()
    return tmp_path / "net.d"


@pytest.fixture
def pynet(
    directory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Pynet:
    """Runs `pynet network` over `directory`, with no plugins installed and no state."""
    monkeypatch.setenv("NETCONFPATH", str(directory))
    monkeypatch.setenv("CNI_PATH", str(directory.parent / "bin"))
    monkeypatch.setenv("PYNET_STATE_DIR", str(directory.parent / "state"))

    def pynet(*arguments: str) -> tuple[int, str, str]:
        status = run(["network", *arguments])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return pynet


def write(directory: Path, name: str, /, *plugins: dict[str, Any], **keys: Any) -> Path:
    document = {"cniVersion": "1.1.0", "name": name, "plugins": list(plugins)} | keys
    path = directory / f"{name}.conflist"
    path.write_text(json.dumps(document))
    return path


def findings(pynet: Pynet, *arguments: str) -> list[tuple[str, str, str, str]]:
    """(level, plugin, key, message) of each, once all agree that there are some."""
    status, out, _ = pynet("validate", "--json", *arguments)
    document = json.loads(out)
    assert document["schema"] == "pynet.network.validate/1"
    assert status == bool(document["findings"])
    return [(f["level"], f["plugin"], f["key"], f["message"]) for f in document["findings"]]


def test_ls(pynet: Pynet, directory: Path) -> None:
    write(directory, "web", BRIDGE, {"type": "portmap"})
    (directory / "old.conf").write_text(json.dumps({"name": "old", "type": "loopback"}))
    (directory / "x.conflist").write_text("{")
    (directory / "README").write_text("no network")
    status, out, err = pynet("ls")
    assert (status, err) == (0, "")
    *lines, said = out.splitlines()
    header, web, broken, old = [line.split() for line in lines]
    assert header == ["NAME", "PLUGINS", "BRIDGE", "SUBNETS", "ATTACHED", "FILE"]
    expected = ["web", "bridge", "portmap", "cni-web", "10.1.0.0/16", "fd00:1::/64", "0"]
    assert web == [*expected, "web.conflist"]
    assert broken == ["?", "(broken)", "x.conflist"]
    assert said.startswith("broken: x.conflist: ")
    assert old == ["old", "loopback", "-", "-", "0", "old.conf"]


@pytest.mark.parametrize("width", [40, 80, 200])
def test_a_broken_file_makes_the_table_no_wider(
    width: int, pynet: Pynet, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(directory, "web", BRIDGE)
    (directory / "x.conflist").write_text('{"name": "' + "no name " * 40 + '"}')
    monkeypatch.setattr(output, "on_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", str(width))
    _, out, _ = pynet("ls")
    lines = [line.rstrip() for line in click.unstyle(out).splitlines()]
    assert max(map(len, lines)) <= width
    assert any(line.startswith("broken: x.conflist:") for line in lines)


def test_ls_as_json(pynet: Pynet, directory: Path) -> None:
    write(directory, "web", BRIDGE)
    _, out, _ = pynet("ls", "--json")
    assert json.loads(out) == {
        "schema": "pynet.network.ls/2",
        "directory": str(directory),
        "networks": [
            {
                "file": "web.conflist",
                "error": None,
                "name": "web",
                "cniVersion": "1.1.0",
                "plugins": ["bridge"],
                "bridge": "cni-web",
                "subnets": ["10.1.0.0/16", "fd00:1::/64"],
                "attachments": 0,
            }
        ],
    }
    assert not (directory.parent / "state").exists()  # looking makes no store


def test_a_broken_file_is_an_error_document_in_the_list(pynet: Pynet, directory: Path) -> None:
    (directory / "x.conflist").write_text("{")
    (broken,) = json.loads(pynet("ls", "--json")[1])["networks"]
    assert broken["name"] is broken["attachments"] is None
    assert broken["error"].keys() == {"code", "message", "details", "hint"}
    assert broken["error"]["code"] == 6


def test_no_networks(pynet: Pynet, directory: Path) -> None:
    assert pynet("ls") == (
        0,
        f"no networks in {directory}; `pynet network create web` makes one\n",
        "",
    )
    directory.rmdir()
    assert pynet("ls")[0] == 0


def test_show(pynet: Pynet, directory: Path) -> None:
    write(directory, "web", BRIDGE, disableGC="true")
    _, out, _ = pynet("show", "web")
    assert out.startswith("web (CNI 1.1.0, web.conflist)\n")
    assert "bridge = cni-web\n" in out
    assert 'ipam.routes = [{"dst": "0.0.0.0/0"}]\n' in out
    document = json.loads(pynet("show", "web", "--json")[1])
    assert document["configuration"] == [BRIDGE]
    assert (document["disableGC"], document["disableCheck"]) == (True, False)


def test_an_unknown_network_is_answered_with_those_there_are(pynet: Pynet, directory: Path) -> None:
    write(directory, "backend", BRIDGE)
    status, _, err = pynet("show", "backed")
    assert status == 1
    assert err == (
        f'pynet: there is no network "backed" in {directory}: it has backend; '
        'did you mean "backend"?\n'
    )


def test_a_broken_file_is_named_where_it_hides_a_network(pynet: Pynet, directory: Path) -> None:
    (directory / "a.conflist").write_text('{"name": "a", "cniVersion": 1}')
    write(directory, "web", BRIDGE)
    status, _, err = pynet("show", "web")
    assert (status, "a.conflist" in err, "cniVersion" in err) == (1, True, True)


def test_what_is_right_is_no_finding(pynet: Pynet, directory: Path) -> None:
    write(directory, "web", BRIDGE, cniVersions=["1.0.0", "1.1.0"], disableCheck="false")
    write(directory, "lo", {"type": "loopback"})
    assert findings(pynet) == []
    status, out, err = pynet("validate")
    assert (status, err) == (0, "")
    assert out.startswith(f"2 files in {directory}, no mistakes: ")
    assert out.endswith(": lo.conflist (loopback), web.conflist (bridge)\n")


def test_validate_says_what_it_has_not_looked_into(pynet: Pynet, directory: Path) -> None:
    assert pynet("validate")[1] == (
        f"no networks in {directory}; create one: `pynet network create web`\n"
    )
    (directory.parent / "bin" / "theirs").touch()
    write(directory, "web", BRIDGE | {"ipam": {"type": "theirs"}}, {"type": "theirs"})
    said = pynet("validate")[1].splitlines()
    assert said[1:] == ["not looked into, as somebody else's: theirs"]
    document = json.loads(pynet("validate", "--json")[1])
    assert (document["directory"], document["foreign"]) == (str(directory), ["theirs"])


def test_each_wrong_key_is_reported_with_its_path(pynet: Pynet, directory: Path) -> None:
    ipam = {"type": "host-local", "ranges": [[{"subnet": 7}]], "routes": [{"gw": "10.1.0.1"}]}
    write(directory, "web", {"type": "bridge", "isGateway": "true", "mtu": 1.5, "ipam": ipam})
    assert [(level, key) for level, _, key, _ in findings(pynet)] == [
        ("error", "isGateway"),
        ("error", "mtu"),
        ("error", "ipam.ranges[0][0].subnet"),
        ("error", "ipam.routes[0].dst"),
    ]
    _, out, _ = pynet("validate")
    assert 'web.conflist: bridge isGateway: "true" is not true or false\n' in out


def test_what_only_the_plan_refuses_is_reported_too(pynet: Pynet, directory: Path) -> None:
    write(directory, "web", BRIDGE | {"ipam": {"type": "host-local", "subnet": "10.1.0.9/40"}})
    ((level, plugin, _, message),) = findings(pynet)
    assert (level, plugin) == ("error", "bridge")
    assert "10.1.0.9/40" in message


def test_a_main_plugin_for_ipam_is_reported(pynet: Pynet, directory: Path) -> None:
    write(directory, "web", BRIDGE | {"ipam": {"type": "macvlan"}})
    ((_, _, key, message), *_) = findings(pynet)
    assert key == "ipam.type"
    assert '"macvlan" makes interfaces' in message


def test_what_the_oldest_versions_can_not_say_is_reported(pynet: Pynet, directory: Path) -> None:
    (directory / "old.conflist").write_text('{"name": "old", "plugins": [{"type": "bridge"}]}')
    status, out, _ = pynet("validate")
    assert status == 1
    assert "bridge cniVersion: a result of version 0.1.0 needs an address" in out


@pytest.mark.parametrize(
    ("change", "key", "near"),
    [
        ({"isGatway": True}, "isGatway", "isGateway"),
        ({"ipam": BRIDGE["ipam"] | {"subnetz": "x"}}, "ipam.subnetz", "subnet"),  # type: ignore[operator]
        ({"dns": {"nameserver": []}}, "dns.nameserver", "nameservers"),
        ({"ipam": {"type": "host-local", "ranges": [[{"subnet": "10.1.0.0/16", "rangeStrt": ""}]]}},
         "ipam.ranges[0][0].rangeStrt", "rangeStart"),
        ({"qwertz": 1}, "qwertz", ""),
    ],
)  # fmt: skip
def test_a_key_nobody_reads_is_a_note(
    pynet: Pynet, directory: Path, change: dict[str, Any], key: str, near: str
) -> None:
    write(directory, "web", BRIDGE | change)
    ((level, plugin, at, message),) = findings(pynet)
    assert (level, plugin, at) == ("note", "bridge", key)
    assert message.endswith(f'did you mean "{near}"?' if near else "does not read this key")
    assert pynet("validate")[1].startswith("note: web.conflist: bridge ")


def test_keys_in_any_case_are_read_and_others_have_their_own_keys(
    pynet: Pynet, directory: Path
) -> None:
    (directory.parent / "bin" / "theirs").touch()
    write(
        directory,
        "web",
        {"type": "bridge", "BRIDGE": "br0", "capabilities": {"mac": True}, "cni.dev/x": 1},
        {"type": "theirs", "whatever": {"they": "like"}},
    )
    assert findings(pynet) == []


def test_plugins_that_are_nowhere(pynet: Pynet, directory: Path) -> None:
    write(directory, "web", {"type": "brigde"}, BRIDGE | {"ipam": {"type": "dhpc"}})
    first, second = findings(pynet)
    assert first[:3] == ("error", "brigde", "type")
    assert first[3].endswith('did you mean "bridge"?')
    assert second[:3] == ("error", "bridge", "ipam.type")


def test_lists_themselves(pynet: Pynet, directory: Path) -> None:
    write(directory, "a", BRIDGE, disableCheks=True)
    write(directory, "b", BRIDGE, cniVersion="9.9.9")
    write(directory, "c")
    write(directory, "d", BRIDGE, name="a")
    (directory / "e.conflist").write_text("[")
    assert [(level, key) for level, _, key, _ in findings(pynet)] == [
        ("note", "disableCheks"),
        ("error", "cniVersion"),
        ("error", "plugins"),
        ("error", ""),
        ("error", "name"),
    ]


def test_one_file_wherever_it_is_with_its_drop_ins(pynet: Pynet, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "web").mkdir(parents=True)
    path = write(elsewhere, "web", BRIDGE)
    assert findings(pynet, str(path)) == []
    (elsewhere / "web" / "10.conf").write_text('{"type": "bridge", "vlan": 5000}')
    assert [key for _, _, key, _ in findings(pynet, str(path))] == ["vlan"]


def test_a_file_of_any_size_is_read_no_further_than_it_can_be_right(
    pynet: Pynet, directory: Path
) -> None:
    path = write(directory, "web", BRIDGE)
    with path.open("ab") as file:
        file.truncate(1 << 40)
    assert [message for *_, message in findings(pynet, str(path))] == ["it is larger than 8 MiB"]
    (status, out, _), document = pynet("ls"), json.loads(pynet("ls", "--json")[1])
    assert (status, "it is larger than 8 MiB" in out) == (0, True)
    assert document["networks"][0]["error"]["message"].endswith("it is larger than 8 MiB")


def test_drop_ins_are_read_of_the_directory_too(pynet: Pynet, directory: Path) -> None:
    write(directory, "web", BRIDGE)
    (directory / "web").mkdir()
    (directory / "web" / "10.conf").write_text('{"type": "loopback"}')
    assert json.loads(pynet("ls", "--json")[1])["networks"][0]["plugins"] == ["bridge", "loopback"]


def test_name_servers_in_a_pipe_are_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = tmp_path / "resolv.conf"
    monkeypatch.setattr(in_use, "_NAMES", str(names))
    names.write_text("nameserver 192.0.2.53\n")
    told = {str(used.subnet) for used in in_use.in_use([])}
    assert "192.0.2.53/32" in told
    names.unlink()
    os.mkfifo(names)
    assert {str(used.subnet) for used in in_use.in_use([])} == told - {"192.0.2.53/32"}
