"""What a plan is made of: things that should be, as values that can be stored and undone.

Rules that hold here:
- A resource does nothing. `kernel` knows how its kind is looked at, made, verified and
  removed; `engine` decides when.
- Kind and field names are a file format: they stay, and a field added later is optional. It
  adds neither to what tells one resource of the kind from another nor to what undoing takes
  away, so that an older version can undo what it can't read all of. Where that will not do,
  it is another kind.
- What a record holds that this version can't read is kept as `Unknown`, never dropped.
"""

from __future__ import annotations

import json
from enum import StrEnum
from functools import cache, cached_property, lru_cache
from typing import Any, ClassVar, Generic, TypeVar

from .place import Place
from .value import Value, compact, defaults

Answer = TypeVar("Answer")


class Undo(StrEnum):
    """How a resource is taken back."""

    DELETE = "delete"
    """It is this attachment's alone."""
    LAST_USER = "last-user"
    """Several share it; the store counts them by key, the last one removes it."""
    RESTORE = "restore"
    """It changed what was there; the value from before (the first user's) comes back."""
    KEEP = "keep"
    """It stays: others may have come to rely on it, and it costs nothing."""


_kinds: dict[str, type[Resource]] = {}


class Resource(Value, kw_only=True, dict=True, cache_hash=True):
    """`inside` is the key of the resource it vanishes with: undone with that, not by itself.

    `keeper` names the service of the agent that looks after it for as long as it is there, ""
    for what needs no care. A kind that always needs some says so by its default.
    """

    kind: ClassVar[str] = ""
    undo: ClassVar[Undo] = Undo.DELETE
    identity: ClassVar[tuple[str, ...]] = ()
    """The fields that tell one of this kind from another in a namespace."""
    may_be_found: ClassVar[bool] = False
    """Others make such things too: one that stands there before us is theirs, and stays."""
    batch: ClassVar[str] = ""
    """Neighbours in a plan with the same non-empty batch are made together."""
    exclusive: ClassVar[bool] = False
    """Only one container may have it: another's ADD is refused, unless its owner is dead. Of
    several records of that one the oldest's is made; it leaves it to the next."""
    foreign: ClassVar[bool] = False
    """Somebody else's program makes, looks at and removes it, and takes what time it likes."""
    unrecorded: ClassVar[frozenset[str]] = frozenset()
    """Fields that are of use while a plan is made, and no part of the file format."""

    place: Place = "host"
    inside: str = ""
    keeper: str = ""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.kind:
            taken = _kinds.setdefault(cls.kind, cls)
            if taken is not cls:
                raise TypeError(f"resource kind {cls.kind!r} belongs to {taken.__qualname__}")

    @property
    def is_counted(self) -> bool:
        """Whether who uses it matters: not of what is one's own, nor of what stays and is ours."""
        return self.undo in (Undo.LAST_USER, Undo.RESTORE) or (
            self.undo is Undo.KEEP and self.may_be_found
        )

    @cached_property
    def key(self) -> str:
        """What it is counted and found by within its namespace; it opens with the kind."""
        fields = map(self.__getattribute__, self.identity)
        return "\t".join((self.kind, *map(str, fields)))

    @property
    def lock(self) -> str:
        """Of what is `foreign`: those with the same one are worked on one at a time."""
        return self.key

    @property
    def claim(self) -> str:
        """Of what is exclusive: what nobody else can have beside it, for people."""
        return self.describe()

    def describe(self) -> str:
        """One line for people, in the words of `ip` and `nft`."""
        return f"{self.kind} " + " ".join(str(getattr(self, name)) for name in self.identity)

    @property
    def container_end(self) -> tuple[str, str] | None:
        """Name and MAC of the container's interface that it makes; None for what makes none."""
        return None

    @property
    def whereabouts(self) -> str:
        """The end of a description: nothing for what is on the host."""
        return " in the container" if self.place == "sandbox" else ""

    def properties(self) -> frozenset[tuple[str, str]]:
        """The (subject, property) pairs of a Drift that this decides, overruling earlier ones."""
        return frozenset()


class Lease(Resource, Generic[Answer], kw_only=True):
    """A resource whose creation has an answer, which the plan goes on with.

    `first` are resources (by value) that must be there before it is taken: they are made then. A
    record has them as steps of their own.
    """

    unrecorded = frozenset({"first"})
    first: tuple[Resource, ...] = ()

    def after(self) -> tuple[Resource, ...]:
        return self.first


class Unknown(Resource, kw_only=True):
    """What another version wrote: kept and reported, never acted on.

    What it is counted by, and how it is undone, is on record beside it.
    """

    unknown_kind: str
    body: str
    recorded_key: str = ""
    undo: Undo = Undo.DELETE  # type: ignore[misc]  # each its own, as its kind has it

    @cached_property
    def key(self) -> str:
        return self.recorded_key or f"{self.unknown_kind}\t{self.body}"

    def describe(self) -> str:
        return f"{self.unknown_kind} (recorded by another version of pynet)"


@lru_cache(maxsize=1024)  # the containers of a network have most of theirs in common
def encode(resource: Resource) -> tuple[str, str]:
    """(kind, body): the form a record holds it in; fields at their default are left out."""
    if isinstance(resource, Unknown):
        return resource.unknown_kind, resource.body
    body = {}
    for name, default in _fields(resource.kind):
        value = getattr(resource, name)
        if value != default:
            body[name] = value
    return resource.kind, compact(body)


@cache
def _fields(kind: str) -> tuple[tuple[str, Any], ...]:
    known = _kinds[kind]
    return tuple(
        (name, default) for name, default in defaults(known).items() if name not in known.unrecorded
    )


def is_exclusive(kind: str) -> bool:
    """Not of a kind that this version does not know."""
    return kind in _kinds and _kinds[kind].exclusive


# Whoever fills a table reads all there are: held by fewer than that, each is gone when it is next
# asked for. A thousand containers have six thousand of them.
@lru_cache(maxsize=1 << 14)
def decode(kind: str, body: str) -> Resource:
    """The resource that `encode` wrote; `Unknown` where this version can't read it."""
    try:
        return _kinds[kind](**_fields_of(body))
    except (KeyError, TypeError, ValueError):
        return Unknown(unknown_kind=kind, body=body)


def decode_known(kind: str, body: str) -> Resource | None:
    """The resource by those of its fields that this version knows; None where they do not do."""
    try:
        known = {name for name, _ in _fields(kind)}
        fields = {name: value for name, value in _fields_of(body).items() if name in known}
        return _kinds[kind](**fields)
    except (KeyError, TypeError, ValueError):
        return None


def recorded(
    kind: str, body: str, key: str, inside: str, place: str, undo: str
) -> tuple[Resource, bool]:
    """The resource of a step's columns, and whether that is all there is on record of it.

    Where a later version has added fields, it is what this one knows of it: enough to undo it,
    as long as that is the same thing by the same key, and not enough to judge it.
    """
    resource = decode(kind, body)
    if resource.undo == undo and not isinstance(resource, Unknown):
        return resource, True
    known = decode_known(kind, body)
    if known is not None and (known.key, known.undo) == (key, undo):
        return known, False
    unknown = Unknown(
        unknown_kind=kind,
        body=body,
        recorded_key=key,
        inside=inside,
        place="host" if place == "host" else "sandbox",
        undo=Undo(undo) if undo in list(Undo) else Undo.DELETE,
    )
    return unknown, True


def columns(kind: str, body: str) -> tuple[str, str, str]:
    """(inside, place, undo) of a step that was written without them."""
    known = decode_known(kind, body)
    if known is not None:
        return known.inside, known.place, known.undo
    return "", "host", Undo.DELETE


def _fields_of(body: str) -> dict[str, Any]:
    """Raises ValueError."""
    document = json.loads(body)
    if not isinstance(document, dict):
        raise ValueError(f"{body} holds no fields")
    return {
        name: _frozen(value) if isinstance(value, list) else value
        for name, value in document.items()
    }


def _frozen(values: list[Any]) -> tuple[Any, ...]:
    return tuple(_frozen(value) if isinstance(value, list) else value for value in values)
