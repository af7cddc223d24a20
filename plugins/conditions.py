"""`conditionsV4` and `conditionsV6`: for which packets a port is published, as an nftables match.

The reference hands these words to iptables or nft as they are; what a rule of ours can say is
a grammar of its own:

    iptables:  [!] -s|--source NET[,NET..]   [!] -d|--destination NET[,NET..]
               [!] -i|--in-interface NAME[+] [!] -p|--protocol PROTOCOL
               [!] --sport|--dport PORT[:PORT]   [!] --sports|--dports PORT[:PORT][,..]
               -m tcp|udp|sctp|multiport         (says nothing more)
    nft:       ip|ip6 saddr|daddr [==|!=] NET|{ NET, .. }
               [meta] iifname [==|!=] NAME[*]|{ NAME, .. }
               meta l4proto|ip protocol|ip6 nexthdr [==|!=] PROTOCOL|{ PROTOCOL, .. }
               th|tcp|udp|sctp sport|dport [==|!=] PORT[-PORT]|{ PORT[-PORT], .. }

One term after the other; all must hold. Like the reference, the first word tells which it is:
one that begins with - or ! is iptables'.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from ipaddress import collapse_addresses, ip_network

from ..cni.names import interface_problem
from ..model.value import Value

_PROTOCOLS = {"tcp": "tcp", "udp": "udp", "sctp": "sctp", "6": "tcp", "17": "udp", "132": "sctp"}
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_.@-]+")
_LONGEST = 4000  # bytes of a rule's text; nft reads whole files, a kernel's rule is 64 KiB


class Unreadable(ValueError):
    """These words are not of the grammar; says which."""


class _Term(Value):
    """`what` in nft's words must be, or not be, one of `values`."""

    what: str
    values: tuple[str, ...]
    negated: bool = False

    def __str__(self) -> str:
        sign = "!= " if self.negated else ""
        value = self.values[0] if len(self.values) == 1 else f"{{ {', '.join(self.values)} }}"
        return f"{self.what} {sign}{value}"


def compiled(words: Sequence[str], family: int) -> str:
    """The match in nft's words, always the same for the same terms. Raises `Unreadable`."""
    terms = _iptables if " ".join(words).lstrip()[:1] in ("-", "!") else _nft
    match = " ".join(sorted({str(term) for term in terms(words, family)}))
    if len(match) > _LONGEST:
        raise Unreadable("that is too long for one rule")
    return match


# --- iptables' words ------------------------------------------------------------------


def _iptables(words: Sequence[str], family: int) -> Iterator[_Term]:
    left = [word for text in words for word in text.split()][::-1]
    while left:
        option, negated = left.pop(), False
        if option == "!":
            option, negated = _next(left, "!"), True
        value = _next(left, option)
        if option in ("-m", "--match"):
            if negated or value not in ("multiport", *_PROTOCOLS):
                raise Unreadable(f"{option} {value}")
            continue
        if option not in _OPTIONS:
            raise Unreadable(f"{option} {value}")
        what, read = _OPTIONS[option]
        yield _Term(_named(what, family), read(value.split(","), family), negated)


def _next(left: list[str], after: str) -> str:
    if not left:
        raise Unreadable(f"{after} without a value")
    return left.pop()


# --- nft's words ------------------------------------------------------------------------


def _nft(words: Sequence[str], family: int) -> Iterator[_Term]:
    left = re.findall(r"[{},]|!=|==|[^\s{},!=]+|[!=]", " ".join(words))[::-1]
    while left:
        first = _next(left, "nothing")
        head = f"meta {first}" if first in ("iifname", "l4proto") else first
        if " " not in head:
            head = f"{head} {_next(left, head)}"
        if head not in _EXPRESSIONS:
            raise Unreadable(head)
        what, read = _EXPRESSIONS[head]
        if head.startswith(("ip ", "ip6 ")) and head.startswith("ip6 ") != (family == 6):
            raise Unreadable(f"{head} (of the other IP family)")
        if head.partition(" ")[0] in _PROTOCOLS:
            yield _Term("meta l4proto", (head.partition(" ")[0],))
        sign = left.pop() if left and left[-1] in ("==", "!=") else "=="
        values = list(_values(left, head))
        yield _Term(_named(what, family), read(values, family), sign == "!=")


def _values(left: list[str], after: str) -> Iterator[str]:
    first = _next(left, after)
    if first != "{":
        yield first.strip('"')
        return
    while (word := _next(left, after)) != "}":
        if word != ",":
            yield word.strip('"')


# --- values ---------------------------------------------------------------------------------

_Reader = Callable[[Sequence[str], int], tuple[str, ...]]


def _named(what: str, family: int) -> str:
    return what.replace("IP", {4: "ip", 6: "ip6"}[family])


def _networks(texts: Sequence[str], family: int) -> tuple[str, ...]:
    try:
        networks = [ip_network(text, strict=False) for text in texts]
    except ValueError:
        raise Unreadable(", ".join(texts)) from None
    if not networks or any(one.version != family for one in networks):
        raise Unreadable(f"{', '.join(texts)} (not of IPv{family})")
    # nft refuses networks within each other in one set.
    return tuple(str(one) for one in collapse_addresses(networks))  # type: ignore[type-var]


def _interfaces(texts: Sequence[str], family: int) -> tuple[str, ...]:
    names = [f"{text[:-1]}*" if text.endswith("+") else text for text in texts]
    for name in names:
        plain = name.removesuffix("*")
        if interface_problem(plain) or not _PLAIN_NAME.fullmatch(plain):
            raise Unreadable(name)
    if not names or (len(names) > 1 and any(name.endswith("*") for name in names)):
        raise Unreadable(", ".join(texts))
    return tuple(f'"{name}"' for name in sorted(set(names)))


def _protocols(texts: Sequence[str], family: int) -> tuple[str, ...]:
    known = {_PROTOCOLS.get(text.lower(), "") for text in texts}
    if not known or "" in known:
        raise Unreadable(", ".join(texts))
    return tuple(sorted(known))


def _ports(texts: Sequence[str], family: int) -> tuple[str, ...]:
    ranges: list[tuple[int, int]] = []
    for text in texts:
        first, _, last = text.replace(":", "-").partition("-")
        if not (first.isascii() and first.isdigit() and (last or first).isdigit()):
            raise Unreadable(text)
        low, high = int(first), int(last or first)
        if not 0 <= low <= high <= 65535:
            raise Unreadable(text)
        ranges.append((low, high))
    if not ranges:
        raise Unreadable("no port")
    return tuple(str(a) if a == b else f"{a}-{b}" for a, b in _merged(sorted(ranges)))


def _merged(ranges: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    low, high = ranges[0]
    for first, last in ranges[1:]:
        if first > high + 1:
            yield low, high
            low = first
        high = max(high, last)
    yield low, high


_SOURCE, _DESTINATION = ("IP saddr", _networks), ("IP daddr", _networks)
_FROM_PORT, _TO_PORT = ("th sport", _ports), ("th dport", _ports)
_INTERFACE, _PROTOCOL = ("iifname", _interfaces), ("meta l4proto", _protocols)

_OPTIONS: dict[str, tuple[str, _Reader]] = {
    **dict.fromkeys(("-s", "--source", "--src"), _SOURCE),
    **dict.fromkeys(("-d", "--destination", "--dst"), _DESTINATION),
    **dict.fromkeys(("-i", "--in-interface"), _INTERFACE),
    **dict.fromkeys(("-p", "--protocol", "--proto"), _PROTOCOL),
    **dict.fromkeys(("--sport", "--source-port", "--sports", "--source-ports"), _FROM_PORT),
    **dict.fromkeys(("--dport", "--destination-port", "--dports", "--destination-ports"), _TO_PORT),
}
_EXPRESSIONS: dict[str, tuple[str, _Reader]] = {
    **{f"{protocol} saddr": _SOURCE for protocol in ("ip", "ip6")},
    **{f"{protocol} daddr": _DESTINATION for protocol in ("ip", "ip6")},
    **dict.fromkeys(("meta iifname",), _INTERFACE),
    **dict.fromkeys(("meta l4proto", "ip protocol", "ip6 nexthdr"), _PROTOCOL),
    **{f"{protocol} sport": _FROM_PORT for protocol in ("th", "tcp", "udp", "sctp")},
    **{f"{protocol} dport": _TO_PORT for protocol in ("th", "tcp", "udp", "sctp")},
}
