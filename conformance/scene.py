"""What a check works with, inside a fake host: containers, and calls as a runtime makes them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from subprocess import CalledProcessError
from typing import Any

from ..cni.version import parse
from . import traces
from .calls import Call, execute
from .judging import said, succeeded
from .subject import Config, Subject, elsewhere, find, for_another
from .traces import ip, run
from .verdicts import Failed, NotApplicable

ABSENT = object()
"""As the value of a key, or of a variable: it is left out."""
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass
class Attachment:
    """A container's interface; `before` and `result` are the results of the list so far.

    `network` is another one than the subject's, where it is given.
    """

    container: str
    netns: str
    interface: str
    other: bool = False
    network: str = ""
    before: dict[str, Any] | None = None
    result: dict[str, Any] | None = None

    @property
    def namespace(self) -> str:
        """Its name below /run/netns."""
        return Path(self.netns).name


@dataclass
class Scene:
    """One check's: `version` is the newest that the plugin speaks, of `versions`.

    `changes` are keys of the plugin's configuration that hold for all calls.
    """

    subject: Subject
    folders: Sequence[Path]
    versions: tuple[str, ...]
    random: Random
    calls: list[Call] = field(default_factory=list)
    changes: dict[str, Any] = field(default_factory=dict)
    version: str = ""

    def __post_init__(self) -> None:
        self.version = self.version or self.versions[-1]

    # --- what is asked of a plugin ---------------------------------------------------------------

    def environ(self, command: str, attachment: Attachment | None) -> dict[str, str]:
        """The environment of a call: nothing but PATH and the variables of the specification."""
        environ = {"PATH": _PATH, "CNI_COMMAND": command}
        if attachment is not None:
            environ |= {
                "CNI_CONTAINERID": attachment.container,
                "CNI_NETNS": attachment.netns,
                "CNI_IFNAME": attachment.interface,
            }
        return {**environ, "CNI_PATH": ":".join(map(str, self.folders))}

    def config(
        self, config: Config, command: str = "ADD", given: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """What a plugin reads: with name, version, and the result that it is given."""
        whole = {"cniVersion": self.version, "name": self.subject.network, **config}
        has_result = command in ("ADD", "CHECK") or (
            command == "DEL" and parse(self.version) >= parse("0.4.0")
        )
        return {**whole, "prevResult": given} if given and has_result else whole

    def own_config(
        self, command: str, attachment: Attachment | None, changes: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """The configuration of the plugin under test for a call, with `changes`."""
        given = None
        config: dict[str, Any] = {**self.subject.config, **self.changes}
        if attachment is not None:
            config = _fitting(config, attachment)
            given = attachment.before if command == "ADD" else attachment.result
            given = given or attachment.before
        whole = {**self.config(config, command, given), **(changes or {})}
        return {key: value for key, value in whole.items() if value is not ABSENT}

    def call(
        self,
        command: str,
        attachment: Attachment | None = None,
        *,
        config: Mapping[str, Any] | None = None,
        environ: Mapping[str, Any] | None = None,
        stdin: bytes | None = None,
        kill_after: float | None = None,
    ) -> Call:
        """The plugin under test, once: `config` and `environ` change what it is given."""
        variables = {**self.environ(command, attachment), **(environ or {})}
        variables = {name: text for name, text in variables.items() if text is not ABSENT}
        if stdin is None:
            stdin = json.dumps(self.own_config(command, attachment, config)).encode()
        return self.execute(self.subject.plugin, variables, stdin, kill_after)

    def execute(
        self, plugin: str, environ: Mapping[str, str], stdin: bytes, kill_after: float | None = None
    ) -> Call:
        """Any plugin of the network; the call is remembered as evidence."""
        executable = find(plugin, self.folders)
        if executable is None:
            raise NotApplicable(f"there is no {plugin} in {', '.join(map(str, self.folders))}")
        try:
            call = execute(executable, environ, stdin, kill_after=kill_after)
        except OSError as error:
            raise Failed(f"{executable} can't be executed: {error.strerror}") from None
        self.calls.append(call)
        return call

    # --- containers, and whole networks ---------------------------------------------------------

    def container(self, name: str = "c1", *, other: bool = False) -> Attachment:
        """A container NAME in a network namespace of its own; nothing is attached yet.

        An `other` one gets ports and addresses that the first has not.
        """
        run(f"ip netns add {name}")
        if other:
            self._make_links("b")
        return Attachment(name, f"/run/netns/{name}", self.subject.interface, other)

    def prepare(self, attachment: Attachment) -> None:
        """ADD of the plugins before the one under test. Raises `NotApplicable`."""
        result: dict[str, Any] | None = None
        for config in self.subject.before:
            call = self._by_another(config, "ADD", attachment, result)
            try:
                result = succeeded(call)
            except Failed as error:
                reason = f"{config['type']}, which is before it: {error.message}"
                raise NotApplicable(reason) from None
        attachment.before = result

    def add(self, attachment: Attachment, **options: Any) -> dict[str, Any]:
        """ADD of the plugin under test, which must succeed. Raises `Failed`."""
        attachment.result = succeeded(self.call("ADD", attachment, **options))
        return attachment.result

    def attach(self, attachment: Attachment) -> Attachment:
        """ADD of the whole list, for what begins with it. Raises `NotApplicable`."""
        self.prepare(attachment)
        self.begin_with(attachment)
        return attachment

    def begin_with(self, attachment: Attachment) -> None:
        """ADD of the plugin under test, for what begins with it. Raises `NotApplicable`."""
        try:
            self.add(attachment)
        except Failed as error:
            reason = f"the ADD that it begins with: {error.message}"
            raise NotApplicable(reason) from None

    def release(self, attachment: Attachment) -> None:
        """DEL of the plugins before the one under test; how they end is not judged."""
        for config in reversed(self.subject.before):
            self._by_another(config, "DEL", attachment, attachment.result or attachment.before)

    def live_once(self, name: str = "first", *, other: bool = False, network: str = "") -> Call:
        """A container's whole life, so that what is kept on purpose is there; its ADD."""
        attachment = self.container(name, other=other)
        attachment.network = network
        self.attach(attachment)
        added = self.calls[-1]
        if self.call("DEL", attachment).status:
            raise NotApplicable(f"the DEL that it begins with: {said(self.calls[-1])}")
        self.release(attachment)
        run(f"ip netns del {name}")
        return added

    # --- what a plugin may leave ----------------------------------------------------------------

    def left_over(self, before: set[str]) -> list[str]:
        """What has come to the host since."""
        return self._judged(traces.left_over, before)

    def unchanged(self, before: set[str]) -> list[str]:
        """What has come and gone on the host since."""
        return self._judged(traces.unchanged, before)

    def _judged(
        self, compare: Callable[[set[str], Callable[[], set[str]]], list[str]], before: set[str]
    ) -> list[str]:
        """A chained plugin's settings of others' links go with those links, on their DEL."""
        if not self.subject.before:
            return compare(before, traces.host)
        theirs = {line.split()[1] for line in before if line.startswith("link ")}

        def others() -> set[str]:
            return {line for line in traces.host() if not _is_about(line, theirs)}

        return compare({line for line in before if not _is_about(line, theirs)}, others)

    # --- hosts ----------------------------------------------------------------------------------

    def wire(self) -> None:
        """Give this host the interfaces that its network needs."""
        self._make_links("")

    def _make_links(self, suffix: str) -> None:
        there = {link["ifname"] for link in ip("link show")}
        for name in self.subject.links:
            if (suffix and "device" not in self.subject.config) or f"{name}{suffix}" in there:
                continue
            try:
                run(f"ip link add {name}{suffix} type veth peer name {name}{suffix}p")
                for end in (f"{name}{suffix}", f"{name}{suffix}p"):
                    run(f"ip link set {end} up")
            except CalledProcessError as error:
                raise NotApplicable(f"no interface {name}: {error.stderr.strip()}") from None

    def _by_another(
        self,
        config: Config,
        command: str,
        attachment: Attachment,
        given: Mapping[str, Any] | None,
    ) -> Call:
        config = _fitting(config, attachment)
        stdin = json.dumps(self.config(config, command, given)).encode()
        return self.execute(config["type"], self.environ(command, attachment), stdin)


def _fitting(config: Config, attachment: Attachment) -> dict[str, Any]:
    changed = for_another(config) if attachment.other else dict(config)
    return elsewhere(changed, attachment.network) if attachment.network else changed


def _is_about(line: str, links: set[str]) -> bool:
    kind, _, rest = line.partition(" ")
    return kind in ("link", "qdisc") and rest.split()[0] in links
