"""The checks, a module a family; each is a function of a scene that raises `Failed`."""

from __future__ import annotations

from . import (
    adding,
    chaining,
    checking,
    collecting,
    delegating,
    deleting,
    documents,
    environment,
    killing,
    versions,
)

FAMILIES = tuple(
    module.FAMILY
    for module in (
        environment,
        versions,
        documents,
        adding,
        deleting,
        checking,
        collecting,
        chaining,
        delegating,
        killing,
    )
)
ALL = tuple(check for family in FAMILIES for check in family.checks)
