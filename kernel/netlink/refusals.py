"""Refusals of the kernel that mean something else than failure."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from ...model.errors import KernelError, UnsupportedField

GONE = (errno.ENODEV, errno.ENOENT, errno.ESRCH, errno.EADDRNOTAVAIL)
"""What should be gone is gone."""
THERE = (errno.EEXIST,)
"""What should be there is there."""


@contextmanager
def tolerating(numbers: tuple[int, ...]) -> Iterator[None]:
    """Pass over a `KernelError` with one of these errno."""
    try:
        yield
    except KernelError as error:
        if error.errno not in numbers:
            raise


@contextmanager
def vlans_required(why: str) -> Iterator[None]:
    """Turn the refusal of a VLAN operation into an error that names the key.

    `why` is the key and what it asks for. CNI spec 1.1.0, "Error": code 2's message holds
    key and value. Raises `UnsupportedField`.
    """
    try:
        yield
    except KernelError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise
        raise UnsupportedField(
            f"{why}: this kernel's bridges know no VLANs, it was built without "
            "CONFIG_BRIDGE_VLAN_FILTERING",
            details=error.msg,
        ) from error
