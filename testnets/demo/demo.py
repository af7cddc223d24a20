"""`scripts/demo`: two containers on one host, connected by pynet, from nothing and back to nothing.

It takes place in a lab of the gallery's topology `published-ports`, so this machine's own network
is not touched and no root is needed.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from .. import gallery
from ..lab.forked import LabError
from ..lab.host import CommandFailed
from ..lab.place import Place
from ..live.attaching import Attached, planned
from ..live.installed import PYNET, install, start_daemon
from ..live.testnet import Testnet
from ..pictures.drawing import draw
from ..spec.reading import read
from ..spec.topology import Topology
from .demo_web import PORT, fetch_page, page_for, serve_page, url

TOPOLOGY = "published-ports"
NETWORK = "web"
PUBLISHED = 8080
_WIDTH = 94
FAILURES = (LabError, CommandFailed, subprocess.TimeoutExpired, OSError)
SUBNETS = re.compile(r"\b(10\.1\.0|fd00:1:)")

INTRODUCTION = """\
A container runtime (containerd, Podman ...) starts a container in an empty network namespace and
runs plugins: with ADD to connect it, with DEL when it has ended. That protocol is CNI, and pynet
is a set of such plugins. Here they are at work, on a host that is made of namespaces, too: this
machine's own network is not touched.
"""


class Story:
    """Numbered steps, each told with the time it took: `say` is given a line at a time."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._count = 0

    @contextlib.contextmanager
    def step(self, sentence: str) -> Iterator[list[str]]:
        """Do one step; the lines that are put into the list it yields are shown below it."""
        self._count += 1
        shown: list[str] = []
        begin = time.perf_counter()
        yield shown
        milliseconds = 1000 * (time.perf_counter() - begin)
        self._say(f"{self._count:2}. {sentence:<80}{milliseconds:7.1f} ms")
        for line in shown:
            self._say(f"      {line}")


class Stage(NamedTuple):
    """Who plays: the host, somebody outside, and the containers by name, once they are there."""

    topology: Topology
    host: Place
    outside: Place
    places: dict[str, Place]


def tell(say: Callable[[str], None]) -> str:
    """The whole story, a line at a time to `say`; the path of its picture.

    Raises what `FAILURES` lists, where it does not come true.
    """
    story = Story(say)
    topology = read(gallery.FOLDER / f"{TOPOLOGY}.yaml")
    empty = topology.model_copy(update={"containers": {}})
    with contextlib.ExitStack() as ending:
        with story.step("A host, and somebody outside who knows the host and nobody behind") as out:
            testnet = ending.enter_context(Testnet.up(empty))
            host, outside = testnet.place("h1"), testnet.place("outside")
            out += [f"{place.name} is {_both(place)}" for place in (host, outside)]
        serve_page(testnet.lab, outside)
        stage = Stage(topology, host, outside, {"h1": host, "outside": outside})
        _prepare(story, stage)
        with story.step("`pynet daemon` keeps Python warm (without it all works, more slowly)"):
            daemon = start_daemon(host.host)
        with story.step("Two containers: to the network, each is a namespace with nothing in it"):
            for name in topology.containers:
                host.host.container(name)
        for name in topology.containers:
            _connect(story, stage, name)
        _show_the_ways_out(story, stage)
        _show_the_way_in(story, stage, testnet)
        with story.step(
            "`pynet inspect`: who is connected, how, and is all as it was made?"
        ) as out:
            out += _pynet(host, "inspect")
        with story.step("`pynet testnet graph` draws it"):
            drawn = _draw(stage)
        _disconnect(story, stage)
        daemon.terminate()
        daemon.wait()
    return drawn


def _prepare(story: Story, stage: Stage) -> None:
    with story.step("`pynet install` puts the plugins where runtimes look for them") as out:
        out += install(stage.host.host).splitlines()
    path = f"/etc/cni/net.d/{NETWORK}.conflist"
    with story.step(f"A network is a file, {path}") as out:
        for plugin in json.loads(stage.host.run(["cat", path]).stdout)["plugins"]:
            out += textwrap.wrap(json.dumps(plugin), _WIDTH, subsequent_indent="  ")


def _connect(story: Story, stage: Stage, name: str) -> None:
    published = stage.topology.containers[name].publish
    also = f", port {PUBLISHED} of the host leads to its port {PORT}" if published else ""
    with story.step(f"ADD: the plugins connect '{name}'{also}") as out:
        attached = _attached(stage, name)
        (connection,) = attached.connections
        result = stage.host.call(connection.runtime().add, attached.container, connection.interface)
        cidrs = tuple(ip["address"] for ip in result["ips"])
        interfaces = {connection.interface: cidrs}
        host = stage.host.host
        stage.places[name] = Place(name, "container", host, attached.container, interfaces)
        out.append(f"inside there is an interface eth0 now, with {' and '.join(cidrs)}")


def _show_the_ways_out(story: Story, stage: Stage) -> None:
    server, neighbour = (stage.places[name] for name in stage.topology.containers)
    for address in neighbour.addresses:
        with story.step(f"'{server.name}' reaches '{neighbour.name}' at {address}"):
            server.run(["ping", "-c", "1", "-W", "2", address])
    for family in (4, 6):
        there, host = _address(stage.outside, family), _address(stage.host, family)
        with story.step(f"'{server.name}' opens {url(there, PORT)} outside") as out:
            page = fetch_page(server, _address(server, family), there, PORT)
            _expect(page_for(host, stage.outside.name), page)
            out.append(f'there it is taken for the host: "{page}"')


def _show_the_way_in(story: Story, stage: Stage, testnet: Testnet) -> None:
    server = next(stage.places[name] for name in stage.topology.containers)
    with story.step(f"'{server.name}' starts a web server on its port {PORT}"):
        serve_page(testnet.lab, server)
    for family in (4, 6):
        caller, address = _address(stage.outside, family), _address(stage.host, family)
        with story.step(f"Somebody at {caller} opens {url(address, PUBLISHED)}") as out:
            page = fetch_page(stage.outside, caller, address, PUBLISHED)
            _expect(page_for(caller, server.name), page)
            out.append(f'the server sees who asks; it says "{page}"')


def _disconnect(story: Story, stage: Stage) -> None:
    server, neighbour = stage.topology.containers
    with story.step(f"DEL: the plugins disconnect '{server}'"):
        _delete(stage, server)
    for family in (4, 6):
        caller, address = _address(stage.outside, family), _address(stage.host, family)
        with story.step(f"Somebody at {caller} opens {url(address, PUBLISHED)} again") as out:
            out.append(_refusal(stage, caller, address))
    with story.step(f"DEL: the plugins disconnect '{neighbour}'"):
        _delete(stage, neighbour)
    with story.step("`pynet cni gc` tidies up as runtimes do: nobody uses the bridge now") as out:
        _pynet(stage.host, "cni", "gc", NETWORK, "--yes")
        out.append(f"the host's own interfaces: {', '.join(_links(stage.host))}")
    with story.step("Nothing is left: no interface, no address taken, no rule for anybody") as out:
        _expect_nothing(stage)
        out += _pynet(stage.host, "inspect")


def _refusal(stage: Stage, caller: str, address: str) -> str:
    try:
        page = fetch_page(stage.outside, caller, address, PUBLISHED)
    except OSError as error:
        return f"nobody answers there: {error.strerror or error}"
    raise LabError(f"port {PUBLISHED} is still published: {page}")


def _expect_nothing(stage: Stage) -> None:
    left = [f"{link} of the host" for link in _links(stage.host) if link not in ("lo", "eth0")]
    for name in stage.topology.containers:
        left += [f"{link} in {name}" for link in _links(stage.places[name]) if link != "lo"]
    rules = stage.host.run(["nft", "list", "ruleset"]).stdout.decode()
    left += [f"the rule {line.strip()}" for line in rules.splitlines() if SUBNETS.search(line)]
    if left:
        raise LabError(f"still there: {', '.join(left)}")


def _expect(wanted: str, found: str) -> None:
    if found != wanted:
        raise LabError(f"there should have been {wanted!r}, not {found!r}")


def _attached(stage: Stage, name: str) -> Attached:
    return planned(stage.topology, name, stage.host.host)


def _delete(stage: Stage, name: str) -> None:
    attached = _attached(stage, name)
    (connection,) = attached.connections
    stage.host.call(connection.runtime().delete, attached.container, None, connection.interface)


def _draw(stage: Stage) -> str:
    """A file that stays, with the addresses that everybody has now."""
    descriptor, path = tempfile.mkstemp(prefix="pynet-demo-", suffix=".svg")
    with os.fdopen(descriptor, "w") as file:
        file.write(draw(stage.topology, "svg", stage))
    return path


def _address(place: Place, family: int) -> str:
    address = place.address(family)
    if address is None:
        raise LabError(f"{place.name} has no IPv{family} address")
    return address


def _both(place: Place) -> str:
    return " and ".join(_address(place, family) for family in (4, 6))


def _links(place: Place) -> list[str]:
    return [link["ifname"] for link in json.loads(place.run(["ip", "-j", "link"]).stdout)]


def _pynet(host: Place, *arguments: str) -> list[str]:
    return host.run([*PYNET, *arguments]).stdout.decode().splitlines()
