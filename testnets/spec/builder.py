"""A topology in Python, in the words of topology files.

    Topo("two").host("h1").host("h2").switch("sw").link("h1", "sw", rate="10mbit").link("h2", "sw")

Every call gives a new value, so that one may be the beginning of several others. Whatever a file
may hold in a place may be passed here: "8080:80", {"web": {"ips": ["10.1.0.7"]}}. Rates are texts
or bits per second, times texts or seconds, losses texts or shares.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Self, TypeVar

from . import units
from .problems import Problem, TopologyError
from .reading import of_values
from .topology import Family, Topology

Texts = str | Iterable[str]
Plain = str | Mapping[str, Any]
"""One thing, in a file's short form or by keys."""
Number = TypeVar("Number", int, float)


class Checks:
    """Checks in a row: what a fault's `expect` and `heals` are given."""

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}

    def mesh(
        self, *members: str, family: Family | None = None, within: str | float | None = None
    ) -> Self:
        """Each reaches each other; all containers, where none is named."""
        return self._check("mesh", members=members, family=family, within=within)

    def tcp(
        self,
        source: str,
        to: str,
        *,
        seen_as: str = "",
        family: Family | None = None,
        within: str | float | None = None,
    ) -> Self:
        """`source` gets an answer from `to` ("b:80")."""
        return self._reach("tcp", source, to, seen_as=seen_as, family=family, within=within)

    def udp(
        self,
        source: str,
        to: str,
        *,
        seen_as: str = "",
        family: Family | None = None,
        within: str | float | None = None,
    ) -> Self:
        """The same, by UDP."""
        return self._reach("udp", source, to, seen_as=seen_as, family=family, within=within)

    def http(
        self,
        source: str,
        to: str,
        *,
        status: int | None = None,
        answer: str = "",
        seen_as: str = "",
        family: Family | None = None,
        within: str | float | None = None,
    ) -> Self:
        """The same by HTTP, with that status and that text in the answer."""
        more = {"status": status, "answer": answer, "seen_as": seen_as}
        return self._reach("http", source, to, **more, family=family, within=within)

    def deny(
        self,
        source: str,
        to: str,
        *,
        protocol: str = "",
        family: Family | None = None,
        within: str | float | None = None,
    ) -> Self:
        """`source` gets no answer from `to`; without a port, to an echo request."""
        return self._reach("deny", source, to, protocol=protocol, family=family, within=within)

    def path(
        self,
        source: str,
        to: str,
        via: Texts,
        *,
        family: Family | None = None,
        within: str | float | None = None,
    ) -> Self:
        """Packets pass the nodes `via`."""
        return self._reach("path", source, to, via=via, family=family, within=within)

    def mtu(
        self,
        source: str,
        to: str,
        size: int,
        *,
        family: Family | None = None,
        within: str | float | None = None,
    ) -> Self:
        """The largest packet that passes whole has `size` bytes."""
        return self._reach("mtu", source, to, size=size, family=family, within=within)

    def _reach(self, kind: str, source: str, to: str, **keys: Any) -> Self:
        return self._check(kind, **{"from": source, "to": to, **keys})

    def _check(self, kind: str, *, within: str | float | None, **keys: Any) -> Self:
        time = _text(within, units.parse_delay, units.delay_text)
        return self._listed("checks", {kind: _given(**keys, within=time)})

    def _listed(self, section: str, value: object) -> Self:
        return self._changed(section, [*self._values.get(section, ()), value])

    def _changed(self, section: str, value: object) -> Self:
        changed = type(self)()
        changed._values = {**self._values, section: value}
        return changed


class Topo(Checks):
    """A topology that is being written; `build` gives it, or all that is wrong with it."""

    def __init__(self, name: str = "lab", description: str = "") -> None:
        super().__init__()
        self._values = {"name": name, **_given(description=description)}

    def host(
        self,
        name: str,
        *,
        addresses: Mapping[str, Texts] | None = None,
        sysctls: Mapping[str, str | int] | None = None,
    ) -> Self:
        """A machine that runs containers."""
        return self._node(name, "host", addresses, sysctls)

    def router(
        self,
        name: str,
        *,
        addresses: Mapping[str, Texts] | None = None,
        sysctls: Mapping[str, str | int] | None = None,
    ) -> Self:
        """A machine that forwards between its links."""
        return self._node(name, "router", addresses, sysctls)

    def external(
        self,
        name: str,
        *,
        addresses: Mapping[str, Texts] | None = None,
        sysctls: Mapping[str, str | int] | None = None,
    ) -> Self:
        """Somebody outside."""
        return self._node(name, "external", addresses, sysctls)

    def switch(self, name: str) -> Self:
        """A bridge that connects its links."""
        return self._node(name, "switch", None, None)

    def link(
        self,
        one: str,
        other: str,
        *,
        rate: str | int | None = None,
        delay: str | float | None = None,
        loss: str | float | None = None,
        mtu: int | None = None,
    ) -> Self:
        """A cable between two ends, "h1:eth1" or "sw"."""
        does = _impairment(rate=rate, delay=delay, loss=loss)
        return self._listed("links", _given(ends=[one, other], mtu=mtu, **does))

    def underlay(self, *, ipv4: str | None = None, ipv6: str | None = None) -> Self:
        """Where the links' addresses come from; "" for none of that family."""
        pools = {"ipv4": ipv4, "ipv6": ipv6}
        known = {key: pool for key, pool in pools.items() if pool is not None}
        return self._changed("underlay", {**self._values.get("underlay", {}), **known})

    def network(
        self,
        name: str,
        *,
        subnets: Texts = (),
        hosts: Texts = (),
        bridge: str = "",
        internal: bool | None = None,
        masquerade: bool | None = None,
        ingress: str = "",
        mtu: int | None = None,
        plugins: Iterable[Mapping[str, Any]] = (),
    ) -> Self:
        """A container network, on all hosts where none is named."""
        keys = _given(
            subnets=subnets,
            hosts=hosts,
            bridge=bridge,
            internal=internal,
            masquerade=masquerade,
            ingress=ingress,
            mtu=mtu,
            plugins=[dict(plugin) for plugin in plugins],
        )
        return self._entry("networks", name, keys)

    def container(
        self,
        name: str,
        *,
        host: str = "",
        networks: Plain | Iterable[Plain] = (),
        publish: Plain | Iterable[Plain] = (),
        run: Texts = (),
    ) -> Self:
        """A container; `host` may be left out where there is one, or be in its name: "a@h1"."""
        keys = _given(host=host, networks=networks, publish=publish, run=run)
        return self._entry("containers", name, keys)

    def generate(
        self, containers: int, *, name: str = "c{n}", hosts: Texts = (), networks: Texts = ()
    ) -> Self:
        """Many containers alike, named with {n} from 1, over the hosts in turn."""
        keys = _given(name=name, hosts=hosts, networks=networks)
        return self._listed("generate", {"containers": containers, **keys})

    def fault(
        self,
        *,
        down: Texts = (),
        stop: Texts = (),
        impair: Mapping[str, Plain] | None = None,
        expect: Checks | None = None,
        heals: Checks | None = None,
    ) -> Self:
        """While links are down or impaired, or nodes cut off, `expect`; afterwards `heals`."""
        after = {
            key: checks._values.get("checks", [])
            for key, checks in (("expect", expect), ("heals", heals))
            if checks is not None
        }
        keys = _given(down=down, stop=stop, impair=impair, **after)
        return self._listed("checks", {"fault": keys})

    def needs(self, *features: str) -> Self:
        """What the kernel must have: "netem"."""
        return self._changed("needs", [*self._values.get("needs", ()), *features])

    def build(self) -> Topology:
        """The topology. Raises `TopologyError` with all that is wrong with it."""
        return of_values(self._values, self._file)

    def _node(
        self,
        name: str,
        kind: str,
        addresses: Mapping[str, Texts] | None,
        sysctls: Mapping[str, str | int] | None,
    ) -> Self:
        keys = _given(kind=kind, addresses=addresses, sysctls=sysctls)
        return self._entry("nodes", name, keys)

    def _entry(self, section: str, name: str, keys: Mapping[str, object]) -> Self:
        entries = self._values.get(section, {})
        if name in entries:
            message = f'"{name}" is there twice: write another name'
            raise TopologyError([Problem(self._file, 0, f"{section}.{name}", message)])
        return self._changed(section, {**entries, name: keys})

    @property
    def _file(self) -> str:
        return f"topology {self._values['name']}"


def _given(**keys: object) -> dict[str, Any]:
    """Those that were, as a file would hold them; nothing is any key's value by default."""
    plain = {key: _plain(value) for key, value in keys.items()}
    return {key: value for key, value in plain.items() if value not in (None, "", [], {})}


def _plain(value: object) -> object:
    if isinstance(value, str | Mapping) or not isinstance(value, Iterable):
        return value
    return list(value)


def _impairment(
    *, rate: str | int | None, delay: str | float | None, loss: str | float | None
) -> dict[str, str | None]:
    return {
        "rate": _text(rate, units.parse_rate, units.rate_text),
        "delay": _text(delay, units.parse_delay, units.delay_text),
        "loss": _text(loss, units.parse_loss, units.loss_text),
    }


def _text(
    value: str | float | None, parse: Callable[[object], Number], text: Callable[[Number], str]
) -> str | None:
    """A number with its unit. What is none is kept: it is reported with all that is wrong."""
    if value is None or isinstance(value, str):
        return value
    try:
        return text(parse(value))
    except ValueError:
        return str(value)
