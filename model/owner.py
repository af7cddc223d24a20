"""Whose our nftables tables on a host are: a store's, of one boot."""

from __future__ import annotations

from .value import Value


class Owner(Value):
    """A store by its id, in `directory`, which is on the file system `device` (st_dev).

    `boot` is the boot's id, without dashes. The id is "" before there is a store.
    """

    boot: str
    store: str
    directory: str
    device: int

    def __str__(self) -> str:
        if not self.store:
            return f"a store that is yet to be made in {self.directory}"
        return f"store {self.store[:12]} in {self.directory}"


class TableFound(Value):
    """What one of our tables tells of itself.

    `owner` is None where it names none: it is of an older layout, or somebody has put it back
    from a saved ruleset.
    """

    family: str
    is_older: bool
    owner: Owner | None
    asleep: bool = False
    """Set `dormant`: nothing in it has an effect."""
