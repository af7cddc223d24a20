"""The marks of tests: which topology a test gets as `net`, and what the kernel must have for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import os

    import pytest

    from .spec.builder import Topo
    from .spec.topology import Topology

TOPOLOGY = "pynet_topology"
NEEDS = "pynet_needs"

Scope = Literal["function", "class", "module", "session"]


def topology(
    source: str | os.PathLike[str] | Topology | Topo, *, scope: Scope = "function"
) -> pytest.MarkDecorator:
    """Give each test marked with it a lab of `source` as its fixture `net`.

    `source` is a path relative to the test's file, the name of a file of the gallery
    ("dual-stack"), a `Topology` or what builds one. With another `scope` than "function" the tests
    of one class, module or session share a lab.
    """
    return _mark(TOPOLOGY).with_args(source, scope=scope)


def needs(*features: str) -> pytest.MarkDecorator:
    """Skip each test marked with it where the kernel lacks one of `features`, such as "netem"."""
    return _mark(NEEDS).with_args(*features)


def _mark(name: str) -> pytest.MarkDecorator:
    import pytest  # not at the top: who uses labs without tests may not have it

    mark: pytest.MarkDecorator = getattr(pytest.mark, name)
    return mark
