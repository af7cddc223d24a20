"""The keys that every plugin's configuration has, as pynet's own plugins read them.

Others' plugins have the same in `models`, described with pydantic.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from ..model.result import Dns
from .keys import get, shown
from .names import type_problem
from .section import Clash, Section

Object = dict[str, Any]
# A plugin may put a section of its own where NetConf has a plain object. Any lets it.
if TYPE_CHECKING:
    Replaceable = Any
else:
    Replaceable = Object
_EMPTY: Object = {}


class DnsConf(Section):
    """CNI spec 1.1.0, "Well-known keys", `dns`."""

    nameservers: tuple[str, ...] = ()
    domain: str = ""
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()

    def to_dns(self) -> Dns:
        return Dns(self.nameservers, self.domain, self.search, self.options)


def with_plain_type(ipam: Any) -> Any:
    """`ipam`, whose `type` is a string and no path. Raises ValueError."""
    kind = get(ipam, "type") if isinstance(ipam, dict) else getattr(ipam, "type", None)
    if kind is not None and not isinstance(kind, str):
        raise Clash(f"type {shown(kind)} is not a string", "type")
    if kind and (problem := type_problem(kind)):
        raise Clash(f"type {shown(kind)} {problem}", "type")
    return ipam


def cni_arguments(args: Any) -> Mapping[str, Any]:
    """`args.cni`; optional, so that what can't be read is passed over (CONVENTIONS.md)."""
    found = args.get("cni") if isinstance(args, dict) else None
    return found if isinstance(found, dict) else {}


class NetConf(Section):
    """CNI spec 1.1.0, "Plugin configuration objects"."""

    name: str = ""
    cniVersion: str = ""
    type: str = ""
    ipam: Annotated[Replaceable, with_plain_type] = _EMPTY
    dns: DnsConf = DnsConf()
    args: Replaceable = _EMPTY
    runtimeConfig: Replaceable = _EMPTY
    capabilities: Replaceable = _EMPTY
    prevResult: Any = None

    @property
    def cni_args(self) -> Mapping[str, Any]:
        return cni_arguments(self.args)
