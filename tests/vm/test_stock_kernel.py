"""The kernel that Debian ships: what it has, and pynet's whole way on it."""

from __future__ import annotations

import socket
from pathlib import Path

import drive
import executables
import pytest
from drive import BRIDGE, LOOPBACK, PORTMAP, Runtime
from evidence import but_kept, nothing_left, rest
from executables import REQUIRE, Executables, daemon
from published import SERVER, seen, start_servers
from scenes import in_host, run

from pynet.testnets.lab.internet import HOST_ADDRESSES, Internet
from pynet.testnets.lab.lab import Host, Lab


@pytest.mark.parametrize(
    "link",
    ["bridge vlan_filtering 1", "dummy", "vlan id 20 protocol 802.1q"],
)
@in_host
def test_it_has_links_that_other_kernels_lack(link: str) -> None:
    run("ip link add below type bridge")
    run(f"ip link add link below name probe type {link}")


def test_it_has_sctp() -> None:
    socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_SCTP).close()


def test_a_container_comes_is_reached_and_goes(
    lab: Lab, host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the executables and the daemon, each plugin of a list, ADD, CHECK and DEL."""
    monkeypatch.setattr(executables, "PATIENCE", 200.0)  # emulated, imports take most of a minute
    plugins = Executables.install(tmp_path)
    outside = Internet(lab, host).outside
    container = host.container("c1")
    runtime = Runtime("c1", container.path, environ=dict(REQUIRE))
    baseline = host.call(rest)
    with daemon(host):
        chain = [LOOPBACK, BRIDGE, PORTMAP]
        result = None
        for config in chain:
            outcome = plugins.call(host, "ADD", with_result(config, result), runtime)
            assert outcome.status == 0, outcome
            result = None if config is LOOPBACK else outcome.document
        start_servers(lab, container)
        for address in HOST_ADDRESSES.values():
            for protocol in ("tcp", "udp"):
                assert seen(outside, protocol, address, 8080), (protocol, address)
        assert seen(outside, "tcp", HOST_ADDRESSES[socket.AF_INET], SERVER) == ""
        for command in ("CHECK", "DEL"):
            for config in chain if command == "CHECK" else reversed(chain):
                previous = None if config is LOOPBACK else result
                outcome = plugins.call(host, command, with_result(config, previous), runtime)
                assert (outcome.status, outcome.stdout) == (0, b""), (command, config, outcome)
        kept = but_kept(nothing_left(baseline, host.call(rest)))
    # What stays is for all containers: the empty bridge, beside the tables and forwarding.
    assert [line for line in kept if "cni0" not in line] == []
    assert "link cni0" in kept


def with_result(config: drive.Any, result: drive.Any) -> drive.Any:
    return {**config, **({"prevResult": result} if result else {})}
