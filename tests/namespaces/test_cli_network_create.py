"""`pynet network create` and `rm`, as a person uses them on a host with nothing configured."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from pynet.testnets.lab.lab import Host


def pynet(host: Host, line: str) -> tuple[int, str, str]:
    command = [sys.executable, "-m", "pynet.cli", *line.split()]
    done = host.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def succeeds(host: Host, line: str) -> str:
    status, stdout, stderr = pynet(host, line)
    notes = [line for line in stderr.splitlines() if not line.startswith("note: --publish")]
    assert (status, notes) == (0, []), (line, stderr)
    return stdout


def made(host: Host, line: str) -> Any:
    document = json.loads(succeeds(host, f"network create {line} --json"))
    assert document["schema"] == "pynet.network.create/1"
    return document


def subnets(document: Any) -> list[str]:
    ranges = document["configuration"]["plugins"][0]["ipam"]["ranges"]
    return [each["subnet"] for (each,) in ranges]


def test_from_nothing_to_containers_that_reach_each_other(host: Host, plugins: Any) -> None:
    assert "network create" in succeeds(host, "network ls")
    said = succeeds(host, "network create web")
    assert "pynet attach CONTAINER web" in said
    assert "no mistakes: web.conflist" in succeeds(host, "network validate")
    where = f"--plugin-dir {plugins.folder}"
    first = host.container("c1")
    host.container("c2")
    succeeds(host, f"attach c1 web {where}")
    ports = "--publish 8080:80 --publish 127.0.0.1:5353:53/udp --publish [2001:db8::1]:99:9/tcp"
    succeeds(host, f"attach c2 web {where} {ports}")
    for word, expected in ((":8080", 0), ("5353", 0), ("5353/tcp", 1), ("99", 0), ("80", 1)):
        assert pynet(host, f"inspect {word}")[0] == expected, word
    assert "published: 8080/tcp to 80, 127.0.0.1:5353/udp to 53, [2001:db8::1]:99/tcp to 9" in (
        succeeds(host, "inspect c2")
    )
    assert "published: 8080/tcp to 80, " in succeeds(host, "network show web")
    members = json.loads(succeeds(host, "network show web --json"))["attached"]
    assert [one["container"] for one in members] == ["c1", "c2"]
    assert members[1]["ports"][0]["host_port"] == 8080
    for wrong in ("80", "x:80", "80:80:80", "80:80/tcp/udp", ":80:80", "-1:80"):
        status, _, complaint = pynet(host, f"attach c1 web --publish={wrong}")
        assert (status, "8080:80" in complaint) == (2, True), wrong
    shown = json.loads(succeeds(host, "inspect --json"))
    assert shown["fine"]
    addresses = shown["attachments"][1]["addresses"]
    assert shown["attachments"][1]["ports"][0]["host_port"] == 8080
    assert len(addresses) == 2
    for address in addresses:
        host.run(["ping", "-c1", "-W2", address.partition("/")[0]], netns=first)
    has = subnets(made(host, "web"))
    host.run(["rm", "/etc/cni/net.d/web.conflist"])  # its bridge and containers are there
    assert made(host, "web" + "".join(f" --subnet {each}" for each in has))["made"]
    status, _, complaint = pynet(host, "network rm web")
    assert status == 1 and "c1 (eth0), c2 (eth0)" in complaint and "pynet detach" in complaint
    for name in ("c1", "c2"):
        succeeds(host, f"detach {name} web {where}")
    assert "bridge pn-web removed" in succeeds(host, "network rm web")
    assert "pn-web" not in host.run(["ip", "link"], stdout=subprocess.PIPE).stdout.decode()
    assert pynet(host, "network rm web")[0] == 1


def test_what_is_chosen_is_free(host: Host) -> None:
    first = subnets(made(host, "one"))
    assert first[0] == "10.224.0.0/24" and first[1].startswith("fd")
    second = subnets(made(host, "two"))
    assert not set(first) & set(second) and second[0] == "10.224.1.0/24"
    host.run(["ip", "link", "add", "up0", "type", "veth", "peer", "name", "up1"])
    host.run(["ip", "link", "set", "up0", "up"])
    host.run(["ip", "addr", "add", "10.224.2.9/22", "dev", "up0"])
    assert subnets(made(host, "three"))[0] == "10.224.4.0/24"
    for subnet, owner in (
        ("10.224.0.0/16", "10.224.0.0/24 of network one (one.conflist)"),
        ("10.224.3.0/24", "route 10.224.0.0/22 dev up0"),
    ):
        status, _, complaint = pynet(host, f"network create four --subnet {subnet}")
        assert (status, owner in complaint) == (1, True), complaint
    for subnet, problem in (
        ("10.1.0.0/33", "10.1.0.0/24"),
        ("10.1.0.1/24", "host bits"),
        ("10.1.0.0/31", "too small"),
        ("nonsense", "10.1.0.0/24"),
        ("127.0.0.0/8", "loopback"),
        ("fe80::/64", "link-local"),
        ("224.0.0.0/24", "multicast"),
        ("0.0.0.0/8", "unspecified"),
        ("240.0.0.0/24", "reserved"),
    ):
        status, _, complaint = pynet(host, f"network create four --subnet {subnet}")
        assert (status, problem in complaint) == (2, True), complaint
    assert "four" not in succeeds(host, "network ls")


def test_it_is_made_once(host: Host) -> None:
    line = "web --subnet 10.1.0.0/24 --mtu 1400"
    before = made(host, line)
    again = made(host, line)
    assert (before["made"], again["made"]) == (True, False)
    assert before["configuration"] == again["configuration"]
    assert not made(host, "web --mtu 1400")["made"]
    for other in ("web --subnet 10.2.0.0/24", "web --subnet 10.1.0.0/24 --mtu 1500"):
        status, _, complaint = pynet(host, f"network create {other}")
        assert status == 1 and "another one" in complaint and "10.1.0.0/24" in complaint
    dry = succeeds(host, "network create dry --dry-run")
    assert json.loads(dry)["name"] == "dry"
    assert not Path("/etc/cni/net.d/dry.conflist").exists()
    assert "dry" not in succeeds(host, "network ls")
    long = made(host, "a-name-that-no-bridge-could-have")
    assert len(long["configuration"]["plugins"][0]["bridge"]) == 15
    assert pynet(host, "network create ../x")[0] == 2


def test_two_bridges_with_one_subnet_are_a_mistake(host: Host) -> None:
    document = made(host, "web")["configuration"]
    document["plugins"][0]["bridge"], document["name"] = "br9", "other"
    text = json.dumps(document).encode()
    host.run(["tee", "/etc/cni/net.d/other.conflist"], input=text, stdout=subprocess.DEVNULL)
    status, stdout, _ = pynet(host, "network validate")
    assert status == 1 and "is on bridge br9 already, of other.conflist" in stdout
