"""containerd as Kubernetes uses it: pods over the Container Runtime Interface, ports published."""

from __future__ import annotations

import socket

import pytest
from clients import BRIDGE, ask_from_host, eventually, need, network
from containerd import Containerd
from cri import Cri
from evidence import nothing_left, rest

from pynet.testnets.lab.internet import HOST_ADDRESSES, Internet
from pynet.testnets.lab.lab import Host
from pynet.testnets.live.installed import PYNET

PORTMAP = {"type": "portmap", "capabilities": {"portMappings": True}}


@pytest.fixture
def cri(host: Host, pods: Containerd) -> Cri:
    need(curl="curl")
    network(host, BRIDGE, PORTMAP)
    return Cri(host, pods.SOCKET)


@pytest.fixture
def baseline(host: Host, cri: Cri) -> set[str]:
    """All there is once a pod has come and gone."""
    end(cri, cri.run_pod("zero", (8080, 80)))
    return host.call(rest)


def end(cri: Cri, pod: str) -> None:
    cri.stop_pod(pod)
    cri.remove_pod(pod)


def test_pods_reach_each_other_and_are_reached_from_outside(
    host: Host, internet: Internet, pods: Containerd, cri: Cri
) -> None:
    first, second = cri.run_pod("first", (8080, 80)), cri.run_pod("second")
    at = {pod: cri.addresses(pod) for pod in (first, second)}
    assert [":" in address for address in at[first]] == [False, True]
    for there, back in zip(at[second], at[first], strict=True):
        assert pods.ask(first, there).caller == back
    for family, seen in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8:1::1")):
        assert ask_from_host(internet.outside, HOST_ADDRESSES[family], 8080).caller == seen
    host.run([*PYNET, "inspect"])  # CHECK of all; it fails the test where anything has changed


def test_a_pod_that_is_removed_leaves_nothing(host: Host, cri: Cri, baseline: set[str]) -> None:
    end(cri, cri.run_pod("first", (8080, 80)))
    assert nothing_left(baseline, host.call(rest)) == []


def test_a_pod_killed_and_removed(
    host: Host, pods: Containerd, cri: Cri, baseline: set[str]
) -> None:
    pod = cri.run_pod("first", (8080, 80))
    host.run(["kill", "-KILL", str(pods.pid(pod))])
    eventually(lambda: end(cri, pod))  # refused while containerd learns of it; a kubelet asks again
    assert nothing_left(baseline, host.call(rest)) == []


def test_containerd_killed_under_a_pod(
    host: Host, pods: Containerd, cri: Cri, baseline: set[str]
) -> None:
    pod = cri.run_pod("first", (8080, 80))
    address = cri.addresses(pod)[0]
    pods.kill()
    assert ask_from_host(host, address).name
    pods.start()
    assert ask_from_host(host, "127.0.0.1", 8080).name
    end(cri, pod)
    assert nothing_left(baseline, host.call(rest)) == []
