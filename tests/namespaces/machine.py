"""A fake host with networks and somebody else's plugin, and the command line run inside it."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from pathlib import Path
from typing import Any

from executables import until

from pynet.cli.cni import containers
from pynet.cli.main import run
from pynet.testnets.lab.lab import Container, Host

NETWORKS = Path("/etc/cni/net.d")
PLUGINS = Path("/opt/cni/bin")
COMMANDS = Path("/opt/cni/commands")
"""Where the host's command line looks for programs first."""

# Somebody else's plugin: hands on what it is given, and fails where its network says so.
THEIRS = f"""#!{sys.executable} -IS
import json, os, sys
config = json.load(sys.stdin)
if os.environ["CNI_COMMAND"] == config.get("failOn"):
    print(json.dumps({{"code": 999, "msg": "as it was told"}}))
    sys.exit(1)
if os.environ["CNI_COMMAND"] == "ADD":
    print(json.dumps(config["prevResult"]))
"""


def bridge(number: int, **keys: Any) -> dict[str, Any]:
    ipam = {
        "type": "host-local",
        "subnet": f"10.{number}.0.0/16",
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    more = {"isGateway": True, "ipMasq": True, "capabilities": {"ips": True, "mac": True}}
    return {"type": "bridge", "bridge": f"br{number}", "ipam": ipam} | more | keys


class Machine:
    """`web` and `db` are its networks."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.write("web", bridge(1))
        self.write("db", bridge(2, isDefaultGateway=False) | {"ipam": _no_routes(2)})
        host.call(_install_theirs)

    def write(self, name: str, *plugins: dict[str, Any], **keys: Any) -> None:
        document = {"cniVersion": "1.1.0", "name": name, "plugins": plugins} | keys
        self.host.call(write, NETWORKS / f"{name}.conflist", json.dumps(document))

    def pynet(self, *arguments: str, status: int = 0) -> str:
        """What it prints on stdout, or, where it is to fail, on stderr."""
        found, out, err = self.host.call(_run, arguments)
        assert found == status, (out, err)
        return err if status and err else out

    def said(self, *arguments: str) -> tuple[int, str, str]:
        """Its exit status, and what it prints on stdout and on stderr."""
        return self.host.call(_run, arguments)

    def json(self, *arguments: str, status: int = 0) -> dict[str, Any]:
        found, out, err = self.host.call(_run, (*arguments, "--json"))
        assert (found, err) == (status, ""), out
        document: dict[str, Any] = json.loads(out)
        assert document["schema"].startswith("pynet.")
        return document

    def python(self, script: str) -> None:
        """A command line with something done to it, as a process of its own."""
        self.host.run([sys.executable, "-c", script], check=False)

    def end(self, container: str) -> None:
        """The container goes; the kernel, which does it in its own time, has put all of it away."""
        known = _parsed(self.host, "netns", "list-id")
        numbers = {each["nsid"] for each in known if each.get("name") == container}
        self.host.delete_container(container)
        until(lambda: not numbers & self._numbers(), f"{container} is still there")

    def _numbers(self) -> set[int]:
        """Of the namespaces that the host knows, or has an end of a pair with."""
        known = {each["nsid"] for each in _parsed(self.host, "netns", "list-id")}
        return known | {each.get("link_netnsid", -1) for each in _parsed(self.host, "link")}

    def links(self, container: Container | None = None) -> set[str]:
        done = self.host.run(["ip", "-j", "link"], netns=container)
        return {link["ifname"] for link in json.loads(done.stdout)} - {"lo"}

    def addresses(self, container: Container, interface: str) -> list[str]:
        done = container.run(["ip", "-j", "-4", "addr", "show", "dev", interface])
        return [found["local"] for found in json.loads(done.stdout)[0]["addr_info"]]


def _parsed(host: Host, *question: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(host.run(["ip", "-j", *question]).stdout or b"[]")
    return found


def _no_routes(number: int) -> dict[str, Any]:
    return {"type": "host-local", "subnet": f"10.{number}.0.0/16"}


def _install_theirs() -> None:
    executable(PLUGINS / "theirs", THEIRS)


def executable(path: Path, text: str) -> None:
    write(path, text)
    path.chmod(0o755)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _run(arguments: tuple[str, ...]) -> tuple[int, str, str]:
    # The lab's hosts inherit the caller's variables but for those that are a session's.
    for name in [name for name in os.environ if name.startswith(("CNI_", "PYNET_", "NETCONF"))]:
        del os.environ[name]
    os.environ["PATH"] = f"{COMMANDS}:{os.environ['PATH']}"
    # Whether podman is in use is told by /var/lib, which is this machine's.
    containers.CLIENTS.clear()
    containers.CLIENTS["podman"] = (str(COMMANDS),)
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = run(arguments)
    return status, out.getvalue(), err.getvalue()
