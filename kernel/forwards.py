"""Whether the host forwards, by a family and by an interface.

IPv4 asks the interface that a packet came by, whatever `ip_forward` says: writing that sets those
there are, and the default of new ones. IPv6 asks the host alone.
"""

from __future__ import annotations

from .places import Places

SETTINGS = {4: "ipv4/ip_forward", 6: "ipv6/conf/all/forwarding"}
"""By family."""


def link_setting(name: str) -> str:
    """Of IPv4, and of what comes by that interface."""
    return f"ipv4/conf/{name}/forwarding"


def is_closed(at: Places, name: str) -> bool:
    """Whether the host forwards IPv4, but nothing that comes by `name`."""
    if at.sysctl("host", link_setting(name)) != "0":
        return False
    return at.sysctl("host", SETTINGS[4]) not in (None, "0")
