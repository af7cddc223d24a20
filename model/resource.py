"""What a plan is made of: things that should be, as values that can be stored and undone.

Rules that hold here:
- A resource does nothing. `kernel` knows how its kind is looked at, made, verified and
  removed; `engine` decides when.
- Kind and field names are a file format: they stay, and a field added later is optional.
- A record of a kind this version does not know is kept as `Unknown`, never dropped.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, cached_property, lru_cache
from typing import Any, ClassVar, Generic, TypeVar

from .query import Place

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


@dataclass(frozen=True, kw_only=True)
class Resource:
    """`inside` is the key of the resource it vanishes with: undone with that, not by itself."""

    kind: ClassVar[str] = ""
    undo: ClassVar[Undo] = Undo.DELETE
    identity: ClassVar[tuple[str, ...]] = ()
    """The fields that tell one of this kind from another in a namespace."""
    may_be_found: ClassVar[bool] = False
    """Others make such things too: one that stands there before us is theirs, and stays."""
    batch: ClassVar[str] = ""
    """Neighbours in a plan with the same non-empty batch are made in one transaction."""
    exclusive: ClassVar[bool] = False
    """Only one record may have it: another's ADD is refused, unless its owner is dead."""

    place: Place = "host"
    inside: str = ""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.kind:
            taken = _kinds.setdefault(cls.kind, cls)
            # dataclass(slots=True) builds a class twice; anything else is a clash.
            if taken.__qualname__ != cls.__qualname__:
                raise TypeError(f"resource kind {cls.kind!r} belongs to {taken.__qualname__}")
            _kinds[cls.kind] = cls

    @property
    def is_counted(self) -> bool:
        """Whether who uses it matters: not of what is one's own, nor of what stays and is ours."""
        return self.undo in (Undo.LAST_USER, Undo.RESTORE) or (
            self.undo is Undo.KEEP and self.may_be_found
        )

    @cached_property
    def key(self) -> str:
        """What it is counted and found by within its namespace; it opens with the kind."""
        fields = (str(getattr(self, name)) for name in self.identity)
        return "\t".join((self.kind, *fields))

    def describe(self) -> str:
        """One line for people, in the words of `ip` and `nft`."""
        return f"{self.kind} " + " ".join(str(getattr(self, name)) for name in self.identity)

    @property
    def whereabouts(self) -> str:
        """The end of a description: nothing for what is on the host."""
        return " in the container" if self.place == "sandbox" else ""

    def properties(self) -> frozenset[tuple[str, str]]:
        """The (subject, property) pairs of a Drift that this decides, overruling earlier ones."""
        return frozenset()


@dataclass(frozen=True, kw_only=True)
class Lease(Resource, Generic[Answer]):
    """A resource whose creation has an answer, which the plan goes on with.

    `after` names resources (by value) that must exist before it is taken.
    """

    def after(self) -> tuple[Resource, ...]:
        return ()


@dataclass(frozen=True, kw_only=True)
class Unknown(Resource):
    """A record written by another version: kept and reported, never acted on."""

    unknown_kind: str
    body: str

    @cached_property
    def key(self) -> str:
        return f"{self.unknown_kind}\t{self.body}"

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
    return resource.kind, _ENCODER.encode(body)


_ENCODER = json.JSONEncoder(separators=(",", ":"))


@cache
def _fields(kind: str) -> tuple[tuple[str, Any], ...]:
    return tuple((field.name, field.default) for field in dataclasses.fields(_kinds[kind]))


def decode(kind: str, body: str) -> Resource:
    """The resource that `encode` wrote; `Unknown` where this version can't read it."""
    try:
        fields = {name: _frozen(value) for name, value in json.loads(body).items()}
        return _kinds[kind](**fields)
    except (KeyError, TypeError, ValueError):
        return Unknown(unknown_kind=kind, body=body)


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value
