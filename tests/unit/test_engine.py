"""The engine over a world that only remembers: order, sharing, failure, recovery."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from msgspec.structs import replace

from pynet.cni.config import NetConf
from pynet.engine.engine import Engine
from pynet.model.errors import AlreadyAttached, CniError, KernelError, TableMissing
from pynet.model.owner import Owner
from pynet.model.plan import Plan
from pynet.model.plugin import Plugin
from pynet.model.query import LinkNamed, Seen
from pynet.model.request import Request
from pynet.model.resource import Resource, Undo
from pynet.model.resources import (
    Bridge,
    BridgePort,
    Element,
    GatewayAddress,
    PublishedPort,
    SharedElement,
    Sysctl,
    Veth,
)
from pynet.model.result import Result
from pynet.model.witness import PairStands
from pynet.store.records import State
from pynet.testing import RecordingWorld, memory_engine, request

Engines = Callable[[Request], Engine]


class Pair(Plugin):
    """One resource of each way to be undone."""

    name = "pair"
    config = NetConf
    creates_interface = True
    checks_result = False

    def plan(self, request: Request, seen: Seen) -> Plan:
        seen[LinkNamed("cni0")]
        pair = Veth(name=f"v-{request.container}", mac="m", peer=request.interface, peer_mac="p")
        port = BridgePort(name=pair.name, bridge="cni0", inside=pair.key)
        return Plan(
            (
                Bridge(name="cni0", mac="b"),
                pair,
                port,
                GatewayAddress(name="cni0", address="10.1.0.1/24"),
                Sysctl(setting="ipv4/conf/cni0/rp_filter", value="2"),
                SharedElement(set="network4_24", item=("10.1.0.0", "10.1.0.0")),
                Element(set="guarded", item=(pair.name,)),
            ),
            Result(),
        )


@dataclass
class Site:
    world: RecordingWorld
    engines: Engines

    def add(self, container: str = "c1", **config: Any) -> Plan:
        asked = self.asked(container, **config)
        return self.engines(asked).add(Pair(), asked)

    def delete(self, container: str = "c1", **config: Any) -> None:
        asked = self.asked(container, **config)
        self.engines(asked).delete(Pair(), asked)

    def asked(self, container: str, **config: Any) -> Request:
        return request(Pair(), config, container=container)

    def kinds(self) -> list[str]:
        return sorted(resource.kind for resource in self.world.standing.values())

    def states(self) -> list[State]:
        with self.engines(self.asked("c1")).store.read() as tx:
            return [record.state for record in tx.records()]


@pytest.fixture
def site() -> Iterator[Site]:
    world = RecordingWorld()
    with memory_engine(world) as engines:
        yield Site(world, engines)


ALL = [
    "bridge",
    "bridge-port",
    "gateway-address",
    "nft-element",
    "nft-shared-element",
    "sysctl",
    "veth",
]


def test_add_makes_the_plan_and_del_takes_all_but_what_is_kept(site: Site) -> None:
    site.add()
    assert site.kinds() == ALL
    assert site.states() == [State.READY]
    site.delete()
    assert site.kinds() == ["bridge"]
    assert site.states() == []


@pytest.mark.parametrize("kind", [kind for kind in ALL if kind != "bridge"])
def test_failure_at_any_step_leaves_nothing(site: Site, kind: str) -> None:
    site.world.fail_at = kind
    site.world.failure = KernelError("no")
    with pytest.raises(KernelError):
        site.add()
    assert site.kinds() == ["bridge"]
    assert site.states() == []


@pytest.mark.parametrize(("looks", "fillings"), [(1, 0), (2, 1)])
def test_tables_that_another_has_made_again_are_not_made_once_more(
    site: Site, monkeypatch: pytest.MonkeyPatch, looks: int, fillings: int
) -> None:
    """Gone at so many looks: it is back by the turn of this one, or this one has to do it."""
    create, rebuild, missing, filled = site.world.create, site.world.rebuild, [1] * looks, []

    def find_missing(resources: Sequence[Resource]) -> None:
        if missing and any(resource.kind == Element.kind for resource in resources):
            missing.pop()
            raise TableMissing
        create(resources)

    def fill(resources: Sequence[Resource], owner: Owner) -> bool:
        filled.append(owner)
        return rebuild(resources, owner)

    monkeypatch.setattr(site.world, "create", find_missing)
    monkeypatch.setattr(site.world, "rebuild", fill)
    site.add()
    assert (site.kinds(), len(filled)) == (ALL, fillings)


def test_what_is_shared_goes_with_its_last_user(site: Site) -> None:
    site.add("c1")
    site.add("c2")
    site.delete("c1")
    assert {"gateway-address", "sysctl", "nft-shared-element"} <= set(site.kinds())
    site.delete("c2")
    assert site.kinds() == ["bridge"]


def test_what_was_found_is_never_removed(site: Site) -> None:
    gateway = GatewayAddress(name="cni0", address="10.1.0.1/24")
    site.world.standing[gateway.key] = gateway
    site.add()
    site.delete()
    assert site.kinds() == ["bridge", "gateway-address"]


def test_what_was_changed_gets_the_first_users_value_back(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = iter(["0", "2", "2"])
    restored: list[tuple[str, str | None]] = []
    delete = site.world.delete
    monkeypatch.setattr(site.world, "previous", lambda resource: next(values))

    def recording(pairs: list[tuple[Resource, str | None]]) -> None:
        restored.extend(
            (resource.kind, previous)
            for resource, previous in pairs
            if resource.undo is Undo.RESTORE
        )
        delete(pairs)

    monkeypatch.setattr(site.world, "delete", recording)
    site.add("c1")
    site.add("c2")
    site.delete("c1")
    assert restored == []
    site.delete("c2")
    assert restored == [("sysctl", "0")]


def test_a_ready_attachment_is_named(site: Site) -> None:
    site.world.answers[LinkNamed("v-c1")] = _link("v-c1")
    site.add()
    with pytest.raises(AlreadyAttached, match="container c1"):
        site.add()
    assert site.kinds() == ALL


def test_one_whose_namespace_is_gone_is_replaced(site: Site) -> None:
    """Podman gives the same container id a new namespace: the host's end went with the old."""
    site.add()
    site.world.sandbox = "sandbox-2"
    with pytest.raises(AlreadyAttached):
        site.add()  # nothing tells that the old one is dead
    site.world.answers[PairStands("m", "p")] = False
    site.add()
    assert site.states() == [State.READY]


def test_undo_goes_on_past_errors_and_can_be_tried_again(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.add()
    delete = site.world.delete

    def refusing(pairs: list[tuple[Resource, str | None]]) -> None:
        if any(resource.kind == "nft-element" for resource, _ in pairs):
            raise KernelError("element is busy")
        delete(pairs)

    monkeypatch.setattr(site.world, "delete", refusing)
    with pytest.raises(ExceptionGroup) as caught:
        site.delete()
    assert caught.group_contains(KernelError, match="element is busy")
    # The two elements are one transaction: neither went.
    assert site.kinds() == ["bridge", "nft-element", "nft-shared-element"]
    assert site.states() == [State.RELEASING]
    monkeypatch.undo()
    site.delete()
    assert site.kinds() == ["bridge"]


def test_del_finds_a_record_of_another_configuration(site: Site) -> None:
    site.add(mtu=1400)
    site.delete(mtu=1500)
    assert site.kinds() == ["bridge"]


def test_del_of_the_interface_undoes_the_whole_attachment(site: Site) -> None:
    class Chained(Pair):
        name = "chained"
        creates_interface = False

        def plan(self, request: Request, seen: Seen) -> Plan:
            return Plan((Element(set="guarded", item=("chained",)),), Result())

    site.add()
    asked = replace(request(Chained(), {}), plugin="chained")
    site.engines(asked).add(Chained(), asked)
    site.delete()
    assert site.kinds() == ["bridge"]
    assert site.states() == []


def test_a_caller_that_hung_up_has_nothing(site: Site) -> None:
    with memory_engine(site.world, cancelled=lambda: True) as engines:
        asked = site.asked("c1")
        with pytest.raises(CniError) as caught:
            engines(asked).add(Pair(), asked)
    assert caught.value.code == 11
    assert set(site.kinds()) <= {"bridge"}


def test_dry_run_makes_and_writes_nothing(site: Site) -> None:
    asked = site.asked("c1")
    plan = site.engines(asked).dry_run(Pair(), asked)
    assert len(plan.resources) == 7
    assert site.kinds() == []
    assert site.states() == []


def test_check_names_what_is_missing(site: Site) -> None:
    site.add()
    asked = site.asked("c1")
    assert site.engines(asked).check(Pair(), asked) == []
    element = Element(set="guarded", item=("v-c1",))
    del site.world.standing[element.key]
    [drift] = site.engines(asked).check(Pair(), asked)
    assert "guarded" in str(drift)


class Published(Plugin):
    """A port of the host, to wherever the network's name says."""

    name = "published"
    config = NetConf
    checks_result = False

    def plan(self, request: Request, seen: Seen) -> Plan:
        port = PublishedPort(
            protocol="tcp",
            host_address="0.0.0.0",
            host_port=80,
            address=request.network,
            port=80,
        )
        return Plan((port,), Result())


def test_ports_of_one_container_on_two_networks_are_published_by_the_first(site: Site) -> None:
    """As Podman asks for them; whoever else asks is told whose they are."""
    plugin = Published()
    first, second = (request(plugin, {"name": name}) for name in ("10.1.0.2", "10.2.0.2"))
    for asked in (first, second):
        site.engines(asked).add(plugin, asked)
        assert [str(port.address) for port in site.world.standing.values()] == ["10.1.0.2"]
        assert site.engines(asked).check(plugin, asked) == []
    stranger = request(plugin, {"name": "10.2.0.3"}, container="c2")
    with pytest.raises(CniError, match="container c1"):
        site.engines(stranger).add(plugin, stranger)
    site.engines(second).delete(plugin, second)
    assert len(site.world.standing) == 1
    site.engines(first).delete(plugin, first)
    assert site.world.standing == {}


def _link(name: str) -> Any:
    from pynet.model.query import Link

    return Link(9, name, "veth", "m", 1500, True)


class ReadOnly(RecordingWorld):
    """Its setting is 1, and stays so."""

    def previous(self, resource: Resource) -> str | None:
        return "1" if isinstance(resource, Sysctl) else None

    def delete(self, resources: Sequence[tuple[Resource, str | None]]) -> None:
        super().delete(resources)
        if any(isinstance(resource, Sysctl) for resource, _ in resources):
            raise KernelError("read-only")


def test_a_setting_that_is_as_it_was_is_no_failure() -> None:
    """It could not be written; so it can't be, and need not be, given its old value."""
    world = ReadOnly()
    world.fail_at = Sysctl.kind
    with memory_engine(world) as engines:
        site = Site(world, engines)
        with pytest.raises(OSError, match="refused by the test"):
            site.add()
        site.delete()
        assert site.kinds() == ["bridge"]
