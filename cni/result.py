"""Results in the shape of every version, from and to `model.result.Result`.

CNI spec 1.1.0, "Success"; what is left out when empty follows the reference's output.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from msgspec import to_builtins

from ..model.errors import ConfigError, IncompatibleVersion
from ..model.result import Address, Dns, Interface, Result, Route
from .addresses import is_address, is_cidr
from .keys import Keys, get, shown
from .version import SUPPORTED

Json = dict[str, Any]

_FAMILY = {
    "0.1.0": "0.2.0",
    "0.2.0": "0.2.0",
    "0.3.0": "0.4.0",
    "0.3.1": "0.4.0",
    "0.4.0": "0.4.0",
    "1.0.0": "1.1.0",
    "1.1.0": "1.1.0",
}
"""Versions whose results have one shape: they stand for each other in a prevResult."""

# --- out ---------------------------------------------------------------------


def to_json(result: Result, version: str) -> Json:
    """`result` as a document of `version`. Raises `IncompatibleVersion`.

    Raises `ConfigError` for a version before 0.3.0 and no address: their shape is built
    around one.
    """
    family = _FAMILY.get(version)
    if family is None:
        raise IncompatibleVersion(
            f"no result can be given in version {shown(version)}",
            details=f"supported are {', '.join(SUPPORTED)}",
        )
    if family == "0.2.0":
        return {"cniVersion": version, **_oldest(result, version)}
    old = family == "0.4.0"
    document: Json = {"cniVersion": version}
    if result.interfaces:
        document["interfaces"] = [_interface_json(one, old) for one in result.interfaces]
    if result.ips:
        document["ips"] = [_address_json(one, old) for one in result.ips]
    if result.routes:
        # The reference keeps the newer fields (mtu, table ..) in 0.3 and 0.4 too, and in a
        # chain they would be lost otherwise.
        document["routes"] = list(map(to_builtins, result.routes))
    if result.dns or old:
        document["dns"] = _dns_json(result.dns)
    return document


def _oldest(result: Result, version: str) -> Json:
    """0.1.0 and 0.2.0: the first address of each family, and its family's routes."""
    document: Json = {}
    for key, is_v6 in (("ip4", False), ("ip6", True)):
        ip = next((one for one in result.ips if (":" in one.address) is is_v6), None)
        if ip is None:
            continue
        routes = [
            _filled({"dst": route.dst, "gw": route.gw})
            for route in result.routes
            if (":" in route.dst) is is_v6
        ]
        document[key] = _filled({"ip": ip.address, "gateway": ip.gateway, "routes": routes})
    if not document:
        raise ConfigError(
            f"cniVersion: a result of version {version} needs an address, and this network"
            " gives none; use 0.3.0 or newer",
            details="cniVersion",
        )
    return {**document, "dns": _dns_json(result.dns)}


def _filled(document: Json) -> Json:
    return {key: value for key, value in document.items() if value}


def _interface_json(interface: Interface, old: bool) -> Json:
    document: Json = to_builtins(interface)
    return {key: document[key] for key in _OLD_KEYS if key in document} if old else document


_OLD_KEYS = ("name", "mac", "sandbox")


def _address_json(address: Address, old: bool) -> Json:
    document: Json = {"version": "6" if ":" in address.address else "4"} if old else {}
    if address.interface is not None:
        document["interface"] = address.interface
    document["address"] = address.address
    if address.gateway:
        document["gateway"] = address.gateway
    return document


def _dns_json(dns: Dns) -> Json:
    return {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in to_builtins(dns).items()
    }


# --- in ---------------------------------------------------------------------

_RESULT = Keys("interfaces", "ips", "routes", "dns", "ip4", "ip6")
_INTERFACE = Keys("name", "mac", "sandbox", "mtu", "socketPath", "pciID")
_ADDRESS = Keys("address", "gateway", "interface")
_ROUTE = Keys("dst", "gw", "mtu", "advmss", "priority", "table", "scope")
_DNS = Keys("nameservers", "domain", "search", "options")
_OLDEST_IP = Keys("ip", "gateway", "routes")


def from_json(document: Mapping[str, Any], config_version: str, at: str = "prevResult") -> Result:
    """A result as somebody gave it; without a `cniVersion` it has the configuration's.

    `at` is what error messages call it. Raises `ConfigError` where it is malformed, or of
    a version whose results have another shape than the configuration's.
    """
    version = get(document, "cniVersion") or config_version
    family = _FAMILY.get(version) if isinstance(version, str) else None
    if family is None or family != _FAMILY.get(config_version):
        raise ConfigError(
            f"{at}.cniVersion: {shown(version)} can't be used in a configuration of version"
            f" {config_version}",
            details=f"{at}.cniVersion",
        )
    fields = _RESULT.fold(document)
    if family == "0.2.0":
        return _from_oldest(fields, at)
    interfaces = tuple(_interface(one, where) for one, where in _objects(fields, "interfaces", at))
    return Result(
        interfaces,
        tuple(_address(one, where, len(interfaces)) for one, where in _objects(fields, "ips", at)),
        tuple(_route(one, where) for one, where in _objects(fields, "routes", at)),
        _dns(fields, at),
    )


def _from_oldest(fields: Mapping[str, Any], at: str) -> Result:
    """ "ip4 then ip6", routes one after the other, no interfaces."""
    ips: list[Address] = []
    routes: list[Route] = []
    for key in ("ip4", "ip6"):
        if key not in fields:
            continue
        where = f"{at}.{key}"
        block = _OLDEST_IP.fold(_object(fields[key], where))
        ips.append(Address(_cidr(block, "ip", where), _ip(block, "gateway", where)))
        routes += [_route(one, there) for one, there in _objects(block, "routes", where)]
    return Result((), tuple(ips), tuple(routes), _dns(fields, at))


def _interface(document: Mapping[str, Any], at: str) -> Interface:
    fields = _INTERFACE.fold(document)
    return Interface(_text(fields, "name", at), **_given(fields, _OF_INTERFACE, at))


def _address(document: Mapping[str, Any], at: str, interfaces: int) -> Address:
    fields = _ADDRESS.fold(document)
    index = _number(fields, "interface", at)
    # Old plugins say -1 for "none", and some an index into a list they do not give.
    if index is not None and not 0 <= index < interfaces:
        index = None
    return Address(_cidr(fields, "address", at), _ip(fields, "gateway", at), index)


def _route(document: Mapping[str, Any], at: str) -> Route:
    fields = _ROUTE.fold(document)
    return Route(_cidr(fields, "dst", at), **_given(fields, _OF_ROUTE, at))


def _dns(fields: Mapping[str, Any], at: str) -> Dns:
    if "dns" not in fields:
        return Dns()
    where = f"{at}.dns"
    dns = _DNS.fold(_object(fields["dns"], where))
    return Dns(**_given(dns, _OF_DNS, where))


def _given(fields: Mapping[str, Any], readers: _Readers, at: str) -> dict[str, Any]:
    """By field, what `fields` have; the rest is at its default."""
    return {name: read(fields, key, at) for name, (key, read) in readers.items() if key in fields}


# --- one value, checked ---------------------------------------------------------


def _wrong(value: Any, at: str, expected: str) -> ConfigError:
    return ConfigError(f"{at}: {shown(value)} is not {expected}", details=at)


def _object(value: Any, at: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise _wrong(value, at, "an object")
    return value


def _objects(
    fields: Mapping[str, Any], key: str, at: str
) -> Iterable[tuple[Mapping[str, Any], str]]:
    entries = fields.get(key, [])
    if not isinstance(entries, list):
        raise _wrong(entries, f"{at}.{key}", "a list")
    for place, entry in enumerate(entries):
        where = f"{at}.{key}[{place}]"
        yield _object(entry, where), where


def _text(fields: Mapping[str, Any], key: str, at: str) -> str:
    value = fields.get(key, "")
    if not isinstance(value, str):
        raise _wrong(value, f"{at}.{key}", "a string")
    return value


def _texts(fields: Mapping[str, Any], key: str, at: str) -> tuple[str, ...]:
    values = fields.get(key, [])
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise _wrong(values, f"{at}.{key}", "a list of strings")
    return tuple(values)


def _number(fields: Mapping[str, Any], key: str, at: str) -> int | None:
    value = fields.get(key)
    if value is not None and type(value) is not int:
        raise _wrong(value, f"{at}.{key}", "a whole number")
    return value


def _unsigned(fields: Mapping[str, Any], key: str, at: str, *, most: int = 2**32 - 1) -> int | None:
    """A number that the kernel has room for (rtnetlink(7))."""
    value = _number(fields, key, at)
    if value is not None and not 0 <= value <= most:
        raise _wrong(value, f"{at}.{key}", f"within 0..{most}")
    return value


def _cidr(fields: Mapping[str, Any], key: str, at: str) -> str:
    text = _text(fields, key, at)
    if not is_cidr(text):
        raise _wrong(text, f"{at}.{key}", "an address with prefix length")
    return text


def _ip(fields: Mapping[str, Any], key: str, at: str) -> str:
    text = _text(fields, key, at)
    if text and not is_address(text):
        raise _wrong(text, f"{at}.{key}", "an address")
    return text


_Readers = Mapping[str, tuple[str, Callable[[Mapping[str, Any], str, str], Any]]]
"""By field, its key and how that is read."""
_OF_INTERFACE: _Readers = {
    "mac": ("mac", _text),
    "sandbox": ("sandbox", _text),
    "mtu": ("mtu", _number),
    "socket_path": ("socketPath", _text),
    "pci_id": ("pciID", _text),
}
_OF_ROUTE: _Readers = {
    "gw": ("gw", _ip),
    "mtu": ("mtu", _unsigned),
    "advmss": ("advmss", _unsigned),
    "priority": ("priority", _unsigned),
    "table": ("table", _unsigned),
    "scope": ("scope", partial(_unsigned, most=255)),
}
_OF_DNS: _Readers = {
    "nameservers": ("nameservers", _texts),
    "domain": ("domain", _text),
    "search": ("search", _texts),
    "options": ("options", _texts),
}
