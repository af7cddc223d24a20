"""resolv.conf(5) as a CNI result's DNS."""

from __future__ import annotations

from ..model.result import Dns


def parse_resolv_conf(text: str) -> Dns:
    """`nameserver`, `domain`, `search` and `options` lines; later ones as resolv.conf(5) says."""
    nameservers: list[str] = []
    domain = ""
    search: tuple[str, ...] = ()
    options: list[str] = []
    for line in text.splitlines():
        words = line.split("#", 1)[0].split(";", 1)[0].split()
        if len(words) < 2:
            continue
        keyword, *values = words
        if keyword == "nameserver":
            nameservers.append(values[0])
        elif keyword == "domain":
            domain = values[0]
        elif keyword == "search":
            search = tuple(values)
        elif keyword == "options":
            options += values
    return Dns(tuple(nameservers), domain, search, tuple(options))
