"""`scripts/demo`: two containers on one host, connected by pynet, from nothing and back to nothing.

Everything takes place in a lab (testnets/lab.py), so this machine's own network is not touched
and no root is needed.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .demo_web import PORT, fetch_page, page_for, serve_page, url
from .installed import PYNET, install, start_daemon
from .internet import ADDRESSES, HOST_ADDRESSES, Internet
from .lab import CommandFailed, Container, Host, Lab, LabError
from .runtime import Runtime

CONFLIST = """\
{
  "cniVersion": "1.1.0",
  "name": "demo",
  "plugins": [
    {"type": "bridge", "bridge": "demo0", "isDefaultGateway": true, "ipMasq": true,
     "ipam": {"type": "host-local",
              "ranges": [[{"subnet": "10.1.0.0/24"}], [{"subnet": "fd00:1::/64"}]]}},
    {"type": "portmap", "capabilities": {"portMappings": true}}
  ]
}
"""
CONFLIST_PATH = "/etc/cni/net.d/demo.conflist"
PUBLISHED = 8080
PUBLICATION = {"hostPort": PUBLISHED, "containerPort": PORT, "protocol": "tcp"}
SUBNETS = re.compile(r"\b(10\.1\.0|fd00:1:)")
FAMILIES: dict[int, int] = {socket.AF_INET: 4, socket.AF_INET6: 6}

INTRODUCTION = """\
A container runtime (containerd, Podman ...) starts a container in an empty network namespace and
runs plugins: with ADD to connect it, with DEL when it has ended. That protocol is CNI, and pynet
is a set of such plugins. Here they are at work, on a host that is made of namespaces, too: this
machine's own network is not touched.
"""


class Story:
    """Numbered steps on the terminal, each with the time it took."""

    def __init__(self) -> None:
        self._count = 0

    @contextlib.contextmanager
    def step(self, sentence: str) -> Iterator[list[str]]:
        """Do one step; the lines that are put into the list it yields are shown below it."""
        self._count += 1
        shown: list[str] = []
        begin = time.perf_counter()
        yield shown
        milliseconds = 1000 * (time.perf_counter() - begin)
        print(f"{self._count:2}. {sentence:<80}{milliseconds:7.1f} ms")
        for line in shown:
            print(f"      {line}")
        sys.stdout.flush()


def main() -> int:
    """Tell the story; 0 where all of it came true."""
    print(INTRODUCTION)
    begin = time.perf_counter()
    try:
        with Lab() as lab:
            tell(lab)
    except (LabError, CommandFailed, subprocess.TimeoutExpired, OSError) as error:
        print(f"\nThe demo failed: {error}", file=sys.stderr)
        return 1
    print(f"\nThat was all, in {time.perf_counter() - begin:.1f} s.")
    return 0


def tell(lab: Lab) -> None:
    """The whole story, in `lab`."""
    story = Story()
    with story.step("A host, and an internet that knows the host's address and no other") as out:
        host = lab.host("demo-host")
        internet = Internet(lab, host)
        out.append(f"the host is {_both(HOST_ADDRESSES)}")
        out.append(f"somebody out there is {_both(ADDRESSES)}")
    _prepare(story, host)
    with story.step("`pynet daemon` keeps Python warm (without it all works, more slowly)"):
        daemon = start_daemon(host)
    with story.step("Two containers: to the network, each is a namespace with nothing in it"):
        web, db = host.container("web"), host.container("db")
    _connect(story, web, f", port {PUBLISHED} of the host leads to its port {PORT}", PUBLICATION)
    _connect(story, db)
    _show_the_ways_out(story, internet, web, db)
    _show_the_way_in(story, lab, internet, web)
    with story.step("`pynet inspect`: who is connected, how, and is all as it was made?") as out:
        out += _pynet(host, "inspect")
    _disconnect(story, internet, web, db)
    daemon.terminate()
    daemon.wait()


def _prepare(story: Story, host: Host) -> None:
    with story.step("`pynet install` puts the plugins where runtimes look for them") as out:
        out += install(host).splitlines()
    with story.step(f"A network is a file, {CONFLIST_PATH}") as out:
        host.call(_write, CONFLIST_PATH, CONFLIST)
        out += CONFLIST.splitlines()


def _connect(story: Story, container: Container, also: str = "", *mappings: dict[str, Any]) -> None:
    name = container.name
    with story.step(f"ADD: the plugins connect '{name}'{also}") as out:
        result = container.host.call(_runtime(*mappings).add, container)
        addresses = " and ".join(ip["address"] for ip in result["ips"])
        out.append(f"inside there is an interface eth0 now, with {addresses}")


def _show_the_ways_out(story: Story, internet: Internet, web: Container, db: Container) -> None:
    for family in FAMILIES:
        address = _address(db, family)
        with story.step(f"'web' reaches 'db' at {address}"):
            web.run(["ping", "-c", "1", "-W", "2", address])
    for family, address in ADDRESSES.items():
        with story.step(f"'web' reaches the internet at {address}") as out:
            seen = internet.sees(web, family)
            _expect(HOST_ADDRESSES[family], seen)
            out.append(f"there it is taken for the host: {seen}")


def _show_the_way_in(story: Story, lab: Lab, internet: Internet, web: Container) -> None:
    with story.step(f"'web' starts a web server on its port {PORT}"):
        serve_page(lab, web)
    for family, caller in ADDRESSES.items():
        address = HOST_ADDRESSES[family]
        with story.step(f"Somebody at {caller} opens {url(address, PUBLISHED)}") as out:
            page = fetch_page(internet.outside, caller, address, PUBLISHED)
            _expect(page_for(caller, web.name), page)
            out.append(f'the server sees who asks; it says "{page}"')


def _disconnect(story: Story, internet: Internet, web: Container, db: Container) -> None:
    host = web.host
    with story.step("DEL: the plugins disconnect 'web'"):
        host.call(_runtime(PUBLICATION).delete, web)
    for family, caller in ADDRESSES.items():
        address = HOST_ADDRESSES[family]
        with story.step(f"Somebody at {caller} opens {url(address, PUBLISHED)} again") as out:
            out.append(_refusal(internet, caller, address))
    with story.step("DEL: the plugins disconnect 'db'"):
        host.call(_runtime().delete, db)
    with story.step(
        "`pynet cni gc` tidies up as runtimes do: nobody uses the bridge any more"
    ) as out:
        _pynet(host, "cni", "gc", "demo", "--yes")
        out.append(f"the host's own interfaces: {', '.join(_links(host))}")
    with story.step("Nothing is left: no interface, no address taken, no rule for anybody") as out:
        _expect_nothing(host, web, db)
        out += _pynet(host, "inspect")


def _refusal(internet: Internet, caller: str, address: str) -> str:
    try:
        page = fetch_page(internet.outside, caller, address, PUBLISHED)
    except OSError as error:
        return f"nobody answers there: {error.strerror or error}"
    raise LabError(f"port {PUBLISHED} is still published: {page}")


def _expect_nothing(host: Host, *containers: Container) -> None:
    left = [f"{link} of the host" for link in _links(host) if link not in ("lo", "eth0")]
    for container in containers:
        left += [f"{link} in {container.name}" for link in _links(container) if link != "lo"]
    rules = host.run(["nft", "list", "ruleset"]).stdout.decode()
    left += [f"the rule {line.strip()}" for line in rules.splitlines() if SUBNETS.search(line)]
    if left:
        raise LabError(f"still there: {', '.join(left)}")


def _expect(wanted: str, found: str) -> None:
    if found != wanted:
        raise LabError(f"there should have been {wanted!r}, not {found!r}")


def _runtime(*mappings: dict[str, Any]) -> Runtime:
    """The network of CONFLIST, for a container that publishes `mappings`.

    What a plugin says it is capable of, the runtime tells it (CNI conventions).
    """
    network = json.loads(CONFLIST)
    told = [
        {**plugin, "runtimeConfig": {"portMappings": mappings}}
        if "capabilities" in plugin
        else plugin
        for plugin in network["plugins"]
    ]
    return Runtime(name=network["name"], plugins=told, version=network["cniVersion"])


def _address(container: Container, family: int) -> str:
    shown = container.run(["ip", "-j", f"-{FAMILIES[family]}", "address", "show", "eth0"]).stdout
    (link,) = json.loads(shown)
    texts = [entry["local"] for entry in link["addr_info"] if entry["scope"] == "global"]
    return str(texts[0])


def _links(place: Host | Container) -> list[str]:
    return [link["ifname"] for link in json.loads(place.run(["ip", "-j", "link"]).stdout)]


def _pynet(host: Host, *arguments: str) -> list[str]:
    return host.run([*PYNET, *arguments]).stdout.decode().splitlines()


def _both(addresses: Mapping[Any, str]) -> str:
    return " and ".join(addresses.values())


def _write(path: str, text: str) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text)


if __name__ == "__main__":
    sys.exit(main())
