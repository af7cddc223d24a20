"""The host's own link on an interface of which containers have one each."""

from __future__ import annotations

from typing import Literal

from .resource import Resource, Undo

Stacked = Literal["macvlan", "ipvlan"]
"""The kinds of link whose parent lets no packets pass between itself and them."""


class HostLeg(Resource, kw_only=True):
    """`ip link add link PARENT name NAME address MAC type LINK mode MODE; ip link set NAME up`

    By it the host reaches the containers that have a link of that kind on PARENT. One that is
    there already is used as it is (and set up). `mac` is "" where such a link has its parent's.
    `ours` says that its MAC is none but that which we choose.
    """

    kind = "host-leg"
    undo = Undo.LAST_USER
    identity = ("name",)
    unrecorded = frozenset({"ours"})
    name: str
    link: Stacked
    parent: str
    mode: str
    mac: str = ""
    ours: bool = False

    @property
    def may_be_found(self) -> bool:  # type: ignore[override]
        """One that is ours stands there before us where its record was lost."""
        return not self.ours

    def describe(self) -> str:
        return f"{self.name}: the host's own {self.link} link on {self.parent}, up"
