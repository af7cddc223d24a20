"""What an ADD would do, plugin by plugin, with nothing of it done.

Ours are planned in process, each as if what those before it have planned were there. Somebody
else's can't tell beforehand what it will do, and what comes after it in the chain depends on its
answer: both are named as not plannable.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...cni.conflist import NetworkList, executions, plugin_config
from ...cni.keys import get
from ...cni.result import to_json
from ...model.errors import KernelError, Unplannable
from ...model.kernel_kinds import KernelMakes, lacking
from ...model.plan import Plan
from ...model.request import Command
from ...model.resource import Resource, encode
from ..features import unknown_kinds
from .execution import Plugins, Target
from .runtime import refuse_repeated


@dataclass(frozen=True)
class Planned:
    """`plan` is None where none can be made, and `why` says what for."""

    plugin: str
    plan: Plan | None = None
    why: str = ""

    def lines(self) -> list[str]:
        """Its resources in the order they would be made, in the words of `ip` and `nft`."""
        return [resource.describe() for resource in self.plan.resources] if self.plan else []

    def to_json(self) -> dict[str, Any]:
        if self.plan is None:
            return {"plugin": self.plugin, "plannable": False, "why": self.why}
        resources = [
            {"kind": kind, "description": resource.describe(), **json.loads(body)}
            for resource in self.plan.resources
            for kind, body in [encode(resource)]
        ]
        return {"plugin": self.plugin, "plannable": True, "resources": resources}


@dataclass(frozen=True)
class Rehearsal:
    """A network's plugins in order; `result` is the ADD's, None where the chain can't tell."""

    plugins: tuple[Planned, ...]
    result: dict[str, Any] | None


def rehearse(plugins: Plugins, network: NetworkList, target: Target) -> Rehearsal:
    """Raises the `CniError` that the ADD would end with."""
    refuse_repeated(network, plugins)
    planned: list[Planned] = []
    made: tuple[Resource, ...] = ()
    result: dict[str, Any] | None = None
    stranger = ""
    for plugin in executions(network, Command.ADD):
        kind = str(get(plugin, "type"))
        if stranger:
            plugins.required(kind)
            why = f"it goes on with what {stranger} answers"
            planned.append(Planned(kind, why=why))
        elif not plugins.is_ours(kind):
            stranger = kind
            why = f"somebody else's plugin ({plugins.required(kind)})"
            planned.append(Planned(kind, why=why))
        else:
            config = plugin_config(network, plugin, result, target.capabilities)
            try:
                plan = _plan(plugins, kind, target, config, made)
            except Unplannable as error:
                stranger = kind
                planned.append(Planned(kind, why=error.msg))
                continue
            _refuse_what_the_kernel_lacks(plan)
            result = to_json(plan.result, network.cni_version)
            made += plan.resources
            planned.append(Planned(kind, plan))
    return Rehearsal(tuple(planned), None if stranger else result)


def _refuse_what_the_kernel_lacks(plan: Plan) -> None:
    """As the ADD does: a plan tells what is to be made, and not whether this kernel can."""
    for kind in unknown_kinds(resource.kind for resource in plan.resources):
        raise KernelError(lacking(KernelMakes("link", kind)), errno=errno.EOPNOTSUPP)


def _plan(
    plugins: Plugins,
    kind: str,
    target: Target,
    config: Mapping[str, Any],
    made: Sequence[Resource],
) -> Plan:
    from ...daemon import one_shot
    from ...daemon.call import Call, Reply
    from ...daemon.serve import Services, rehearse
    from ...daemon.settings import settings

    services = Services(settings(os.environ).state)
    plans: list[Plan] = []

    def handler(call: Call) -> Reply:
        plans.append(rehearse(call, services, made))
        return Reply(0, b"")

    environ = plugins.environ(Command.ADD, target)
    one_shot.run(handler, kind, environ, json.dumps(config).encode())
    return plans[0]
