"""A whole attachment made and undone, what a world keeps open, and the questions it answers."""

from __future__ import annotations

import errno
import gc
import os
import statistics
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pair import Pair, new_namespace, open_files

from pynet.kernel.census import census, difference
from pynet.kernel.kinds.registry import HANDLERS
from pynet.kernel.roots import Root
from pynet.kernel.warm import Warm
from pynet.kernel.world import KernelWorld
from pynet.model import resources as kinds
from pynet.model.errors import CniError, NamespaceError, TableMissing
from pynet.model.owner import Owner
from pynet.model.query import REPLACED, FileText, LinkNamed, PluginBinary, ReplacedBinary
from pynet.model.resource import Lease, Resource, Unknown


@pytest.fixture
def warm() -> Iterator[Warm]:
    kept = Warm()
    yield kept
    kept.close()


def attachment(number: int) -> tuple[Resource, ...]:
    """What the bridge plugin makes for one container, without the tables."""
    veth = kinds.Veth(
        name=f"veth{number}",
        mac=f"02:00:00:01:{number >> 8:02x}:{number & 255:02x}",
        peer=f"eth{number}",
        peer_mac=f"02:00:00:02:{number >> 8:02x}:{number & 255:02x}",
    )
    inner: dict[str, Any] = {"place": "sandbox", "inside": veth.key}
    return (
        kinds.Bridge(name="cni0", mac="02:00:00:00:00:01"),
        veth,
        kinds.Sysctl(setting=f"ipv6/conf/{veth.name}/accept_ra", value="0", optional=True),
        kinds.BridgePort(name=veth.name, bridge="cni0", hairpin=True),
        kinds.GatewayAddress(name="cni0", address="10.1.0.1/16"),
        kinds.Forwarding(family=4),
        kinds.Sysctl(setting=f"ipv4/conf/{veth.peer}/arp_notify", value="1", **inner),
        kinds.InterfaceAddress(name=veth.peer, address=f"10.1.0.{number + 2}/16", **inner),
        kinds.LinkUp(name=veth.peer, **inner),
        kinds.LinkUp(name=veth.name),
        kinds.InterfaceRoute(name=veth.peer, dst="0.0.0.0/0", gw="10.1.0.1", **inner),
    )


def test_every_kind_but_leases_has_a_handler() -> None:
    there = {
        kind.kind
        for kind in vars(kinds).values()
        if isinstance(kind, type) and issubclass(kind, Resource) and not issubclass(kind, Lease)
    }
    assert set(HANDLERS) == there - {""}


def test_an_attachment_is_made_verified_and_undone_without_a_trace(pair: Pair) -> None:
    before = census(pair.host), census(pair.sandbox)
    with pair.world() as world:
        for resource in attachment(1):
            world.create([resource])
            assert world.exists(resource)
        assert [drift for resource in attachment(1) for drift in world.verify(resource)] == []
        for resource in reversed(attachment(1)):
            if not resource.inside:
                world.delete([(resource, "1")])
    assert difference(before[0], census(pair.host)) == {}
    assert difference(before[1], census(pair.sandbox)) == {}


def test_a_census_tells_what_is_new_and_what_is_gone(pair: Pair) -> None:
    pair.run(pair.host, "ip", "link", "set", "lo", "up")
    before = census(pair.host)
    pair.run(pair.host, "nft", "add", "table", "inet", "x")
    pair.run(pair.host, "ip", "rule", "add", "from", "10.0.0.1", "lookup", "100")
    pair.run(pair.host, "ip", "address", "add", "10.9.0.1/24", "dev", "lo")
    changed = difference(before, census(pair.host))
    assert set(changed) == {"nftables", "rules", "addresses", "routes"}
    assert changed["nftables"] == ([], ["table inet x {", "}"])
    assert changed["addresses"] == ([], ["lo 10.9.0.1/24"])


def test_several_deletions_are_all_tried_and_their_errors_come_together(pair: Pair) -> None:
    first, second = attachment(1), attachment(2)
    with pair.world() as world:
        for resource in (*first[:2], second[1]):
            world.create([resource])
        broken = [kinds.Sysctl(setting=f"ipv4/{name}", value="") for name in ("ip_forward",) * 2]
        with pytest.raises(ExceptionGroup) as raised:
            world.delete(
                [*((each, "much") for each in broken), (first[1], None), (second[1], None)]
            )
        assert len(raised.value.exceptions) == 2
        assert not world.exists(first[1])
        assert not world.exists(second[1])


def test_a_record_of_another_version_is_left_alone(pair: Pair) -> None:
    strange = Unknown(unknown_kind="teleporter", body="{}")
    with pair.world() as world:
        assert not world.exists(strange)
        assert world.previous(strange) is None
        world.delete([(strange, None)])


def test_elements_need_the_table_and_a_rebuilt_table_holds_them(pair: Pair, warm: Warm) -> None:
    prefix = kinds.MasqueradePrefix(family=4, length=24)
    network = kinds.SharedElement(set="network4_24", item=("10.1.0.0", "10.1.0.0"))
    element = kinds.Element(set="masquerade4", item=("10.1.0.2",))
    owner = Owner(boot="0" * 32, store="1" * 32, directory="/run/pynet", device=5)
    for world in (pair.world(), pair.world(warm=warm)):
        with world:
            with pytest.raises(TableMissing):
                world.create([element])
            assert not world.rebuild([prefix, network], owner)
            assert [one.owner for one in world.tables()] == [owner]
            assert not world.exists(element)
            world.create([element])
            for resource in (prefix, network, element):
                assert world.exists(resource)
                assert world.verify(resource) == []
            world.delete([(element, None)])
            assert not world.exists(element)
        pair.run(pair.host, "nft", "flush", "ruleset")


# --- which namespaces --------------------------------------------------------------------


def test_worlds_are_told_apart_by_cookie(pair: Pair, warm: Warm) -> None:
    with pair.world() as one, pair.world(warm=warm) as same:
        assert one.host == same.host != one.sandbox == same.sandbox


def test_a_sandbox_that_is_no_namespace_is_an_error_only_where_it_is_needed(
    pair: Pair, tmp_path: Path
) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    try:
        pair_options = {"netns": str(tmp_path), "our_plugins": frozenset()}
        with KernelWorld(pair.host, fd, **pair_options) as world:  # type: ignore[arg-type]
            assert world.sandbox == ""
        with pytest.raises(NamespaceError, match="is a directory"):
            KernelWorld(pair.host, fd, needs_sandbox=True, **pair_options)  # type: ignore[arg-type]
    finally:
        os.close(fd)


def test_a_visit_finds_the_recorded_sandbox_and_no_other(pair: Pair, tmp_path: Path) -> None:
    other = new_namespace()
    path = f"/proc/self/fd/{pair.sandbox}"
    with (
        KernelWorld(pair.host, other, netns="", our_plugins=frozenset()) as world,
        pair.world() as right,
    ):
        for where, cookie, found in (
            (path, right.sandbox, right.sandbox),
            (path, world.sandbox, ""),
            (str(tmp_path), right.sandbox, ""),
            (str(tmp_path / "gone"), right.sandbox, ""),
            ("", "", ""),
        ):
            with world.visiting(where, cookie) as visited:
                assert visited.sandbox == found
        before = open_files()
        for _ in range(3):
            with world.visiting(path, right.sandbox) as visited:
                assert visited.look(LinkNamed("lo", "sandbox")) is not None
        assert open_files() == before
    os.close(other)


def test_what_cant_be_looked_at_for_want_of_a_descriptor_is_not_gone(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with pair.world() as world:
        monkeypatch.setattr(Root, "network_namespace", refuse)
        with pytest.raises(OSError, match="Too many open files"):
            world.reaches("/run/netns/c1", "1")
        with pytest.raises(OSError, match="Too many open files"):
            world.visiting("/run/netns/c1", "1")


def test_a_closed_world_leaves_no_descriptor_and_no_sandbox_behind(pair: Pair, warm: Warm) -> None:
    with pair.world(warm=warm) as world:
        for resource in attachment(1):
            world.create([resource])
    before = open_files()
    for _ in range(3):
        with pair.world(warm=warm) as world:
            with world.visiting(f"/proc/self/fd/{pair.sandbox}", world.sandbox):
                pass
            for resource in attachment(1):
                world.verify(resource)
    assert open_files() <= before
    # With its descriptor gone nothing keeps the container, so the host's end vanishes.
    pair.replace_sandbox()
    with pair.world(warm=warm) as world:
        for _ in range(200):
            if world.look(LinkNamed("veth1")) is None:
                break
            time.sleep(0.02)
        assert world.look(LinkNamed("veth1")) is None


def test_a_host_namespace_that_is_not_used_is_let_go(pair: Pair, warm: Warm) -> None:
    before = open_files()
    with pair.world(warm=warm) as world:
        world.look(LinkNamed("lo"))
        warm.expire(0.0)
        assert world.look(LinkNamed("lo")) is not None
    assert open_files() - before
    warm.expire(3600.0)
    assert open_files() - before
    warm.expire(0.0)
    assert open_files() <= before


def test_threads_share_what_is_warm(pair: Pair, warm: Warm) -> None:
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for _ in range(3):
                with pair.world(warm=warm) as world:
                    for resource in attachment(number):
                        world.create([resource])
                    drifts = [d for resource in attachment(number) for d in world.verify(resource)]
                    assert drifts == []
                    world.delete([(attachment(number)[1], None)])
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(1, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert {link["ifname"] for link in pair.ip(pair.host, "link", "show")} == {"lo", "cni0"}


# --- questions ---------------------------------------------------------------------------


def test_files_are_read_where_paths_mean_the_same(pair: Pair, tmp_path: Path) -> None:
    file = tmp_path / "resolv.conf"
    file.write_text("nameserver 192.0.2.1\n")
    with pair.world() as world:
        assert world.look(FileText(str(file))) == "nameserver 192.0.2.1\n"
        assert world.look(FileText(str(tmp_path / "gone"))) is None
        with pytest.raises(CniError, match="can't be read"):
            world.look(FileText(str(tmp_path)))


def test_the_first_plugin_of_a_name_in_cni_path_counts(pair: Pair, tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    ours.mkdir()
    theirs.mkdir()
    (ours / "pynet-launcher").write_text("")
    (ours / "bridge").symlink_to("pynet-launcher")
    (ours / "dhcp").mkdir()  # no file
    for name in ("bridge", "dhcp"):
        (theirs / name).write_text("")
    with pair.world() as world:

        def found(name: str, *folders: Path) -> object:
            return world.look(PluginBinary(name, tuple(map(str, folders))))

        assert found("bridge", ours, theirs) == ""
        assert found("bridge", theirs, ours) == str(theirs / "bridge")
        assert found("bridge", tmp_path / "gone") == ""
        assert found("dhcp", ours, theirs) == str(theirs / "dhcp")
        assert found("dhcp", ours) is None


def test_what_one_of_ours_has_replaced_is_found_beside_it(pair: Pair, tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    for folder in (ours, theirs):
        (folder / REPLACED).mkdir(parents=True)
        for name in ("bridge", "portmap"):
            (folder / REPLACED / name).write_text("")
    (ours / "pynet-launcher").write_text("")
    for name in ("bridge", "static", "tuning"):
        (ours / name).symlink_to("pynet-launcher")
    (ours / REPLACED / "static").symlink_to("../bridge")
    (theirs / "bridge").write_text("")
    with pair.world() as world:

        def found(name: str, *folders: Path) -> object:
            return world.look(ReplacedBinary(name, tuple(map(str, folders))))

        assert found("bridge", ours, theirs) == str(ours / REPLACED / "bridge")
        assert found("bridge", theirs, ours) == "", "not ours is what is called"
        assert found("portmap", ours) == "", "nothing is called"
        assert found("tuning", ours) == "", "nothing was there"
        assert found("static", ours) == "", "it leads back to ours"


# --- figures -----------------------------------------------------------------------------


def test_figures(pair: Pair, warm: Warm, capsys: pytest.CaptureFixture[str]) -> None:
    """Prints what an ADD's and a DEL's kernel work cost; the outcome is asserted, no time is."""
    made: list[float] = []
    parts: dict[str, list[float]] = {}
    undone: list[float] = []
    with pair.world(warm=warm) as world:
        for resource in attachment(0):
            world.create([resource])
    gc.collect()
    for number in range(1, 31):
        resources = attachment(number)
        began = time.perf_counter()
        with pair.world(warm=warm) as world:
            for resource in resources:
                start = time.perf_counter()
                world.create([resource])
                parts.setdefault(resource.describe().split()[0], []).append(
                    time.perf_counter() - start
                )
        made.append(time.perf_counter() - began)
    for number in range(1, 31):
        veth = attachment(number)[1]
        began = time.perf_counter()
        with pair.world(warm=warm) as world:
            world.delete([(veth, None)])
        undone.append(time.perf_counter() - began)
    with pair.world(warm=warm) as world:
        assert not any(world.exists(attachment(number)[1]) for number in range(1, 31))
    with capsys.disabled():
        print(f"\none bridge ADD's kernel work: {1000 * statistics.median(made):.2f} ms")
        for name, times in parts.items():
            print(f"  {name:16} {1000 * statistics.median(times):.3f} ms")
        print(f"one veth deleted: {1000 * statistics.median(undone):.2f} ms")
