"""Whose a table is: an element of a map in it names the store; by its side where, and the boot.

Rules that hold here:
- The mark is put in last, when the rest stands: a table without one is nobody's yet.
- The key is always the same and the value the store's: of two that claim a table at once, the
  kernel refuses the second.
- What only userdata says is not in what `nft list ruleset` saves. So a table that somebody put
  back from there names a store but no boot, and is told from one that we have made.
"""

from __future__ import annotations

import os
import struct
from functools import cache, lru_cache

from ...model.owner import Owner
from ..netlink.nf_tables import Change
from ..netlink.nft_socket import NftSocket
from . import encoder
from .shapes import NftSet

OWNER_SETS = {
    family: NftSet(name, family, ("mark",), "the store whose records this table holds", ("ifname",))
    for family, name in (("inet", "owner"), ("bridge", "frame_owner"))
}
"""In each table, its map from the one key to the store."""

_KEY = "1"
_OURS = 0x70  # a type of userdata that is none of libnftnl's
_FIXED = struct.Struct("!16s16sQ")  # boot, store, device; the directory follows
_MOST = 200
"""Bytes of a directory that fit: userdata may have 256 in all (NFT_USERDATA_MAXLEN)."""


def owner(socket: NftSocket, family: str) -> Owner | None:
    """Whose `table FAMILY pynet` says it is; None where it says nothing, or there is none."""
    answer = socket.ask(_lookup(family))
    return None if answer is None else _told(answer)


def claim(socket: NftSocket, family: str, claimed: Owner) -> bool:
    """Write `claimed` into the table, in place of what is there; False where others are faster."""
    found = socket.ask(_lookup(family))
    mark = _write(claimed)
    if found is not None and encoder.userdata_in(found) == mark:
        return True
    entry = _entry(family, claimed.store[:15])
    changes: list[Change] = [encoder.put(entry, mark)]
    if found is not None:
        changes.insert(0, encoder.remove(entry))
    return not socket.transaction(changes)


@cache
def _lookup(family: str) -> Change:
    return encoder.lookup(_entry(family, ""))


def _entry(family: str, store: str) -> encoder.Entry:
    described = OWNER_SETS[family]
    data = encoder.pack_fields(described.data, (store,)) if store else b""
    return encoder.Entry(described, encoder.pack_fields(described.key, (_KEY,)), data, "")


def _write(claimed: Owner) -> bytes:
    fixed = _FIXED.pack(bytes.fromhex(claimed.boot), bytes.fromhex(claimed.store), claimed.device)
    value = fixed + os.fsencode(claimed.directory)[:_MOST]
    return bytes((_OURS, len(value))) + value


@lru_cache(maxsize=8)  # every call asks, and it is the same one
def _told(answer: bytes) -> Owner | None:
    """Raises nothing: what can't be read is nobody's mark."""
    userdata = encoder.userdata_in(answer)
    if len(userdata) < 2 + _FIXED.size or userdata[0] != _OURS or userdata[1] < _FIXED.size:
        return None
    value = userdata[2 : 2 + userdata[1]]
    boot, store, device = _FIXED.unpack_from(value)
    directory = os.fsdecode(value[_FIXED.size :])
    return Owner(boot.hex(), store.hex(), directory, device)
