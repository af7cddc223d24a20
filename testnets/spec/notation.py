"""The short texts of topology files: `h1:eth1 -- sw {loss=1%}`, `b:80`, `8080:80/udp`, `a@h1`.

Each has a function that reads it, which raises ValueError with what to write instead, and one
that writes it.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Any

from . import units
from .topology import End, Impairment, Link, Publication, Target

LINK = "h1:eth1 -- sw {rate=10mbit delay=20ms loss=1% mtu=1400}"
PUBLICATION = '"8080:80", "127.0.0.1:8080:80/udp" or "[::1]:8080:80"'
_LINK = re.compile(r"(\S+)\s+--\s+([^\s{]+)\s*(?:\{([^{}]*)\})?")
_PUBLICATION = re.compile(
    r"(?:(?:\[(?P<v6>[^\]]+)\]|(?P<v4>[^:\[\]]+)):)?"
    r"(?P<host>[0-9]+):(?P<container>[0-9]+)(?:/(?P<protocol>[a-z]+))?",
    re.ASCII,
)
_IMPAIRMENTS = {"rate": units.parse_rate, "delay": units.parse_delay, "loss": units.parse_loss}
MTUS = range(68, 65536)


def placed(text: str) -> tuple[str, str]:
    """Name and host of `a@h1`; the host of `a` is empty."""
    name, at, host = text.partition("@")
    if not name or (at and not host) or "@" in host:
        raise ValueError(f"{text!r} is no name of a container: write a, or a@h1")
    return name, host


def parse_end(text: str) -> End:
    """One end of a link: `h1:eth1`, or `sw`."""
    node, colon, interface = text.partition(":")
    if not node or (colon and not interface) or ":" in interface:
        raise ValueError(f"{text!r} is no end of a link: write h1:eth1, or h1")
    return End(node=node, interface=interface)


def parse_link(text: str) -> Link:
    """A link with all it does to packets."""
    match = _LINK.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is no link: write {LINK}")
    settings = _settings(match[3] or "", (*_IMPAIRMENTS, "mtu"))
    mtu = settings.pop("mtu", "1500")
    if not mtu.isdecimal() or int(mtu) not in MTUS:
        raise ValueError(f"the mtu {mtu!r} is no number from 68 to 65535: write mtu=1400")
    ends = (parse_end(match[1]), parse_end(match[2]))
    return Link(ends=ends, mtu=int(mtu), impairment=_impairment(settings))


def link_text(link: Link) -> str:
    """What `parse_link` reads as this link."""
    settings = impairment_text(link.impairment).split()
    if link.mtu != Link.model_fields["mtu"].default:
        settings.append(f"mtu={link.mtu}")
    ends = " -- ".join(str(end) for end in link.ends)
    return f"{ends} {{{' '.join(settings)}}}" if settings else ends


def parse_impairment(text: str) -> Impairment:
    """`rate=10mbit delay=20ms loss=1%`, or some of these."""
    return _impairment(_settings(text, tuple(_IMPAIRMENTS)))


def impairment_text(impairment: Impairment) -> str:
    """What `parse_impairment` reads as this."""
    values = impairment.model_dump(exclude_none=True)
    return " ".join(f"{key}={value}" for key, value in values.items())


def parse_target(text: str) -> Target:
    """A place by name or address, and a port."""
    bracketed = re.fullmatch(r"\[([^\]]+)\](?::(.*))?", text)
    if bracketed:
        name, port = bracketed[1], bracketed[2]
        if not is_address(name):
            raise ValueError(f"{name!r} is no IPv6 address: write b:80, or [2001:db8::1]:80")
    elif is_address(text):
        name, port = text, None
    else:
        name, colon, rest = text.partition(":")
        port = rest if colon else None
    if not name or (port is not None and not _is_port(port)):
        raise ValueError(f"{text!r} is no place, or its port is none: write b, or b:80")
    return Target(name=name, port=int(port or 0))


def parse_publication(text: str) -> Publication:
    """A port of the host that leads to one of the container."""
    match = _PUBLICATION.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} publishes nothing: write {PUBLICATION}")
    host_ip, protocol = match["v6"] or match["v4"] or "", match["protocol"] or "tcp"
    if host_ip and not is_address(host_ip):
        raise ValueError(f"{host_ip!r} in {text!r} is no IP address: write {PUBLICATION}")
    if not (_is_port(match["host"]) and _is_port(match["container"])):
        raise ValueError(f"a port of {text!r} is none from 1 to 65535: write {PUBLICATION}")
    if protocol not in ("tcp", "udp"):
        raise ValueError(f"{protocol!r} in {text!r} can't be published: write /tcp or /udp")
    return Publication.model_validate(
        {
            "host_ip": host_ip,
            "host_port": int(match["host"]),
            "container_port": int(match["container"]),
            "protocol": protocol,
        }
    )


def publication_text(publication: Publication) -> str:
    """What `parse_publication` reads as this."""
    address = publication.host_ip
    start = f"[{address}]:" if ":" in address else f"{address}:" if address else ""
    end = "" if publication.protocol == "tcp" else f"/{publication.protocol}"
    return f"{start}{publication.host_port}:{publication.container_port}{end}"


def is_address(text: str) -> bool:
    """Whether this is an IP address, without a prefix length."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 5 and 0 < int(text) < 65536


def _settings(text: str, known: tuple[str, ...]) -> dict[str, str]:
    """`a=1 b=2` as pairs; commas do as well."""
    settings: dict[str, str] = {}
    for setting in text.replace(",", " ").split():
        key, _, value = setting.partition("=")
        if key not in known or not value:
            raise ValueError(
                f"{setting!r} is unknown: write {', '.join(f'{k}=...' for k in known)}"
            )
        if key in settings:
            raise ValueError(f"{key!r} is there twice: leave one of them out")
        settings[key] = value
    return settings


def _impairment(settings: Mapping[str, str]) -> Impairment:
    values: dict[str, Any] = {key: _IMPAIRMENTS[key](text) for key, text in settings.items()}
    return Impairment(**values)
