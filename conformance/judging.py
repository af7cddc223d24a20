"""What must hold of any answer. Each function raises `Failed`, naming what was expected."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Collection, Iterator
from typing import Any

from ..cni.version import parse
from .calls import PATIENCE, Call
from .verdicts import Failed


def document(call: Call) -> dict[str, Any]:
    """The one JSON object on stdout."""
    if not call.stdout.strip():
        raise Failed("stdout is empty; one JSON document is expected there", call)
    try:
        found, end = json.JSONDecoder().raw_decode(call.stdout.strip())
    except ValueError as error:
        raise Failed(f"what is on stdout is not JSON: {error}", call) from None
    if call.stdout.strip()[end:].strip():
        raise Failed("there is more than one JSON document on stdout", call)
    if not isinstance(found, dict):
        raise Failed("the JSON document on stdout is not an object", call)
    return found


def ended(call: Call) -> None:
    """By itself, with a status."""
    if call.status is None:
        raise Failed(
            f"after {PATIENCE:.0f} s it has not ended, or something it started holds its stdout",
            call,
        )
    if call.status < 0:
        raise Failed(f"it died by signal {-call.status}", call)


def succeeded(call: Call) -> dict[str, Any]:
    """Status 0; ADD and VERSION have answered with one document, the others with nothing."""
    ended(call)
    if call.status:
        raise Failed(f"{call.command or 'it'} failed: {said(call)}", call)
    if call.command == "VERSION":
        return document(call)
    if call.command == "ADD":
        return readable(document(call), call)
    if call.stdout.strip():
        raise Failed(f"a {call.command} that succeeds prints nothing on stdout", call)
    return {}


_LISTS = {"interfaces": "name", "ips": "address", "routes": "dst"}
"""What a result may have, and the key that each entry needs."""


def readable(result: dict[str, Any], call: Call) -> dict[str, Any]:
    """A result whose parts are of the types that they have in all versions."""
    for key, needed in _LISTS.items():
        listed = result.get(key)
        if listed is None:
            continue
        if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
            raise Failed(f"`{key}` of the result is not a list of objects", call)
        if not all(isinstance(one.get(needed), str) for one in listed):
            raise Failed(f"an entry of the result's `{key}` has no `{needed}`", call)
    for one in result.get("ips") or []:
        index = one.get("interface")
        if index is not None and (not isinstance(index, int) or isinstance(index, bool)):
            raise Failed(f"`interface` of {one['address']} is not a number", call)
    for key in ("ip4", "ip6", "dns"):
        if not isinstance(result.get(key) or {}, dict):
            raise Failed(f"`{key}` of the result is not an object", call)
    # An absent key and null are the same to Go, in which most runtimes are written.
    return {key: value for key, value in result.items() if value is not None}


def refused(call: Call, codes: Collection[int] = (), names: Collection[str] = ()) -> dict[str, Any]:
    """Another status than 0, and one error document: with one of `codes`, its text with `names`."""
    ended(call)
    if not call.status:
        raise Failed("it succeeded; an error is expected", call)
    error = document(call)
    code = error.get("code")
    if not isinstance(code, int) or isinstance(code, bool):
        raise Failed(f"the error's `code` is {code!r}; it is expected to be a number", call)
    if not isinstance(error.get("msg"), str) or not error["msg"]:
        raise Failed("the error has no `msg`", call)
    if codes and code not in codes:
        wanted = " or ".join(str(each) for each in sorted(codes))
        raise Failed(f"the error's code is {code}; {wanted} is expected", call)
    text = f"{error['msg']} {error.get('details', '')}"
    if absent := [name for name in names if name not in text]:
        raise Failed(f"the error's text does not name {', '.join(absent)}", call)
    return error


def said(call: Call) -> str:
    """Why a call failed, in its own words."""
    try:
        return str(json.loads(call.stdout)["msg"])
    except (ValueError, KeyError, TypeError):
        return call.stdout.strip() or call.stderr.strip() or f"status {call.status}"


def shape(result: dict[str, Any], version: str, call: Call) -> None:
    """A result has the form of its version."""
    for problem in _problems(result, version):
        raise Failed(f"as a result of version {version}: {problem}", call)


def _problems(result: dict[str, Any], version: str) -> Iterator[str]:
    if result.get("cniVersion") != version:
        yield f"cniVersion is {result.get('cniVersion')!r}"
    if parse(version) < parse("0.3.0"):
        yield from _oldest(result)
    else:
        yield from _since_0_3(result, version)


def _oldest(result: dict[str, Any]) -> Iterator[str]:
    for key in ("ips", "interfaces", "routes"):
        if key in result:
            yield f"it has `{key}`, which came with 0.3.0"
    for key, family in (("ip4", 4), ("ip6", 6)):
        if key in result and _family(result[key].get("ip")) != family:
            yield f"`{key}.ip` is {result[key].get('ip')!r}, no IPv{family} address with a prefix"


def _since_0_3(result: dict[str, Any], version: str) -> Iterator[str]:
    for key in ("ip4", "ip6"):
        if key in result:
            yield f"it has `{key}`, which ended with 0.2.0"
    interfaces = result.get("interfaces", [])
    yield from (f"an interface has no name: {each}" for each in interfaces if not each.get("name"))
    for ip in result.get("ips", []):
        family = _family(ip.get("address"))
        if not family:
            yield f"an address is {ip.get('address')!r}, without a prefix length or none at all"
        if parse(version) >= parse("1.0.0") and "version" in ip:
            yield "an address has `version`, which ended with 0.4.0"
        if parse(version) < parse("1.0.0") and ip.get("version") != str(family):
            yield f"`version` of {ip.get('address')} is {ip.get('version')!r}, not {str(family)!r}"
        index = ip.get("interface")
        if index is not None and not 0 <= index < len(interfaces):
            yield f"`interface` of {ip.get('address')} is {index}: there are {len(interfaces)}"
    for route in result.get("routes", []):
        if not _family(route.get("dst")):
            yield f"a route's `dst` is {route.get('dst')!r}"


def _family(text: Any) -> int:
    """4 or 6 for an address with its prefix length; 0 for anything else."""
    try:
        return ipaddress.ip_interface(text).version if "/" in text else 0
    except (TypeError, ValueError):
        return 0
