"""Steps that are refused: the kernel, or somebody's program, says no in the middle of a call.

Counted are the steps of undoing (what is deleted, and an IPAM plugin's DEL), or those of making.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pynet.engine.leasing import Delegating
from pynet.kernel.world import KernelWorld
from pynet.model.errors import DelegateFailed, KernelError
from pynet.model.resource import Resource

_VALUES = (
    "sysctl\t", "link-up\tsandbox", "link-address\t", "link-mtu\t", "promiscuous\t",
    "all-multicast\t", "transmit-queue\t", "port-isolation\t",
    "forward-jump\t", "forward-accept\t",
)  # fmt: skip


@dataclass
class Refusal:
    """The `at`-th step is refused, 0 for none; with `always` each later one like it, too.

    With `done` it takes effect all the same: an answer that was lost.
    """

    at: int = 0
    always: bool = False
    done: bool = False
    steps: int = 0
    refused: set[str] = field(default_factory=set)
    asked: Counter[str] = field(default_factory=Counter)
    """What was tried, by kind."""

    @property
    def is_in_nobodys_way(self) -> bool:
        """Whether only values were not given back: a container's, or such as have their old one.

        With them count rules among others' that do not stand.
        """
        return all(
            key.startswith(_VALUES) and (self.done or "\tsandbox\t" in key) for key in self.refused
        )

    def says_no(self, keys: Sequence[str]) -> bool:
        self.steps += 1
        self.asked.update(key.partition("\t")[0] for key in keys)
        if self.steps == self.at or (self.always and self.refused & set(keys)):
            self.refused |= set(keys)
            return True
        return False


@contextmanager
def undoing(refusal: Refusal) -> Iterator[Refusal]:
    """Of this process's calls, a step of undoing is refused."""
    delete, release = KernelWorld.delete, Delegating.release

    def refuse(keys: Sequence[str], work: Callable[[], Any], error: Exception) -> Any:
        if not refusal.says_no(keys):
            return work()
        if refusal.done:
            work()
        raise error

    def reluctant_delete(
        world: KernelWorld, resources: Sequence[tuple[Resource, str | None]]
    ) -> None:
        if resources:
            keys = [resource.key for resource, _ in resources]
            refuse(keys, lambda: delete(world, resources), KernelError("refused by the test"))

    def reluctant_release(lessor: Delegating, lease: Any, record: Any, call: Any) -> None:
        keys, error = [f"program\t{lease.binary}"], DelegateFailed("refused by the test")
        refuse(keys, lambda: release(lessor, lease, record, call), error)

    with (
        _replaced(KernelWorld, "delete", reluctant_delete),
        _replaced(Delegating, "release", reluctant_release),
    ):
        yield refusal


@contextmanager
def making(refusal: Refusal) -> Iterator[Refusal]:
    """Of this process's calls, a step of making is refused."""
    create = KernelWorld.create

    def reluctant(world: KernelWorld, resources: Sequence[Resource]) -> None:
        if refusal.says_no([resource.key for resource in resources]):
            if refusal.done:
                create(world, resources)
            raise KernelError("refused by the test")
        create(world, resources)

    with _replaced(KernelWorld, "create", reluctant):
        yield refusal


@contextmanager
def _replaced(owner: Any, name: str, other: Any) -> Iterator[None]:
    before = getattr(owner, name)
    setattr(owner, name, other)
    try:
        yield
    finally:
        setattr(owner, name, before)
