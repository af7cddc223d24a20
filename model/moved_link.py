"""A link of the host's that is lent to a container: an interface card, or one end of a pair."""

from __future__ import annotations

from .resource import Resource, Undo


class MovedLink(Resource, kw_only=True):
    """`ip link set NAME alias NAME; ip link set NAME netns SANDBOX name INNER`

    It is one container's. What it was on the host (MAC, MTU, queue, flags, state, master,
    addresses) is on record before, and given back wherever it is found then: in the container, or
    on the host, where the kernel puts an interface card whose namespace dies. By the alias it is
    known under any name; the reference's host-device marks it likewise. What is made in the
    container on it is inside it. `mac` "" and `mtu` 0 are not compared.

    One that is `left` was lent by an ADD that is on no record: it is known by its alias, or where
    `name` is "" by its MAC, and gets its name back, which is all that is known.
    """

    kind = "moved-link"
    undo = Undo.RESTORE
    exclusive = True
    unrecorded = frozenset({"left"})
    identity = ("name",)
    name: str
    inner: str
    mac: str = ""
    mtu: int = 0
    left: bool = False

    @property
    def container_end(self) -> tuple[str, str]:
        return self.inner, self.mac

    def describe(self) -> str:
        return f"link {self.name} of the host, {self.inner} in the container"
