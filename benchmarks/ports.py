"""Published ports: what many of them cost an ADD, the rules of others, and a connection."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from functools import partial

from measure import Row, Samples, alternate, medians, milliseconds, quotient
from sides import Side, both, bridge, published, pynet

from pynet.kernel.nft.table import Table
from pynet.model.resources import SharedElement
from pynet.testnets.lab.internet import HOST_ADDRESSES, Internet
from pynet.testnets.lab.lab import Container, Lab

FOREIGN_CHAINS, FOREIGN_SETS = 3_000, 1_000
OTHERS = 1_000
_PORT = 20_000
_CONNECTIONS = 400


def ports(rounds: int) -> Iterator[Row]:
    """An ADD of portmap with a hundred ports, against one with one."""
    with Lab() as lab:
        side = pynet(lab)
        takers = {
            f"{count} ports": partial(_publish, side, range(_PORT, _PORT + count))
            for count in (1, 100)
        }
        samples = alternate(rounds, takers)
    values = medians(samples)
    more = values["100 ports"] - values["1 ports"]
    yield Row("portmap: 100 ports instead of one", "ms", values, more, "ms more", "20", samples)


def _publish(side: Side, wanted: range) -> dict[str, float]:
    container = side.container()

    def work() -> float:
        result = side.runtime(bridge()).add(container)
        chain = side.runtime(published(*wanted))
        plugin = {**chain.plugins[0], "prevResult": result}
        taken = milliseconds(lambda: side.runtime(plugin).add(container))
        side.runtime(bridge(), plugin).delete(container, result)
        return taken

    taken = side.host.call(work)
    side.host.delete_container(container)
    return {"": taken}


def elements(rounds: int) -> Iterator[Row]:
    """One element added and deleted, alone and beside other people's chains and sets."""
    with Lab() as lab:
        hosts = {"alone": lab.host("alone"), "beside": lab.host("beside")}
        chains = "".join(f"add chain ip theirs c{count}\n" for count in range(FOREIGN_CHAINS))
        sets = "".join(
            f"add set ip theirs s{count} {{ type ipv4_addr; }}\n" for count in range(FOREIGN_SETS)
        )
        rules = f"add table ip theirs\n{chains}{sets}".encode()
        hosts["beside"].run(["nft", "-f", "-"], input=rules)
        samples = alternate(
            rounds, {name: partial(host.call, _change_elements) for name, host in hosts.items()}
        )
    values = medians(samples)
    ratio = quotient(values, "beside", "alone")
    what = f"an element beside {FOREIGN_CHAINS} foreign chains, {FOREIGN_SETS} sets"
    yield Row(what, "us", values, ratio, "alone", "2", samples)


def _change_elements() -> dict[str, float]:
    """Microseconds for one element to be added and deleted, over a hundred of them."""
    times = 100
    namespace = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    table = Table(namespace)
    table.make(["inet"])
    element = SharedElement(set="masquerade4", item=("10.0.0.1",))

    def work() -> None:
        for _ in range(times):
            table.create([element])
            table.delete([element])

    taken = milliseconds(work) * 1000 / times
    table.close()
    os.close(namespace)
    return {"": taken}


def connections(rounds: int) -> Iterator[Row]:
    """Connections a second from outside through a published port, alone and among others."""
    samples: Samples = {}
    for name, others in (("alone", 0), (f"among {OTHERS}", OTHERS)):
        with Lab() as lab:
            takers = {side.name: _listening(lab, side, others) for side in both(lab)}
            for key, values in alternate(max(5, rounds // 2), takers).items():
                samples[f"{key} {name}"] = values
    values = medians(samples)
    for one, other, budget in (
        ("pynet among 1000", "pynet alone", "0.95"),
        ("pynet among 1000", "reference among 1000", "0.95"),
        ("reference among 1000", "reference alone", ""),
    ):
        ratio = quotient(values, one, other)
        if ratio is not None:
            mine = {key: values[key] for key in (one, other)}
            yield Row(
                f"connections through a port: {one}", "/s", mine, ratio, other, budget, samples
            )


def _listening(lab: Lab, side: Side, others: int) -> partial[dict[str, float]]:
    """A container whose port 80 is published after `others` of the same container's."""
    internet = Internet(lab, side.host, name=f"outside-{side.name}")
    container = side.container()
    wanted = range(_PORT, _PORT + others + 1)
    side.host.call(_attach, side, container, wanted)
    server = side.host.fork_call(_serve, netns=container)
    lab.at_close(server.end)
    return partial(internet.outside.call, _connect, wanted[-1])


def _attach(side: Side, container: Container, wanted: range) -> None:
    side.runtime(bridge(), published(*wanted)).add(container)


def _serve() -> None:
    with socket.create_server(("0.0.0.0", 80), backlog=1024) as server:
        while True:
            server.accept()[0].close()


def _connect(port: int) -> dict[str, float]:
    """Connections a second, each from another port."""
    target = (HOST_ADDRESSES[socket.AF_INET], port)
    for _ in range(20):
        _once(target)
    begin = time.perf_counter()
    for _ in range(_CONNECTIONS):
        _once(target)
    return {"": _CONNECTIONS / (time.perf_counter() - begin)}


def _once(target: tuple[str, int]) -> None:
    with socket.create_connection(target, timeout=5) as connection:
        connection.recv(1)
