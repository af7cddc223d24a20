"""What the daemon's recovery does for those who were being attached while it looked."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import drive
from drive import BRIDGE, FIREWALL, Runtime
from executables import asleep, daemon, until
from scenes import add, container, succeed

from pynet.store.records import State
from pynet.store.store import Store
from pynet.testnets.lab.forked import DiedBySignal, Forked
from pynet.testnets.lab.lab import Host

GUARD = {**FIREWALL, "ingressPolicy": "open"}
OTHER = {
    **BRIDGE,
    "name": "other",
    "bridge": "cni9",
    "ipam": {"type": "host-local", "subnet": "10.9.0.0/24"},
}
OTHERS_GUARD = {**GUARD, "name": "other"}


def test_an_add_that_looked_before_the_firewall_came_gets_its_way(host: Host) -> None:
    """It is on record, and not ready, when the daemon looks; nothing tells that it is by then."""
    host.call(_one_ready_and_one_under_way)
    with daemon(host) as pid:
        host.run(["iptables-nft", "-P", "FORWARD", "DROP"])
        until(lambda: "-i cni9" in _rules(host), "the daemon does not look at all")
        assert "-i cni0" not in _rules(host)
        asleep(pid)
        host.call(_the_last_commit)
        until(lambda: "-i cni0" in _rules(host), "who was under way has no way through")
        host.call(_detach)
        assert "PYNET" not in _rules(host)


def _rules(host: Host) -> str:
    return host.run(["iptables-nft", "-S"]).stdout.decode()


def _one_ready_and_one_under_way() -> None:
    other, one = container("c9"), container("c1")
    add({**OTHERS_GUARD, "prevResult": add(OTHER, other)}, other)
    guard = {**GUARD, "prevResult": add(BRIDGE, one)}
    try:
        Forked(lambda: drive.killed_at(1, "ADD", guard, one)).wait()
    except DiedBySignal:
        return
    raise AssertionError("it went on")


def _the_last_commit() -> None:
    """Of c1's ADD: it needed nothing, as nobody dropped anything when it looked."""
    with closing(Store.open(drive.STATE)) as store, store.write() as tx:
        (record,) = tx.records(container="c1", plugin="firewall")
        assert record.state is State.PENDING
        tx.ready(record, "{}")


def _detach() -> None:
    def delete(name: str, *configs: Any) -> None:
        for config in configs:
            succeed("DEL", config, Runtime(name, f"/run/netns/{name}"))

    delete("c9", OTHERS_GUARD, OTHER)
    delete("c1", GUARD, BRIDGE)
