"""`scripts/demo`: two containers on one host, connected by pynet, from nothing and back to nothing.

Everything takes place in a lab (testnets/lab.py), so this machine's own network is not touched
and no root is needed.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator

from .installed import PYNET, install, start_daemon
from .internet import ADDRESSES, HOST_ADDRESSES, Internet
from .lab import CommandFailed, Container, Host, Lab, LabError
from .runtime import Runtime

NETWORK = Runtime(
    name="demo",
    plugins=[
        {
            "type": "bridge",
            "bridge": "demo0",
            "isGateway": True,
            "isDefaultGateway": True,
            "ipMasq": True,
            "ipam": {
                "type": "host-local",
                "ranges": [[{"subnet": "10.1.0.0/24"}], [{"subnet": "fd00:1::/64"}]],
            },
        }
    ],
)


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
    print("pynet connects containers to networks: their runtime asks it over the CNI protocol.")
    print("This shows it on a host of its own, made of namespaces.\n")
    try:
        with Lab() as lab:
            tell(lab)
    except (LabError, CommandFailed, subprocess.TimeoutExpired) as error:
        print(f"\nThe demo failed: {error}", file=sys.stderr)
        return 1
    return 0


def tell(lab: Lab) -> None:
    """The whole story, in `lab`."""
    story = Story()
    with story.step("A host, and an internet that knows nothing but the host's address"):
        host = lab.host("demo-host")
        internet = Internet(lab, host)
    with story.step(
        "`pynet install` puts the plugins where container runtimes look for them"
    ) as out:
        out += install(host).splitlines()
    with story.step("`pynet daemon` keeps Python warm (without it all works, more slowly)"):
        daemon = start_daemon(host)
    with story.step("Two containers: to the network, each is a namespace with nothing in it"):
        containers = [host.container("web"), host.container("db")]
    for container in containers:
        _connect(story, host, container)
    web, db = containers
    _show_that_it_works(story, host, internet, web, db)
    with story.step(
        "`pynet inspect` says who is connected, how, and whether all is as it should"
    ) as out:
        out += _inspected(host)
    for container in containers:
        with story.step(f"DEL takes container {container.name!r} off the network again"):
            host.call(NETWORK.delete, container)
    with story.step("Nothing is left: no interface, no address taken, no rule for anybody") as out:
        out += _what_is_left(host)
    daemon.terminate()
    daemon.wait()


def _connect(story: Story, host: Host, container: Container) -> None:
    sentence = f"ADD through /opt/cni/bin/bridge connects container {container.name!r}"
    with story.step(sentence) as out:
        result = host.call(NETWORK.add, container)
        addresses = ", ".join(address["address"] for address in result["ips"])
        out.append(f"it has interface eth0 now, with addresses {addresses}")


def _show_that_it_works(
    story: Story, host: Host, internet: Internet, web: Container, db: Container
) -> None:
    for family, title in ((4, "IPv4"), (6, "IPv6")):
        address = _address(db, family)
        with story.step(f"'web' reaches 'db' at {address} ({title})"):
            web.run(["ping", f"-{family}", "-c", "1", "-W", "2", address])
    for family, address in ADDRESSES.items():
        with story.step(f"'web' reaches the internet at {address}, where it looks like the host"):
            seen = internet.sees(web, family)
        if seen != HOST_ADDRESSES[family]:
            raise LabError(f"the internet saw {seen}, not the host's {HOST_ADDRESSES[family]}")


def _address(container: Container, family: int) -> str:
    shown = container.run(["ip", "-j", f"-{family}", "address", "show", "dev", "eth0"]).stdout
    (link,) = json.loads(shown)
    texts = [entry["local"] for entry in link["addr_info"] if entry["scope"] == "global"]
    return str(texts[0])


def _what_is_left(host: Host) -> list[str]:
    links = [link["ifname"] for link in json.loads(host.run(["ip", "-j", "link"]).stdout)]
    left = [name for name in links if name not in ("lo", "eth0", "demo0")]
    for container in ("web", "db"):
        inside = json.loads(host.run(["ip", "-j", "link"], netns=container).stdout)
        left += [f"{link['ifname']} in {container}" for link in inside if link["ifname"] != "lo"]
    if left:
        raise LabError(f"still there: {', '.join(left)}")
    return _inspected(host)


def _inspected(host: Host) -> list[str]:
    return host.run([*PYNET, "inspect"]).stdout.decode().splitlines()


if __name__ == "__main__":
    sys.exit(main())
