"""Taking times: alternating between the sides, so that the machine's moods meet both alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

Samples = dict[str, list[float]]


@dataclass
class Row:
    """One line of the table. `unit` is that of all `values`; `ratio` is judged by `budget`."""

    what: str
    unit: str
    values: dict[str, float]
    ratio: float | None = None
    of: str = ""
    budget: str = ""
    samples: Samples = field(default_factory=dict)

    @property
    def more_is_better(self) -> bool:
        """Of a rate; of a time it is the other way round."""
        return self.unit == "/s"

    def document(self) -> dict[str, Any]:
        """As it goes into the results file."""
        return asdict(self)


def milliseconds(work: Callable[[], object]) -> float:
    """How long `work()` takes."""
    begin = time.perf_counter_ns()
    work()
    return (time.perf_counter_ns() - begin) / 1e6


def alternate(rounds: int, takers: Mapping[str, Callable[[], Mapping[str, float]]]) -> Samples:
    """Call each taker once a round, in turns that change; what each named, over the rounds.

    The first round is not counted: it pays for what is done once.
    """
    samples: Samples = {}
    order: Sequence[str] = list(takers)
    for count in range(rounds + 1):
        for name in order:
            for key, value in takers[name]().items():
                if count:
                    samples.setdefault(f"{name} {key}".strip(), []).append(value)
        order = order[::-1]
    return samples


def medians(samples: Samples) -> dict[str, float]:
    """The middle of each."""
    return {name: statistics.median(values) for name, values in samples.items()}


def quotient(values: Mapping[str, float], one: str, other: str) -> float | None:
    """`one` / `other`, where both were measured."""
    if one in values and values.get(other):
        return values[one] / values[other]
    return None
