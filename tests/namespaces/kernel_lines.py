"""All of a network namespace that we touch, one line a thing, asked of `ip`, `tc` and `nft`.

Rules that hold here:
- What the kernel changes by itself is left out: counters, timers, handles, carriers, and what
  follows from a carrier, which comes when it comes (addresses fe80::, multicast).
- What is there twice is two lines.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

_LINK = ("link_type", "address", "mtu", "txqlen", "master", "group", "promiscuity", "allmulti",
         "num_tx_queues", "ifalias")  # fmt: skip
_OWN_FLAGS = {"UP", "PROMISC", "ALLMULTI", "NOARP"}
_PORT = ("hairpin", "isolated", "learning", "flood", "mcast_flood", "guard", "proxy_arp",
         "priority", "neigh_suppress", "vlan_tunnel", "locked")  # fmt: skip
_BRIDGE = ("vlan_filtering", "vlan_default_pvid", "vlan_protocol", "stp_state",
           "group_fwd_mask", "mcast_snooping", "nf_call_iptables", "nf_call_ip6tables",
           "nf_call_arptables")  # fmt: skip
_PLAIN_QDISCS = {"noqueue", "pfifo_fast", "mq", "fq_codel"}
_PROC_SYS = "/proc/sys/"
_SYSCTLS = f"{_PROC_SYS}net"
_COUNTS = {"net/netfilter/nf_conntrack_count", "net/netfilter/nf_conntrack_buckets"}
_NO_STATE = {"handle", "index", "packets", "bytes", "used", "expires"}


def kernel() -> set[str]:
    """Of the network namespace of the calling thread."""
    found = [*_by_ip(), *_by_bridge(), *_queues(), *ruleset(), *_legacy(), *sysctls()]
    return set(_numbered(found))


def links() -> set[str]:
    """Their names, and the addresses on them."""
    found = set()
    for link in batch("ip", "addr show")[0]:
        found.add(f"link {link['ifname']}")
        found |= set(_addresses(link))
    return found


_OWNERS = ("owner", "frame_owner")
"""What says whose our tables are: a store that is lost is followed by another one."""


def ruleset() -> Iterator[str]:
    """nftables, whole: an element, a rule, a chain a line."""
    for entry in _json("nft", "-j", "list", "ruleset").get("nftables", []):
        for kind, thing in entry.items():
            if kind == "metainfo":
                continue
            where = " ".join(str(thing[each]) for each in ("family", "table") if each in thing)
            if kind in ("set", "map"):
                for element in thing.pop("elem", []):
                    if thing["name"] in _OWNERS:
                        continue
                    yield f"element {thing['name']} {where} {_text(element)}"
            name = thing.pop("chain" if kind == "rule" else "name", "")
            yield f"{kind} {name} {where} {_text(thing)}"


def sysctls() -> Iterator[str]:
    """All of net/* that can be read."""
    for folder, _, files in os.walk(_SYSCTLS):
        for file in files:
            # A thousand of them, many times in a test: a `Path` for each costs twice the rest.
            name = f"{folder.removeprefix(_PROC_SYS)}/{file}"
            if name not in _COUNTS:
                # It may be gone with its interface, or be there to be written only.
                with suppress(OSError, UnicodeDecodeError):
                    yield f"sysctl {name} = {_said(_PROC_SYS + name)}"


def _said(path: str) -> str:
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC), "rb", buffering=0) as file:
        return file.read().decode().strip()


def _by_ip() -> Iterator[str]:
    shown, routes, neighbours, proxies, rules = batch(
        "ip", "addr show", "route show table all", "neigh show nud permanent",
        "neigh show proxy", "rule show",
    )  # fmt: skip
    for link in shown:
        yield f"link {link['ifname']}"
        yield f"attributes {link['ifname']} {_text(_attributes(link))}"
        yield from _addresses(link)
    for route in routes:
        # Those of table local are the kernel's, for each address, and go some time after it.
        of_an_address = route.get("table") == "local" and route.get("protocol") == "kernel"
        if not (of_an_address or route["dst"].startswith(("fe80", "ff00", "multicast"))):
            yield f"route {route.pop('dst')} dev {route.pop('dev', None)} {_route(route)}"
    for kind, entries in (("neighbour", neighbours), ("proxy", proxies)):
        yield from (f"{kind} {_text(entry)}" for entry in entries)
    for family, listed in ((4, rules), (6, _json("ip", "-6", "-j", "rule", "show"))):
        yield from (f"routing rule IPv{family} {_text(rule)}" for rule in listed)


def _attributes(link: Any) -> dict[str, Any]:
    info = link.get("linkinfo", {})
    of_bridge = info.get("info_data", {}) if info.get("info_kind") == "bridge" else {}
    of_port = info.get("info_slave_data", {})
    return {
        **{key: link[key] for key in _LINK if key in link},
        "kind": info.get("info_kind"),
        "flags": sorted(_OWN_FLAGS & set(link["flags"])),
        "modes": link.get("inet6_addr_gen_mode"),
        "bridge": {key: of_bridge[key] for key in _BRIDGE if key in of_bridge},
        "port": {key: of_port[key] for key in _PORT if key in of_port},
    }


def _addresses(link: Any) -> Iterator[str]:
    for address in link["addr_info"]:
        if not address.get("local", "fe80").startswith("fe80"):
            yield f"address {link['ifname']} {address['local']}/{address['prefixlen']}"


def _route(route: Any) -> str:
    for of_a_carrier in ("flags", "expires", "cache"):
        route.pop(of_a_carrier, None)
    return _text(route)


def _by_bridge() -> Iterator[str]:
    forwarding, vlans = batch("bridge", "fdb show", "vlan show")
    for entry in forwarding:
        multicast = int(entry["mac"][:2], 16) & 1
        if not multicast and entry.get("state") in ("permanent", "static"):
            yield f"forwarding {_text(entry)}"
    for port in vlans:
        yield from (f"vlan {port['ifname']} {_text(vlan)}" for vlan in port.get("vlans", []))


def _queues() -> Iterator[str]:
    """Disciplines that somebody chose, and the filters of their interfaces."""
    for queue in _json("tc", "-j", "qdisc", "show"):
        if queue["kind"] in _PLAIN_QDISCS:
            continue
        yield f"qdisc {queue['dev']} {_text(queue)}"
        for hook in ("ingress", "egress") if queue["kind"] in ("ingress", "clsact") else ("root",):
            for each in _json("tc", "-j", "filter", "show", "dev", queue["dev"], hook):
                yield f"filter {queue['dev']} {hook} {_text(each)}"


def _legacy() -> Iterator[str]:
    """What `iptables-legacy` made, which nftables does not show."""
    for program, names in (("iptables", "ip_tables_names"), ("ip6tables", "ip6_tables_names")):
        known = Path("/proc/thread-self/net", names)
        if known.exists() and known.read_text():
            done = subprocess.run([f"{program}-legacy-save"], capture_output=True, check=True)
            for line in done.stdout.decode().splitlines():
                if not line.startswith("#"):
                    yield f"{program} {line.partition(' [')[0]}"


# --- what is asked -----------------------------------------------------------------------


def batch(program: str, *questions: str) -> list[Any]:
    """The answers of one `ip` or `bridge` to several questions, in order."""
    detailed = ["-d"] if program == "ip" else []  # VLANs in detail are not for every kernel
    done = subprocess.run(
        [program, "-j", *detailed, "-b", "-"],
        input="".join(f"{question}\n" for question in questions).encode(),
        check=True,
        capture_output=True,
    )
    text, answers, decoder = done.stdout.decode().strip(), [], json.JSONDecoder()
    while text:
        answer, end = decoder.raw_decode(text)
        answers.append(answer)
        text = text[end:].lstrip()
    assert len(answers) == len(questions), (questions, done.stdout)
    return answers


def _json(*argv: str) -> Any:
    output = subprocess.run(argv, check=True, capture_output=True).stdout
    return json.loads(output or b"[]")


def _text(thing: Any) -> str:
    return json.dumps(_without_state(thing), sort_keys=True)


def _without_state(thing: Any) -> Any:
    if isinstance(thing, dict):
        return {k: _without_state(v) for k, v in thing.items() if k not in _NO_STATE}
    return [_without_state(each) for each in thing] if isinstance(thing, list) else thing


def _numbered(lines: Iterable[str]) -> Iterator[str]:
    seen: Counter[str] = Counter()
    for line in lines:
        seen[line] += 1
        yield line if seen[line] == 1 else f"{line} (number {seen[line]})"
