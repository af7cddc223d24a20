"""Steps taken back: what never took effect is no failure, nor is a value that a container keeps.

Rules that hold here:
- What was refused is looked at: where it is as it was before, there is nothing to be undone.
- A value inside a container (a sysctl, a flag of its interface) goes with the container anyway, and
  who is in there may have made the old one impossible. It is given back if it can be; if not, that
  is said, and it is in nobody's way.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from ..model.errors import CniError, InOurPlace
from ..model.forwarding import ForwardAccept, ForwardJump
from ..model.link_attributes import LinkAttribute
from ..model.resource import Resource, Undo
from ..model.resources import Sysctl
from ..store.records import Step
from .site import Site


def give_back(site: Site, steps: Iterable[Step]) -> None:
    """Undo `steps`, in this order and past every error.

    Raises `CniError`, OSError, or an ExceptionGroup of them, for what is left.
    """
    failures: list[Exception] = []
    for of_container, group in groupby(steps, _is_containers_value):
        listed = list(group)
        try:
            delete(site, [(step.resource, step.previous) for step in listed])
        except* (CniError, OSError) as errors:
            if not all(_is_as_before(site, step) for step in listed):
                if of_container:
                    _say(site, errors.exceptions)
                else:
                    failures += errors.exceptions
    if len(failures) == 1:
        raise failures[0]
    if failures:
        raise ExceptionGroup("several steps could not be undone", failures)


def delete(site: Site, doomed: Sequence[tuple[Resource, str | None]]) -> None:
    """Remove them. Who stands in their place is named, and no reason to fail: none of ours is left.

    Raises `CniError`, OSError, or an ExceptionGroup of them.
    """
    try:
        site.world.delete(doomed)
    except* InOurPlace as errors:
        for error in errors.exceptions:
            site.say(str(error))


def _is_value(step: Step) -> bool:
    return isinstance(step.resource, LinkAttribute | Sysctl)


def _is_containers_value(step: Step) -> bool:
    return step.resource.place == "sandbox" and _is_value(step)


def _is_as_before(site: Site, step: Step) -> bool:
    """Whether it has its old value, or what it was a setting of is gone: a key, an interface, a
    port's place in its bridge. Of a rule of ours among others', whether it does not stand.
    """
    resource = step.resource
    try:
        if isinstance(resource, ForwardJump | ForwardAccept):
            return all(way.key != resource.key for way in site.world.ways())
        if resource.undo is Undo.RESTORE and _is_value(step):
            return site.world.previous(resource) in (step.previous, None)
    except (CniError, OSError):
        pass
    return False


def _say(site: Site, errors: Sequence[Exception]) -> None:
    for error in errors:
        site.say(f"a setting of the container was not given back: {error}")
