"""A topology brought to life: its lab, its places and its links."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ...model.errors import CniError
from ..lab import detached
from ..lab.features import lacking
from ..lab.forked import LabError
from ..lab.host import Host
from ..lab.lab import Lab
from ..lab.networks import NETWORKS, unbind_network
from ..lab.place import Place
from ..lab.plumbing import Part, Port, Work, carry_out
from ..spec.addressing import addressing
from ..spec.expanding import expanded
from ..spec.topology import Topology
from . import attaching, services
from .attaching import Attached, Workers
from .differences import Differences, differences, links_of, part_changes, parts, without
from .impairments import possible
from .wiring import LiveLink, Wiring, treat

Progress = Callable[[str], object]
"""Is told what begins, in words."""

_FORWARDING = {"ipv4.ip_forward": "1", "ipv6.conf.all.forwarding": "1"}
_NOTHING = Topology()


class Testnet:
    """A topology that is up. `topology` is the expanded one; as a context manager it is closed.

    Whoever holds it may change it by `converge`, and read `places` (hosts, routers, external
    nodes and containers) and `links` (by `Link.name`; of several links between the same two nodes
    the later ones have their interfaces in the name: "h1:eth2 -- sw:h1-eth2").
    """

    __test__ = False  # pytest takes a class for tests whose name begins like this one's

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.topology = _NOTHING
        self.places: dict[str, Place] = {}
        self.links: dict[str, LiveLink] = {}
        self._attached: dict[str, Attached] = {}
        self._daemons: set[str] = set()
        self._wiring = Wiring(lab, _NOTHING, addressing(_NOTHING))

    @classmethod
    def up(
        cls, topology: Topology, *, progress: Progress | None = None, stays: bool = False
    ) -> Testnet:
        """Bring a valid topology up. With `stays` it lives until `end`, whatever becomes of us.

        Raises `LabError` for what this machine can't do, or what went wrong; then nothing is left.
        """
        wanted = expanded(topology)
        _refuse_impossible(wanted)
        testnet = cls(Lab())
        try:
            testnet._become(wanted, progress or _silent)
            if stays:
                testnet.lab.stay()
        except BaseException:
            testnet.lab.end()
            raise
        return testnet

    @classmethod
    def attach(cls, state: Mapping[str, Any]) -> Testnet:
        """The testnet that another process of this user made; closing it leaves it running.

        `state` is what its `state` gave. Raises `LabError` where it has ended.
        """
        testnet = cls(Lab.attached(state["lab"]))
        testnet.topology = Topology.model_validate(state["topology"])
        wiring = testnet._wiring = Wiring(
            testnet.lab, testnet.topology, addressing(testnet.topology)
        )
        testnet.links = {
            name: LiveLink.attached(wiring, link, state["links"][name])
            for name, link in links_of(testnet.topology).items()
        }
        testnet._attached = attaching.attached_again(testnet.lab, state["containers"])
        testnet._daemons = set(state["daemons"])
        testnet.places = testnet._all_places()
        return testnet

    def state(self) -> dict[str, Any]:
        """What `attach` needs, as plain values for JSON; to be asked for again after a change."""
        return {
            "lab": self.lab.state(),
            "topology": self.topology.model_dump(mode="json"),
            "links": {name: link.state() for name, link in self.links.items()},
            "containers": attaching.state_of(self._attached),
            "daemons": sorted(self._daemons),
        }

    def __enter__(self) -> Testnet:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End it, unless it stays or was made by somebody else: then only let go of it."""
        self.lab.close()

    def end(self) -> None:
        """Kill it, whoever made it: no process of it is left when this returns."""
        self.lab.end()

    def place(self, name: str) -> Place:
        """Raises `LabError` where there is none of that name."""
        if name not in self.places:
            known = ", ".join(self.places)
            raise LabError(f"there is no {name!r} in this testnet; there is {known}")
        return self.places[name]

    def converge(self, topology: Topology, *, progress: Progress | None = None) -> list[str]:
        """Make it that topology; what is the same in both lives on untouched.

        What was changed, in words. Raises `LabError` for what this machine can't do (then nothing
        was changed), or what went wrong on the way.
        """
        wanted = expanded(topology)
        _refuse_impossible(wanted)
        return self._become(wanted, progress or _silent).described()

    def _become(self, wanted: Topology, told: Progress) -> Differences:
        change = differences(self.topology, wanted)
        with _said_plainly(self.lab):
            unlinked = self._take_away(change)
            self._bring(change, wanted, told, unlinked)
        return change

    # --- what goes --------------------------------------------------------------------------

    def _take_away(self, change: Differences) -> list[Port]:
        """The ends of the links that are gone, and their addresses and routes with them."""
        attaching.detach_all([self._attached.pop(name) for name in change.containers_gone])
        nodes = set(change.nodes_gone)
        for host, network in change.networks_gone:
            if host not in nodes:
                attaching.forget_network(
                    self.lab.hosts[host],
                    network,
                    self.topology,
                    was_used=host in self._daemons,
                )
        links = [self.links.pop(name) for name in change.links_gone]
        if links:
            ports = [link.pair.near for link in links]
            gates = self.lab.gates(port.node for port in ports)
            self.lab.call(carry_out, Work(gates, unmade=ports))
        for name in change.nodes_gone:
            self._daemons.discard(name)
            if name in self.lab.hosts:
                self.lab.remove_host(name)
            else:
                self.lab.call(unbind_network, f"{NETWORKS}/{name}")
        return [port for link in links for port in link.pair[:2]]

    # --- what comes -------------------------------------------------------------------------

    def _bring(
        self, change: Differences, wanted: Topology, told: Progress, unlinked: Sequence[Port]
    ) -> None:
        hosts = [name for name in change.nodes_new if wanted.nodes[name].kind != "switch"]
        if hosts:
            told(f"hosts: {len(hosts)}")
            self.lab.add_hosts(hosts)
        wiring = Wiring(self.lab, wanted, addressing(wanted))
        new_links, work = self._work(change, wanted, wiring, unlinked)
        told(f"links: {len(new_links)}")
        planned = [
            attaching.planned(wanted, name, self.lab.hosts[wanted.containers[name].host])
            for name in change.containers_new
        ]
        with self.lab.fork_call(carry_out, work) as plumbed, Workers(planned) as workers:
            daemons = self._serve(change, wanted)
            plumbed.wait()
            self._wiring, self.topology = wiring, wanted
            self._keep_links(new_links, wanted)
            treat(
                wiring,
                [(self.links[name], links_of(wanted)[name].impairment) for name in change.impaired],
            )
            for daemon in daemons:
                daemon.wait()
            attached = workers.attach(lambda done: told(f"containers: {done} of {len(planned)}"))
        self._attached |= {each.container.name: each for each in attached}
        self.places = self._all_places()
        self._run(change.containers_new)

    def _work(
        self, change: Differences, wanted: Topology, wiring: Wiring, unlinked: Sequence[Port]
    ) -> tuple[dict[str, LiveLink], Work]:
        """The new links, and all that makes them, and the addresses and routes of all nodes."""
        links = links_of(wanted)
        made = {
            name: LiveLink(wiring, links[name], wiring.pair(links[name]))
            for name in change.links_new
        }
        before, after = parts(self._wiring.addressing), parts(wiring.addressing)
        for name in change.nodes_new:
            before.pop(name, None)
        less, _ = part_changes(before, after)
        _, more = part_changes(without(before, unlinked), after)
        work = Work(
            gates=self.lab.gates(wanted.nodes),
            switches=[name for name in change.nodes_new if wiring.is_switch(name)],
            sysctls={name: _sysctls(wanted, name) for name in change.nodes_new},
            pairs=[link.pair for link in made.values()],
            less=less,
            more=more,
        )
        return made, work

    def _serve(self, change: Differences, wanted: Topology) -> list[services.Daemon]:
        """Configuration on each host that has new networks, and a daemon on each new one with
        containers; they are on their way when this returns."""
        for host, network in change.networks_new:
            attaching.configure(self.lab.hosts[host], [network], wanted)
        used = dict.fromkeys(wanted.containers[name].host for name in change.containers_new)
        hosts = [self.lab.hosts[name] for name in used if name not in self._daemons]
        services.equip(hosts)
        daemons = services.start_daemons(hosts)
        self._daemons |= {host.name for host in hosts}
        return daemons

    def _keep_links(self, new: Mapping[str, LiveLink], wanted: Topology) -> None:
        """All live links, in the topology's order, each with what is now true of it."""
        known = {**self.links, **new}
        self.links = {name: known[name] for name in links_of(wanted)}
        for name, link in links_of(wanted).items():
            self.links[name].take(self._wiring, link)

    def _all_places(self) -> dict[str, Place]:
        known = parts(self._wiring.addressing)
        places = {
            name: Place(
                name, node.kind, self.lab.hosts[name], None, known.get(name, Part()).addresses
            )
            for name, node in self.topology.nodes.items()
            if node.kind != "switch"
        }
        for name, each in self._attached.items():
            host, container = each.container.host, each.container
            places[name] = Place(name, "container", host, container, each.interfaces)
        return places

    def _run(self, names: Sequence[str]) -> None:
        """Start the new containers' commands; what they print goes to a file of their host."""
        commands: dict[Host, list[detached.Command]] = {}
        for name in names:
            if argv := self.topology.containers[name].run:
                host = self._attached[name].container.host
                command = detached.Command(argv, name, f"/var/log/containers/{name}.log")
                commands.setdefault(host, []).append(command)
        for host, wanted in commands.items():
            detached.start(host, wanted)


def _silent(*_: object) -> None:
    """The progress of who asked for none."""


def _refuse_impossible(topology: Topology) -> None:
    """Raises `LabError` for what this kernel lacks."""
    for feature in topology.needs:
        if reason := lacking(feature):
            raise LabError(f"topology {topology.name!r} needs {feature}, and here: {reason}")
    for name, link in links_of(topology).items():
        try:
            possible(link.impairment)
        except LabError as error:
            raise LabError(f"link {name!r}: {error}") from None


def _sysctls(topology: Topology, name: str) -> dict[str, str]:
    """Of a new node, keys as `kernel.sysctls` has them: below net."""
    node = topology.nodes[name]
    forwarding = _FORWARDING if node.kind in ("router", "external") else {}
    return {**forwarding, **{key.removeprefix("net."): text for key, text in node.sysctls.items()}}


@contextlib.contextmanager
def _said_plainly(lab: Lab) -> Iterator[None]:
    """The kernel's refusals, and what comes of a lab that is killed meanwhile, as `LabError`."""
    try:
        yield
    except (CniError, OSError) as error:
        if not lab.stands:
            raise LabError("the lab was killed while it was being changed") from error
        raise LabError(str(error)) from error
