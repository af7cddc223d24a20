"""What a plugin needs of the kernel, for its STATUS."""

from __future__ import annotations

from ..model.errors import KernelLacks
from ..model.kernel_kinds import KernelMakes, lacking
from ..model.query import Seen


def required(seen: Seen, *needed: KernelMakes) -> None:
    """Raises `KernelLacks` (code 50) for the first that the kernel does not make."""
    seen.together(*needed)
    for each in needed:
        if not seen[each]:
            raise KernelLacks(lacking(each))
