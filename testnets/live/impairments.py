"""How a link comes to be slow, late or lossy: by netem, or by what the kernel has instead.

Without netem a rate is kept by tbf, and loss is made by an nftables rule where packets leave.
Nothing else holds packets back, so a delay is refused there.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from ..lab.features import lacking
from ..lab.forked import LabError
from ..lab.host import plain_environment
from ..spec import units
from ..spec.topology import Impairment

_QUEUED = 10_000
"""Packets that netem holds at most; a gigabit of full ones is on its way for 120 ms."""
_LATENCY_MS = 50
"""How long a packet waits for its turn, at most, before tbf drops it."""
_SHARE = 1_000_000


@dataclass(frozen=True)
class Treatment:
    """Lines for `tc -batch`, and a script for `nft -f`, that bring an impairment about."""

    queue: str = ""
    rules: str = ""


def treatment(port: str, index: int, impairment: Impairment, before: Impairment) -> Treatment:
    """For what leaves `port`, whose index names the table, and which has been through `before`.

    Raises `LabError` for what this kernel can't do.
    """
    queue = rules = ""
    if impairment != Impairment() and not lacking("netem"):
        queue = _netem(impairment)
    elif impairment.delay:
        raise LabError(
            f"a delay of {units.delay_text(impairment.delay)} needs netem, which this kernel "
            f"lacks ({lacking('netem')}); leave the delay out, or run it under a kernel that has "
            "netem (CONFIG_NET_SCH_NETEM)"
        )
    else:
        queue, rules = _tbf(impairment), _loss(port, impairment)
    return Treatment(_queue_change(port, queue, before), _table_change(index, rules, before))


def possible(impairment: Impairment) -> None:
    """Raises `LabError` for what this kernel can't do."""
    treatment("lo", 1, impairment, Impairment())


def apply(treatments: Sequence[Treatment]) -> None:
    """In the network namespace of this process. Raises `LabError` with what was refused."""
    for argv, parts in (
        (["tc", "-batch", "-"], [each.queue for each in treatments]),
        (["nft", "-f", "-"], [each.rules for each in treatments]),
    ):
        script = "".join(parts)
        if script:
            done = subprocess.run(
                argv,
                input=script.encode(),
                env=plain_environment(),
                capture_output=True,
                check=False,
            )
            if done.returncode:
                said = (done.stderr + done.stdout).decode(errors="replace").strip()
                raise LabError(f"`{' '.join(argv)}` refused {script.strip()!r}: {said}")


def _queue_change(port: str, queue: str, before: Impairment) -> str:
    if queue:
        return f"qdisc replace dev {port} root {queue}\n"
    had = before.rate is not None or (before != Impairment() and not lacking("netem"))
    return f"qdisc del dev {port} root\n" if had else ""


def _table_change(index: int, rules: str, before: Impairment) -> str:
    table = f"netdev link{index}"
    gone = f"delete table {table}\n" if before.loss and lacking("netem") else ""
    return f"{gone}table {table} {{\n{rules}}}\n" if rules else gone


def _netem(impairment: Impairment) -> str:
    words = [f"netem limit {_QUEUED}"]
    if impairment.delay:
        words.append(f"delay {round(impairment.delay * 1e6)}us")
    if impairment.loss:
        words.append(f"loss {100 * impairment.loss:.6f}%")
    if impairment.rate:
        words.append(f"rate {impairment.rate}bit")
    return " ".join(words)


def _tbf(impairment: Impairment) -> str:
    if impairment.rate is None:
        return ""
    _require("tbf", "a rate")
    burst = max(impairment.rate // 8 // 100, 5_000)  # bytes; of 10 ms, but more than a packet
    return f"tbf rate {impairment.rate}bit burst {burst} latency {_LATENCY_MS}ms"


def _loss(port: str, impairment: Impairment) -> str:
    if not impairment.loss:
        return ""
    _require("nft-egress", "loss")
    chance = f"numgen random mod {_SHARE} < {round(impairment.loss * _SHARE)}"
    matching = chance if impairment.loss < 1 else ""
    hook = f'type filter hook egress device "{port}" priority 0;'
    return f"chain lost {{ {hook}\n{matching} drop\n}}\n"


def _require(feature: str, what: str) -> None:
    if lacking(feature):
        raise LabError(
            f"{what} needs netem or {feature}, and this kernel lacks both ({lacking(feature)}); "
            f"leave {what} out, or run it under a kernel that has one of them"
        )
