"""From the reference plugins to pynet and back, under running containers.

Debian's containernetworking-plugins stand in /opt/cni/bin; pynet takes their place.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from drive import Runtime
from evidence import elements, links, rows
from executables import NEVER, Executables, daemon
from references import REFERENCE, needs_reference

from pynet.testnets.lab.lab import Host

BIN = Path("/opt/cni/bin")
LEASES = Path("/var/lib/cni/networks/web")
PLUGINS = Executables(BIN)

NETWORK: list[dict[str, Any]] = [
    {
        "type": "bridge",
        "bridge": "cni0",
        "isDefaultGateway": True,
        "ipMasq": True,
        "hairpinMode": True,
        "ipam": {
            "type": "host-local",
            # Five addresses for containers.
            "ranges": [[{"subnet": "10.1.0.0/29"}], [{"subnet": "fd00:1::/125"}]],
        },
    },
    {"type": "portmap", "capabilities": {"portMappings": True}, "snat": True},
    {"type": "firewall", "backend": "iptables"},
]

pytestmark = needs_reference("firewall")


@dataclass
class Workload:
    """A container on the network, with a port of the host; run by whatever stands in BIN."""

    host: Host
    name: str
    port: int
    environ: dict[str, str]
    result: dict[str, Any] = field(default_factory=dict)

    def start(self) -> Workload:
        self.host.container(self.name)
        for config in NETWORK:
            outcome = self._call("ADD", config, self.result)
            assert outcome.status == 0, outcome.stdout
            self.result = outcome.document
        return self

    def stop(self) -> None:
        for config in reversed(NETWORK):
            outcome = self._call("DEL", config, self.result)
            assert outcome.status == 0, outcome.stdout
        self.host.delete_container(self.name)

    def _call(self, command: str, config: dict[str, Any], result: dict[str, Any]) -> Any:
        mapping = {"hostPort": self.port, "containerPort": 80, "protocol": "tcp"}
        document = {
            "cniVersion": "1.0.0",
            "name": "web",
            **config,
            **({"prevResult": result} if result else {}),
            **({"runtimeConfig": {"portMappings": [mapping]}} if "snat" in config else {}),
        }
        runtime = Runtime(self.name, f"/run/netns/{self.name}", environ=self.environ)
        return PLUGINS.call(self.host, command, document, runtime)

    @property
    def addresses(self) -> list[str]:
        return [ip["address"].partition("/")[0] for ip in self.result["ips"]]


def theirs() -> set[str]:
    """What the reference plugins make: links, rules and chains of iptables, files of leases."""
    found = links()
    for program in ("iptables-save", "ip6tables-save"):
        saved = subprocess.run([program], check=True, capture_output=True).stdout.decode()
        for line in saved.splitlines():
            if line.startswith((":CNI", "-A")):
                found.add(f"{program} {line.partition(' [')[0]}")
    kept = (path for path in LEASES.glob("*.*.*.*") if "reserved" not in path.name)
    kept6 = (path for path in LEASES.glob("*:*"))
    return found | {f"lease {path.name} {path.read_text()!r}" for path in (*kept, *kept6)}


def binaries(path: Path) -> dict[str, str]:
    shown = subprocess.run(
        ["sh", "-c", f"cd {path} && find . -type f -o -type l | sort | xargs -r sha256sum"],
        check=True,
        capture_output=True,
    ).stdout.decode()
    return {line.split()[1]: line.split()[0] for line in shown.splitlines()}


def pynet(host: Host, *arguments: str) -> str:
    argv = [sys.executable, "-I", "-m", "pynet.cli", *arguments]
    return host.run(argv).stdout.decode()


@contextmanager
def warm_or_cold(host: Host, kind: str) -> Iterator[dict[str, str]]:
    """Environment of plugins that are served by a daemon, or by themselves."""
    if kind == "cold":
        yield dict(NEVER)
        return
    with daemon(host):
        yield {"PYNET_DAEMON": "require"}


@pytest.mark.parametrize("kind", ["cold", "warm"])
def test_there_and_back_under_running_containers(host: Host, kind: str) -> None:
    host.run(["sh", "-c", f"mkdir -p {BIN} && cp -R {REFERENCE}/. {BIN}"])
    before = host.call(binaries, BIN)
    Workload(host, "first", 8000, {}).start().stop()
    empty = host.call(theirs)
    old, made, last = [], {}, empty
    for number in (1, 2, 3):
        old.append(Workload(host, f"old{number}", 8000 + number, {}).start())
        now = host.call(theirs)
        made[number], last = now - last, now
        assert len(made[number]) > 5

    said = pynet(host, "install", "--replace", "--allow-writable-interpreter")
    assert f"keep {BIN}/bridge" in said
    assert host.call(binaries, BIN / ".pynet-replaced").items() <= before.items()

    with warm_or_cold(host, kind) as environ:
        for each in old:
            each.environ = environ
        # One is removed before pynet has heard anything of this network.
        old[0].stop()
        assert host.call(theirs) == last - made[1]

        held = {address for each in old[1:] for address in each.addresses}
        new = [Workload(host, f"new{n}", 8010 + n, environ).start() for n in range(3)]
        given = [address for each in new for address in each.addresses]
        assert len(set(given)) == 6
        assert not held & set(given)
        with pytest.raises(AssertionError, match="no IP addresses"):
            Workload(host, "one-too-many", 8020, environ).start()
        for address in given:
            host.run(["ping", "-c", "1", "-W", "2", address], netns="old2")

        old[1].stop()
        assert made[2] & host.call(theirs) == set()
        assert made[3] <= host.call(theirs)
        again = Workload(host, "again", 8021, environ).start()
        assert again.addresses[0] == old[1].addresses[0], "the only one that is free"
        assert json.loads(pynet(host, "inspect", "--json"))["schema"]
        for each in (*new, again):
            each.stop()
        assert all("'old3'" in row for row in host.call(rows))
        assert host.call(theirs) == empty | made[3]

    pynet(host, "uninstall")
    assert host.call(binaries, BIN) == before
    old[2].environ = {}
    old[2].stop()
    assert host.call(theirs) == empty
    assert [line for line in host.call(elements) if line.startswith("element masq")] == []

    # Once more: what the reference has given out in between is known again.
    late = Workload(host, "late", 8030, {}).start()
    pynet(host, "install", "--replace", "--allow-writable-interpreter")
    others = [Workload(host, f"last{n}", 8040 + n, dict(NEVER)).start() for n in range(4)]
    given = [address for each in (late, *others) for address in each.addresses]
    assert len(set(given)) == 10
    late.environ = dict(NEVER)
    for each in (late, *others):
        each.stop()
    assert host.call(theirs) == empty
    assert host.call(rows) == set()
