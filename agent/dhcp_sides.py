"""DHCP of one family, as the service drives it: whose client, what wire, and what an answer means.

A lease's answer is JSON: what its options say (`client.Said`, decoded once, here), the `lease`
itself, and what the client has to know of the interface: all that a restart needs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from select import POLLIN, poll
from time import monotonic, time
from typing import Any, Protocol

from msgspec import convert
from msgspec.structs import asdict, replace

from ..daemon.dhcp_daemon import VARIABLES
from ..dhcp import advertised, options4, options6
from ..dhcp.asking4 import Settings as Settings4
from ..dhcp.client import Client, Lease, Said, Send
from ..dhcp.client4 import Client4
from ..dhcp.client6 import Client6
from ..dhcp.exchange6 import Settings as Settings6
from ..dhcp.probe4 import ArpProbe
from ..dhcp.probe6 import NeighbourProbe
from ..dhcp.wire4 import Wire4
from ..dhcp.wire6 import Wire6
from ..model.errors import ConfigError
from ..model.query import Link
from ..model.value import Value
from ..store.keeping import Kept

_SHARES_ITS_MAC = "ipvlan"
"""A kind of link that gets no packet for an address that it does not have yet."""

_FLUSH = 0.2
"""Seconds for a message to leave, as its receiver's MAC may have to be found; or to be answered."""


class Limits(Value):
    """What the flags of `dhcp daemon` say; seconds.

    `timeout` is how long a server may be silent while somebody waits, `asking` how long is asked
    in all, `resend_max` the longest pause before a message is sent again. With `broadcast` answers
    are always asked for as broadcasts. `host_prefix` is where the host's root is, seen from here.
    """

    timeout: float = 10.0
    asking: float = 208.0
    resend_max: float = 62.0
    broadcast: bool = False

    host_prefix: str = ""

    @classmethod
    def given(cls, environ: Mapping[str, str] = os.environ) -> Limits:
        """As `dhcp daemon` has put them into the environment. Raises ValueError."""
        said = {name: environ.get(variable, "") for name, variable in VARIABLES.items()}
        seconds = {
            field: float(said[name])
            for name, field in (
                ("timeout", "timeout"), ("resendtimeout", "asking"), ("resendmax", "resend_max")
            )
            if said[name]
        }  # fmt: skip
        broadcast = bool(said["broadcast"])
        return cls(**seconds, broadcast=broadcast, host_prefix=said["hostprefix"])


class Patience(Value):
    """How long the link-local address, or a router, is waited for, in seconds, and for whom."""

    seconds: float = 0.0
    abandoned: Callable[[], bool] = lambda: False


class Wire(Protocol):
    """Opened inside a namespace, used from anywhere. All raise OSError."""

    def fileno(self) -> int: ...
    def send(self, message: Send) -> None: ...
    def receive(self) -> bytes | None: ...
    def close(self) -> None: ...


class Prober(Protocol):
    """Finds out whether an address is in use: `taken_by` is the MAC once it is `done`."""

    due: float
    done: bool
    taken_by: str

    def fileno(self) -> int: ...
    def tick(self, now: float) -> None: ...
    def receive(self) -> Any: ...
    def close(self) -> None: ...


class Side(Protocol):
    """One family. What reaches into the namespace is called from inside of it."""

    def learn(self, link: Link, patience: Patience) -> dict[str, Any]:
        """What a client has to know of the interface. Raises OSError, `CniError`."""

    def client(self, kept: Kept, link: Mapping[str, Any], limits: Limits) -> Client:
        """The client of a lease, on the `link` that was learnt of."""

    def meet(self, client: Client, link: Link) -> None:
        """What may have changed of the interface since `client` was made, it is told."""

    def wire(self, interface: str, client: Client, patience: Patience) -> Wire:
        """Raises OSError, `CniError`."""

    def prober(self, interface: str, address: str, now: float) -> Prober:
        """Raises OSError."""

    def give_back(self, interface: str, client: Client) -> None:
        """What `client` has. Raises OSError, `CniError`."""

    def said(self, lease: Lease) -> Said: ...

    def preferred(self, lease: Lease) -> float:
        """How many seconds of it the address is to be chosen for what is begun."""


class Side4:
    def learn(self, link: Link, patience: Patience) -> dict[str, Any]:
        return {"mac": link.mac, "broadcast": link.kind == _SHARES_ITS_MAC}

    def client(self, kept: Kept, link: Mapping[str, Any], limits: Limits) -> Client4:
        ask, say = _wishes(kept)
        return Client4(
            Settings4(
                mac=link["mac"],
                client_id=options4.client_id(*_names(kept)),
                ask=ask,
                say=say,
                broadcast=limits.broadcast or link["broadcast"],
                resend_max=limits.resend_max,
                timeout=limits.timeout,
            )
        )

    def meet(self, client: Client, link: Link) -> None:
        assert isinstance(client, Client4)
        client.has_mac(link.mac)

    def wire(self, interface: str, client: Client, patience: Patience) -> Wire:
        return Wire4(interface, client.address)

    def prober(self, interface: str, address: str, now: float) -> Prober:
        return ArpProbe(interface, address, now)

    def give_back(self, interface: str, client: Client) -> None:
        with Wire4(interface, client.address) as wire:
            for message in client.release():
                if isinstance(message, Send):
                    wire.send(message)
            wire.flush(_FLUSH)

    def said(self, lease: Lease) -> Said:
        return options4.decoded(lease)

    def preferred(self, lease: Lease) -> float:
        return lease.lifetime


class Side6:
    def learn(self, link: Link, patience: Patience) -> dict[str, Any]:
        """Whether addresses are had by DHCPv6 or from routers, which say so (RFC 4861, 4.2)."""
        told = advertised.asked(link.name, patience.seconds, patience.abandoned)
        if told is not None and not (told.managed or told.other):
            raise ConfigError(
                "ipam.families: the routers of this network say that there is no DHCPv6; leave"
                ' "ipv6" out, and containers have what the routers advertise'
            )
        return {"stateless": told is not None and not told.managed}

    def client(self, kept: Kept, link: Mapping[str, Any], limits: Limits) -> Client6:
        names, (ask, say) = _names(kept), _wishes(kept)
        return Client6(
            Settings6(
                duid=options6.duid(*names),
                iaid=options6.iaid(*names),
                stateless=link["stateless"],
                ask=ask,
                say=say,
            )
        )

    def meet(self, client: Client, link: Link) -> None:
        """Nothing: its DUID is no MAC."""

    def wire(self, interface: str, client: Client, patience: Patience) -> Wire:
        return Wire6(interface, patience.seconds, patience.abandoned)

    def prober(self, interface: str, address: str, now: float) -> Prober:
        return NeighbourProbe(interface, address, now)

    def give_back(self, interface: str, client: Client) -> None:
        """An answer is waited for, and where none comes it is said once more."""
        assert isinstance(client, Client6)
        with Wire6(interface) as wire:
            for _ in range(2):
                for message in client.release():
                    if isinstance(message, Send):
                        wire.send(message)
                answer = poll()
                answer.register(wire, POLLIN)
                answer.poll(1000 * _FLUSH)
                while (payload := wire.receive()) is not None:
                    client.receive(payload, monotonic(), time())
                if client.released:
                    return

    def said(self, lease: Lease) -> Said:
        return options6.decoded(lease)

    def preferred(self, lease: Lease) -> float:
        return options6.preferred(lease)


SIDES: Mapping[str, Callable[[], Side]] = {"ipv4": Side4, "ipv6": Side6}
"""By the name of a lease."""


def _names(kept: Kept) -> tuple[str, str, str]:
    """What a server knows an attachment by."""
    return kept.record.container, kept.record.network, kept.record.interface


def is_known(kept: Kept) -> bool:
    """Whether it is not of a family that only a later version has."""
    return getattr(kept.resource, "name", "") in SIDES


def side_of(kept: Kept) -> Side:
    return SIDES[getattr(kept.resource, "name", "")]()


def parameters_of(kept: Kept) -> dict[str, str]:
    return dict(getattr(kept.resource, "parameters", ()))


def priority_of(kept: Kept) -> int:
    """The metric of its routes, 0 for the kernel's."""
    return int(parameters_of(kept).get("priority", "0"))


def _wishes(kept: Kept) -> tuple[tuple[int, ...], tuple[tuple[int, bytes], ...]]:
    """What is to be asked for, and what is told."""
    parameters = parameters_of(kept)
    ask = tuple(int(number) for number in _items(parameters["ask"]))
    return ask, tuple(map(_option, _items(parameters["say"])))


def _items(text: str) -> list[str]:
    return text.split(",") if text else []


def _option(text: str) -> tuple[int, bytes]:
    number, _, data = text.partition(":")
    return int(number), bytes.fromhex(data)


# --- answers --------------------------------------------------------------------------------------


def answer(side: Side, lease: Lease, link: Mapping[str, Any], mtu: int) -> dict[str, Any]:
    """What is said of `lease`; its MTU only where that is less than the interface's, `mtu`."""
    said = side.said(lease)
    told = said.mtu if 0 < said.mtu < mtu else 0
    return {
        "address": lease.address,
        **asdict(replace(said, mtu=told)),
        "link": dict(link),
        "lease": asdict(lease),
        "lost": "",
    }


def lease_in(answer: Mapping[str, Any]) -> Lease:
    return convert(answer["lease"], Lease)
