"""Taking times: alternating between the sides, so that the machine's moods meet both alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
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


Taken = Mapping[str, float]


def alternate(rounds: int, takers: Mapping[str, Callable[[], Taken]]) -> Samples:
    """Call each taker once a round, in turns that change; what each named, over the rounds."""

    def once(taker: Callable[[], Taken]) -> Iterator[Taken]:
        yield taker()

    return in_turns(rounds, {name: partial(once, taker) for name, taker in takers.items()})


def in_turns(rounds: int, takers: Mapping[str, Callable[[], Iterator[Taken]]]) -> Samples:
    """As `alternate`, of takers that have as many turns in a round as they yield.

    The first round is not counted: it pays for what is done once.
    """
    samples: Samples = {}
    order: Sequence[str] = list(takers)
    for count in range(rounds + 1):
        turns = {name: takers[name]() for name in order}
        while turns:
            for name in [name for name in order if name in turns]:
                taken = next(turns[name], None)
                if taken is None:
                    del turns[name]
                elif count:
                    for key, value in taken.items():
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


def by_side(what: str, samples: Samples, key: str, budget: str) -> Row:
    """The row of one key that both sides measured, with pynet's share of the reference's time."""
    mine = {name: samples[name] for name in (f"pynet {key}", f"reference {key}") if name in samples}
    values = medians(mine)
    ratio = quotient(values, f"pynet {key}", f"reference {key}")
    return Row(what, "ms", values, ratio, "reference", budget, mine)
