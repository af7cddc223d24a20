"""A topology file's items in the model's own shape: the short forms written out."""

from __future__ import annotations

from collections.abc import Mapping

from . import notation
from .problems import quoted
from .shapes import Keys, Reader, Shapes, kind_of
from .yaml_tree import Item


class FileShapes(Shapes):
    """Each reads what one key of a topology file holds."""

    def topology(self, item: Item) -> Item:
        """The whole file."""
        keys: Keys = {
            "name": ("name", self.text),
            "description": ("description", self.text),
            "nodes": ("nodes", lambda inside: self.named(inside, self._node)),
            "links": ("links", lambda inside: self.listed(inside, self._link)),
            "underlay": ("underlay", self._underlay),
            "networks": ("networks", lambda inside: self.named(inside, self._network)),
            "containers": ("containers", self._containers),
            "generate": ("generate", lambda inside: self.listed(inside, self._generator)),
            "checks": ("checks", lambda inside: self.listed(inside, self._check)),
            "needs": ("needs", self.texts),
        }
        return self.keyed(item, keys, "a topology")

    def _underlay(self, item: Item) -> Item:
        keys: Keys = {"ipv4": ("ipv4", self.text), "ipv6": ("ipv6", self.text)}
        return self.keyed(item, keys, "the underlay")

    def _node(self, item: Item) -> Item:
        if isinstance(item.value, str):
            return item.like({"kind": item})
        keys: Keys = {
            "kind": ("kind", self.leaf),
            "addresses": ("addresses", lambda inside: self.named(inside, self.texts)),
            "sysctls": ("sysctls", lambda inside: self.named(inside, self.text)),
        }
        return self.keyed(item, keys, "a node")

    def _link(self, item: Item) -> Item:
        if not isinstance(item.value, dict):
            return self.noted(notation.parse_link)(item)
        ends: Keys = {
            "ends": ("ends", lambda inside: self.listed(inside, self.noted(notation.parse_end))),
            "mtu": ("mtu", self.leaf),
        }
        link = self.keyed(item, {**ends, **self._impairing()}, "a link")
        does = {key: link.value.pop(key) for key in self._impairing() if key in link.value}
        link.value["impairment"] = item.like(does)
        return link

    def _impairing(self) -> Keys:
        return {key: (key, self._quantity) for key in ("rate", "delay", "loss")}

    def _quantity(self, item: Item) -> Item:
        """A number must name its unit: as a text the model refuses one that doesn't."""
        return self.text(item)

    def _impairment(self, item: Item) -> Item:
        if isinstance(item.value, str):
            return self.noted(notation.parse_impairment)(item)
        return self.keyed(item, self._impairing(), "what a link does")

    def _network(self, item: Item) -> Item:
        if isinstance(item.value, str | list):
            return item.like({"subnets": self.texts(item)})
        leaves = ("internal", "masquerade", "ingress", "mtu")
        keys: Keys = {
            "hosts": ("hosts", self.texts),
            "subnets": ("subnets", self.texts),
            "bridge": ("bridge", self.text),
            **{key: (key, self.leaf) for key in leaves},
            "plugins": ("plugins", lambda inside: self.listed(inside, self.leaf)),
        }
        return self.keyed(item, keys, "a network")

    # --- containers -----------------------------------------------------------------------------

    def _containers(self, item: Item) -> Item:
        """By name; where `a@h1` says the host, nothing else does."""
        if item.value is None or not isinstance(item.value, dict):
            return self.named(item, self.leaf)
        containers: dict[str, Item] = {}
        for key, inside in item.value.items():
            try:
                name, host = notation.placed(key)
            except ValueError as error:
                self.wrong(inside, str(error))
                continue
            container = self._container(inside)
            if name in containers:
                first = f"it is on line {containers[name].line} already"
                self.wrong(inside, f"the container {quoted(name)} is there twice; {first}: "
                           "give this one another name")  # fmt: skip
                continue
            if host and not container.broken:
                if "host" in container.value:
                    self.wrong(container.value["host"], f"{quoted(key)} says the host: "
                               "leave this key out, or the @ with what follows")  # fmt: skip
                container.value["host"] = inside.like(host)
            containers[name] = container
        return item.like(containers)

    def _container(self, item: Item) -> Item:
        if isinstance(item.value, str | list):
            return item.like({"networks": self._memberships(item)})
        keys: Keys = {
            "host": ("host", self.text),
            "networks": ("networks", self._memberships),
            "publish": ("publish", lambda inside: self.listed(inside, self._publication)),
            "run": ("run", self._command),
        }
        return self.keyed(item, keys, "a container")

    def _memberships(self, item: Item) -> Item:
        """`[web, {db: {ips: [...]}}]`, or `{web: {...}, db: ...}`."""
        found: list[Item] = []
        for each in item.value if isinstance(item.value, list) else [item]:
            if isinstance(each.value, dict):
                found += [self._membership(name, one) for name, one in each.value.items()]
            elif each.value is not None:
                found.append(each.like({"network": self.text(each)}))
        return item.like(found, broken=item.broken)

    def _membership(self, network: str, item: Item) -> Item:
        if isinstance(item.value, str | list):
            member = item.like({"ips": self.texts(item)})
        else:
            keys: Keys = {"ips": ("ips", self.texts), "mac": ("mac", self.text)}
            member = self.keyed(item, keys, "a container's place in a network")
        if not member.broken:
            member.value["network"] = item.like(network)
        return member

    def _publication(self, item: Item) -> Item:
        if not isinstance(item.value, dict):
            return self.noted(notation.parse_publication)(item)
        names = ("host_port", "container_port", "protocol", "host_ip")
        return self.keyed(item, {key: (key, self.leaf) for key in names}, "a published port")

    def _command(self, item: Item) -> Item:
        """A text is for the shell."""
        if isinstance(item.value, str):
            return item.like([item.like("sh"), item.like("-c"), item])
        return self.texts(item)

    def _generator(self, item: Item) -> Item:
        keys: Keys = {
            "containers": ("containers", self.leaf),
            "name": ("name", self.text),
            "hosts": ("hosts", self.texts),
            "networks": ("networks", self.texts),
        }
        return self.keyed(item, keys, "a generator")

    # --- checks -----------------------------------------------------------------------------------

    def _check(self, item: Item) -> Item:
        """`- tcp: {...}`; what a fault leads to stands in it, or beside it."""
        kinds = {**self._probes(), "fault": self._fault}
        if isinstance(item.value, dict) and "fault" in item.value:
            after = {k: item.value[k] for k in ("expect", "heals") if k in item.value}
            fault = self._of_kind(
                item.like({k: v for k, v in item.value.items() if k not in after}), kinds
            )
            if not fault.broken:
                for key, inside in after.items():
                    fault.value[key] = self._outcome(inside)
            return fault
        return self._of_kind(item, kinds)

    def _probe(self, item: Item) -> Item:
        return self._of_kind(item, self._probes())

    def _outcome(self, item: Item) -> Item:
        return self.listed(item, self._probe)

    def _of_kind(self, item: Item, kinds: Mapping[str, Reader]) -> Item:
        """The one key says the kind."""
        if isinstance(item.value, str):  # `- mesh`
            item = item.like({item.value: item.like(None)})
        if item.broken:
            return item
        if not isinstance(item.value, dict):
            return self.wrong(item, f"a check is one of {', '.join(kinds)}, not {kind_of(item)}")
        found = [key for key in item.value if key in kinds]
        for key, inside in item.value.items():
            if key not in kinds:
                self.unknown(inside, key, kinds, "a check")
        if len(found) > 1:
            return self.wrong(item.value[found[1]], f"{found[0]} and {found[1]} are two checks: "
                              "begin each with a dash of its own")  # fmt: skip
        if not item.value:
            return self.wrong(item, f"a check is one of {', '.join(kinds)}, not nothing")
        if not found:
            return item.like(None, broken=True)
        check = kinds[found[0]](item.value[found[0]])
        if not check.broken:
            check.value["kind"] = item.like(found[0])
        return check

    def _probes(self) -> dict[str, Reader]:
        reach: Keys = {"seen_as": ("seen_as", self.text)}
        http: Keys = {"status": ("status", self.leaf), "answer": ("answer", self.text)}
        return {
            "mesh": self._mesh,
            "tcp": lambda item: self._from_to(item, "tcp", reach),
            "udp": lambda item: self._from_to(item, "udp", reach),
            "http": lambda item: self._from_to(item, "http", {**reach, **http}),
            "deny": self._deny,
            "path": lambda item: self._from_to(item, "path", {"via": ("via", self.texts)}),
            "mtu": lambda item: self._from_to(item, "mtu", {"size": ("size", self.leaf)}),
        }

    def _tried(self) -> Keys:
        return {"family": ("family", self.leaf), "within": ("within", self._quantity)}

    def _mesh(self, item: Item) -> Item:
        if not isinstance(item.value, dict):
            return item.like({"members": self._members(item)})
        return self.keyed(item, {"members": ("members", self._members), **self._tried()}, "mesh")

    def _members(self, item: Item) -> Item:
        return item.like([]) if item.value == "all" else self.texts(item)

    def _from_to(self, item: Item, what: str, more: Keys) -> Item:
        both: Keys = {
            "from": ("source", self.text),
            "to": ("to", self.noted(notation.parse_target)),
        }
        return self.keyed(item, {**both, **more, **self._tried()}, what)

    def _deny(self, item: Item) -> Item:
        """Without a port nothing but an echo can be meant."""
        check = self._from_to(item, "deny", {"protocol": ("protocol", self.leaf)})
        target = None if check.broken else check.value.get("to")
        if target is not None and not target.broken and not target.value.port:
            check.value.setdefault("protocol", item.like("icmp"))
        return check

    def _fault(self, item: Item) -> Item:
        keys: Keys = {
            "down": ("down", self.texts),
            "stop": ("stop", self.texts),
            "impair": ("impair", lambda inside: self.named(inside, self._impairment)),
            "expect": ("expect", self._outcome),
            "heals": ("heals", self._outcome),
        }
        return self.keyed(item, keys, "fault")
