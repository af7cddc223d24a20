"""A finding in one sentence, which ends with the command that mends it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from ...cni.keys import get, get_object
from ...engine.judging import Condition, Judgement
from ...engine.request_record import Call
from ...model.errors import CniError
from ...model.shown import command_line, short_id
from ...store.records import Record
from ..cni import forcing
from ..cni.conf_dir import directory, network_named
from ..cni.result_cache import Cached, ResultCache, default_directory

_MOST = 10
"""How many lines people are shown of what one command mends."""


class Finding(NamedTuple):
    """`text` is what is wrong, `mend` the command, `to` what that does.

    Without a command `to` says who can mend it.
    """

    text: str
    to: str
    mend: str

    def __str__(self) -> str:
        return f"{self.text}; {self.to}: `{self.mend}`" if self.mend else f"{self.text}; {self.to}"


def about(records: Sequence[Record], judgement: Judgement) -> list[Finding]:
    """What is wrong with the attachment of these records; [] where nothing is."""
    match judgement.condition:
        case Condition.GONE:
            text = "its container is gone, and its address is still reserved"
            if records[0].is_made_up:
                return [Finding(text, "free it", "pynet reload")]
            return [Finding(text, "free it", _collection(records[0]))]
        case Condition.NOT_ON_RECORD:
            text = "its record was lost, and its addresses count as taken"
            return [Finding(text, "detach it", removal(records[0]))]
        case Condition.HALF_DONE:
            text = "its ADD or DEL ended halfway"
            return [Finding(text, "take back what is left of it", _collection(records[0]))]
        case Condition.NEWER:
            text = "a newer version of pynet has made what this one can't judge, or not undo"
            return [Finding(text, "use that one", "")]
        case Condition.UNREACHABLE:
            text = "no path from here leads to its network namespace, which may be in use"
            return [Finding(text, "if it is not, remove it", removal(records[0]))]
    return [
        Finding(str(fault.drift), "put it back", fault.drift.mend or "pynet reload")
        if fault.mendable
        else Finding(str(fault.drift), *_anew(records))
        for fault in judgement.faults
    ]


def what_is_left(records: Sequence[Record], judgement: Judgement) -> list[Finding]:
    """The same after `pynet reload` has done what it can."""
    if judgement.condition is not Condition.DRIFTED:
        return about(records, judgement)
    return [
        Finding(str(drift), "put it back", drift.mend)
        if drift.mend
        else Finding(str(drift), *_anew(records))
        for drift in (fault.drift for fault in judgement.faults)
    ]


def lines(findings: Iterable[Finding], at_most: int = _MOST) -> list[str]:
    """One for each; the command stands once at the end of those that it mends together."""
    said: list[str] = []
    for _, group in groupby(findings, lambda finding: finding.mend):
        *first, last = group
        if len(first) >= at_most:
            last = last._replace(text=f"and {len(first) - at_most + 2} more (--json has all)")
            first = first[: at_most - 1]
        said += [*(one.text for one in first), str(last)]
    return said


def summary(findings: Iterable[Finding]) -> list[str]:
    """One for each command: the first of those that it mends, and how many there are."""
    said = []
    for _, group in groupby(findings, lambda finding: (finding.to, finding.mend)):
        first, *more = group
        said.append(
            str(first._replace(text=f"{first.text}, and {len(more)} more")) if more else str(first)
        )
    return said


def removal(record: Record) -> str:
    """The command that detaches it, whoever has attached it, and whether or not it has a path."""
    if record.is_made_up and (known := _in_cache(record)):
        return forcing.detaching(known.network, known.target.container, record.interface)
    return forcing.detaching(record.network, record.container, record.interface)


def _in_cache(record: Record) -> Cached | None:
    """Whom a runtime has attached, or `pynet attach` has, where the store was lost."""
    try:
        cached = list(ResultCache(default_directory()).attachments())
    except CniError:
        return None
    mine = (record.sandbox, record.interface)
    return next((one for one in cached if (one.sandbox.cookie, one.target.interface) == mine), None)


def _collection(record: Record) -> str:
    """GC of its network, unless that has forbidden it."""
    try:
        network = network_named(record.network, directory())
    except (CniError, OSError):
        network = None  # it is on record all the same
    if network is not None and network.disable_gc:
        return removal(record)
    return command_line("pynet", "cni", "gc", record.network, "--yes")


def _anew(records: Sequence[Record]) -> tuple[str, str]:
    """With the addresses and the ports that it has."""
    first = records[0]
    if not first.netns:
        return "detach it, and attach it anew by the path of its namespace", removal(first)
    words = ["pynet", "attach", first.netns, first.network]
    words += ["--container-id", first.container, "--ifname", first.interface]
    for record in records:
        config = Call.load(record.request).config
        if (
            get(get_object(config, "ipam") or {}, "type") == "host-local"
        ):  # others may not be asked for one
            told = json.loads(record.result or "{}").get("ips", ())
            words += [word for ip in told for word in ("--ip", ip["address"].partition("/")[0])]
        for mapping in get(get_object(config, "runtimeConfig") or {}, "portMappings") or ():
            words += ["--publish", _published(mapping)]
    return "detach it and attach it anew", f"{removal(first)} && {command_line(*words)}"


def _published(mapping: Mapping[str, Any]) -> str:
    """As `attach --publish` takes it."""
    address = str(get(mapping, "hostIP") or "")
    where = f"[{address}]:" if ":" in address else f"{address}:" if address else ""
    protocol = str(get(mapping, "protocol") or "tcp").lower()
    return f"{where}{get(mapping, 'hostPort')}:{get(mapping, 'containerPort')}/{protocol}"


def name(record: Record) -> str:
    """An attachment in a line for people: "c1 eth0 on web"."""
    return f"{short_id(record.container)} {record.interface} on {record.network}"
