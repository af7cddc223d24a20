"""What every plugin that stands behind another in a list needs: what came before it."""

from __future__ import annotations

from collections.abc import Callable

from ..model.errors import ConfigError
from ..model.query import LeadsToSandbox, Link, LinkNamed, Seen
from ..model.request import Request
from ..model.result import Interface, Result


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
    if not found:  # "", where a plan is looked through for its leases alone
        raise ConfigError(
            f"there is no interface {request.interface} in {request.netns}, which"
            f" {request.plugin} is to work on: the plugins before it have not made it"
        )
    return found


def is_containers(request: Request, seen: Seen) -> Callable[[Interface], bool]:
    """Which of prevResult's interfaces is the container's, by its name and where it is.

    The plugin before may be somebody else's, and have named the namespace by another path.
    """
    return lambda one: (
        one.name == request.interface
        and one.is_in(request.netns, lambda path: seen[LeadsToSandbox(path)])
    )
