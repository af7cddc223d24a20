"""Routing tables of the container: which number may be given, and which is free."""

from __future__ import annotations

from collections.abc import Container, Iterator

from ..cni.section import Unfit
from ..model.routing import OF_THE_KERNEL

HIGHEST_TABLE = (1 << 32) - 1


def possible_table(number: int) -> int:
    """For `Annotated`: a table's number that is none of the kernel's own."""
    if not 1 <= number <= HIGHEST_TABLE:
        raise Unfit(f"is not within 1..{HIGHEST_TABLE}")
    if number in OF_THE_KERNEL:
        raise Unfit("is a table of the kernel's own: default, main or local")
    return number


def possible_table_or_none(number: int) -> int:
    """The same where 0 stands for any."""
    return possible_table(number) if number else number


def free_tables(first: int, taken: Container[int]) -> Iterator[int]:
    """The numbers from `first` on that are not `taken`, nor the kernel's."""
    for number in range(first, HIGHEST_TABLE + 1):
        if number not in taken and number not in OF_THE_KERNEL:
            yield number
