"""A place outside: one host behind an uplink, with a server that tells a caller who he seems to be.

It has no route to any container's network, as the internet has none: an answer comes back to a
container only where its packets were masqueraded as its host's.
"""

from __future__ import annotations

import os
import socket

from .host import Container, Host
from .lab import Lab
from .plumbing import Part

ADDRESSES = {socket.AF_INET: "203.0.113.1", socket.AF_INET6: "2001:db8:ffff::1"}
HOST_ADDRESSES = {socket.AF_INET: "192.0.2.2", socket.AF_INET6: "2001:db8:1::2"}
PORT = 80
_GATEWAYS = {socket.AF_INET: "192.0.2.1", socket.AF_INET6: "2001:db8:1::1"}
_EVERYWHERE = {socket.AF_INET: "0.0.0.0/0", socket.AF_INET6: "::/0"}


class Internet:
    """What is outside of one fake host: the host gets `eth0`, an address and default routes."""

    def __init__(self, lab: Lab, host: Host, *, name: str = "internet") -> None:
        self.outside = lab.host(name)
        near, far = (
            [f"{text}{_prefix(text)}" for text in ends.values()]
            for ends in (_GATEWAYS, HOST_ADDRESSES)
        )
        lab.wire(self.outside, "eth0", host, "eth0", addresses=(near, far))
        served = Part({"lo": tuple(ADDRESSES.values())})
        ways = [(_EVERYWHERE[family], gateway) for family, gateway in _GATEWAYS.items()]
        lab.give({name: served, host.name: Part(routes=ways)})
        listening, ready = os.pipe()
        server = self.outside.fork_call(_serve, ready)
        os.close(ready)
        with os.fdopen(listening, "rb") as told:
            told.read()
        lab.at_close(server.end)

    def sees(self, caller: Container | Host, family: int = socket.AF_INET) -> str:
        """Where a connection of `caller` seems to come from, out there. Raises `OSError`."""
        host, netns = (caller.host, caller) if isinstance(caller, Container) else (caller, None)
        return host.call(_ask, ADDRESSES[socket.AddressFamily(family)], netns=netns)


def _prefix(address: str) -> str:
    return "/64" if ":" in address else "/24"


def _serve(ready: int) -> None:
    """Answer each connection with the address it comes from, for ever."""
    with socket.create_server(("::", PORT), family=socket.AF_INET6, dualstack_ipv6=True) as server:
        os.close(ready)
        while True:
            connection, peer = server.accept()
            with connection:
                connection.sendall(peer[0].removeprefix("::ffff:").encode())


def _ask(address: str) -> str:
    with socket.create_connection((address, PORT), timeout=3) as connection:
        return connection.recv(100).decode()
