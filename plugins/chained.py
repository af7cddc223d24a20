"""What every plugin that stands behind another in a list needs: what came before it."""

from __future__ import annotations

from ..model.errors import ConfigError
from ..model.query import Link, LinkNamed, Seen
from ..model.request import Request
from ..model.result import Result


def previous_result(request: Request) -> Result:
    """What the plugins before this one made. Raises `ConfigError` where there was none.

    CNI spec 1.1.0, section 2, "Lifecycle & Ordering": "prevResult" is what a chained
    plugin is given.
    """
    if request.prev_result is None:
        raise ConfigError(
            f"prevResult: missing; {request.plugin} works on what other plugins have made:"
            " put it behind a main plugin such as bridge in the network's list",
            details="prevResult",
        )
    return request.prev_result


def required_interface(request: Request, seen: Seen) -> Link:
    """The container's interface. Raises `ConfigError` where there is none."""
    found = seen[LinkNamed(request.interface, "sandbox")]
    if found is None:
        raise ConfigError(
            f"there is no interface {request.interface} in {request.netns}, which"
            f" {request.plugin} is to work on: the plugins before it have not made it"
        )
    return found
