"""Many deletions at once, from many threads, past what others do to the same links."""

from __future__ import annotations

import threading

import pytest
from pair import Pair

from pynet.kernel.netlink import deletion, links
from pynet.kernel.netlink.deletion import Deleter, Helpers
from pynet.kernel.netlink.packed import messages
from pynet.kernel.netlink.rtnl_socket import Socket
from pynet.kernel.warm import Warm
from pynet.model.errors import KernelError
from pynet.model.resources import Bridge, BridgePort, LinkUp, Veth

COUNT = 32


def veth(number: int) -> Veth:
    return Veth(
        name=f"veth{number}",
        mac=f"02:00:00:00:01:{number:02x}",
        peer=f"eth{number}",
        peer_mac=f"02:00:00:00:02:{number:02x}",
    )


def test_many_at_once_are_gone_from_both_namespaces_when_told_so(pair: Pair) -> None:
    warm = Warm()
    wrong: list[str] = []
    with pair.world(warm=warm) as world:
        world.create([Bridge(name="cni0", mac="02:00:00:00:00:01")])
        for number in range(COUNT):
            world.create([veth(number)])
            world.create([BridgePort(name=f"veth{number}", bridge="cni0")])
            world.create([LinkUp(name=f"veth{number}")])
            world.create([LinkUp(name=f"eth{number}", place="sandbox")])

    def delete(first: int) -> None:
        with pair.world(warm=warm) as world:
            for number in range(first, COUNT, 4):
                world.delete([(veth(number), None)])
                host, sandbox = Socket.inside(pair.host, "h"), Socket.inside(pair.sandbox, "c")
                if links.by_name(host, f"veth{number}") or links.by_name(sandbox, f"eth{number}"):
                    wrong.append(f"pair {number} was there still")
                host.close()
                sandbox.close()

    threads = [threading.Thread(target=delete, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    warm.close()
    assert wrong == []
    assert {link["ifname"] for link in pair.ip(pair.host, "link", "show")} == {"lo", "cni0"}


def test_a_name_is_free_once_its_link_is_deleted(pair: Pair) -> None:
    with pair.world() as world:
        for _ in range(5):
            world.create([veth(1)])
            world.delete([(veth(1), None)])


def test_leaving_a_bridge_is_not_taken_for_the_end_of_a_link(pair: Pair) -> None:
    """The kernel announces both with the same message type and index."""
    with pair.world() as world:
        world.create([Bridge(name="cni0", mac="02:00:00:00:00:01")])
        world.create([veth(1)])
        world.create([BridgePort(name="veth1", bridge="cni0")])
    sock = Socket.inside(pair.host, "h", groups=1)
    looker = Socket.inside(pair.host, "h")
    index = links.required(looker, "veth1").index
    looker.transact(links.master("veth1", 0, ""))
    sock.raw.setblocking(False)
    told = _datagrams(sock)
    sock.close()
    looker.close()
    deleted = [body for kind, body in told if kind == 17]
    assert deleted, "the kernel told of the port that left"
    assert not any(links.is_about(body, index) for body in deleted)


def _datagrams(sock: Socket) -> list[tuple[int, bytes]]:
    told: list[tuple[int, bytes]] = []
    while True:
        try:
            data = sock.raw.recv(65536)
        except BlockingIOError:
            return told
        told += [(message.type, message.body) for message in messages(data)]


def test_a_link_that_went_by_itself_is_no_error_and_a_refusal_is_one(pair: Pair) -> None:
    deleter = Deleter()
    deleter.delete(pair.host, "the host", 4711, "gone")
    with pytest.raises(KernelError, match="ip link del lo"):
        deleter.delete(pair.host, "the host", 1, "lo")


def flooded(other: Socket) -> type[Socket]:
    """Sockets with more announcements than their buffer holds: the kernel drops the rest."""

    class Flooded(Socket):
        def __init__(self, where: str, *, groups: int = 0) -> None:
            super().__init__(where, groups=groups)
            for _ in range(500 if groups else 0):
                other.transact(links.up("lo"), links.down("lo"))

    return Flooded


def test_where_announcements_are_lost_a_refusal_is_seen_by_what_is_still_there(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Socket.inside(pair.host, "h")
    monkeypatch.setattr(deletion, "Socket", flooded(other))
    with pytest.raises(KernelError, match="had no effect"):
        Deleter().delete(pair.host, "the host", 1, "lo")
    other.close()


def test_where_announcements_are_lost_the_end_of_the_request_counts(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pair.world() as world:
        world.create([veth(1)])
    other = Socket.inside(pair.host, "h")
    index = links.required(other, "veth1").index
    asked: list[int] = []
    monkeypatch.setattr(deletion, "Socket", flooded(other))
    by_index = links.by_index
    monkeypatch.setattr(links, "by_index", lambda s, i: (asked.append(i), by_index(s, i))[1])
    Deleter().delete(pair.host, "h", index, "veth1")
    assert asked == [index]
    assert links.by_name(other, "veth1") is None
    other.close()


def test_helpers_do_each_job_once_and_at_the_same_time() -> None:
    helpers = Helpers()
    together = threading.Barrier(8)
    done: list[int] = []
    for number in range(7):
        helpers.run(lambda number=number: (done.append(number), together.wait(10)))
    together.wait(10)
    again = threading.Event()
    helpers.run(again.set)
    assert again.wait(10)
    assert sorted(done) == list(range(7))
