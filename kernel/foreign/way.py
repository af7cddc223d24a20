"""Where a forwarded packet comes by in iptables' filter table, and what is ours there.

Rules that hold here:
- Only what every packet comes by counts: a jump that is for some of them alone leads nowhere.
- Our chain is judged, and written, as a whole: who removes a rule of it, or puts one in, has
  changed what the others mean.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol

from ...model.forwarding import OUR_CHAIN
from .rules import Rule

_FORWARD = "FORWARD"
_ENDS = frozenset({"ACCEPT", "DROP", "REJECT", "QUEUE", "NFQUEUE"})
DROPS = frozenset({"DROP", "REJECT"})
OTHERS_BRIDGES = ("docker+", "br-+")
"""As Docker names them: what may begin a connection into those is for its chains to say."""
_OURS = "pynet: "
_STATES = "conntrack"


class FilterTable(Protocol):
    """The filter table of one program of iptables', as it stands."""

    def rules(self, chain: str) -> tuple[Rule, ...]:
        """In order; () where there is no such chain. Raises `KernelError`."""
        ...


class Passed(NamedTuple):
    """What a packet comes by that no narrower rule takes, in order, as (chain, rule).

    `end` is what becomes of it there, "" where it comes to FORWARD's policy.
    """

    rules: tuple[tuple[str, Rule], ...]
    end: str

    def chains(self) -> set[str]:
        return {_FORWARD, *(rule.chain for _, rule in self.rules if rule.takes_all)}

    def jump(self, chain: str, into: str = "") -> int:
        """Where among them our jump to `chain` is, in `into` or anywhere; -1 where it is not."""
        for index, (place, rule) in enumerate(self.rules):
            if into in ("", place) and rule == jump(chain):
                return index
        return -1


def passed(table: FilterTable) -> Passed:
    """`iptables -S FORWARD`, followed. Raises `KernelError`."""
    found: list[tuple[str, Rule]] = []
    walked: set[str] = set()

    def walk(chain: str) -> str:
        """What ends it in there, "" where it comes out again."""
        walked.add(chain)
        for rule in table.rules(chain):
            found.append((chain, rule))
            if not rule.takes_all:
                continue
            if rule.verdict in _ENDS:
                return rule.verdict
            if rule.verdict == "RETURN":
                return ""
            end = walk(rule.chain) if rule.chain and rule.chain not in walked else ""
            if end or rule.leaves:
                return end
        return ""

    end = walk(_FORWARD)
    return Passed(tuple(found), end)


# --- what is ours --------------------------------------------------------------------------------


def comment(named: str) -> str:
    """What a rule of ours is known by: a jump by its chain, in our own chain by the interface."""
    return _OURS + named


def named_in(rule: Rule) -> str:
    """What the comment of a rule of ours names, "" for somebody else's."""
    return rule.comment.removeprefix(_OURS) if rule.comment.startswith(_OURS) else ""


def interfaces(rules: Iterable[Rule]) -> list[str]:
    """Those that any of our chain's rules is for."""
    return list(dict.fromkeys(name for rule in rules if (name := named_in(rule))))


def accepts(interface: str) -> tuple[Rule, Rule, Rule]:
    """Answers and published ports; what a bridge passes on by itself; what goes out."""
    accept = Rule(verdict="ACCEPT", comment=comment(interface))
    return (
        accept._replace(goes_out=interface, besides=_STATES),
        accept._replace(goes_out=interface, comes_in=interface),
        accept._replace(comes_in=interface),
    )


def our_chain(names: Sequence[str]) -> list[Rule]:
    """PYNET-FORWARD for these interfaces: what goes out is judged after others' bridges."""
    each = [accepts(name) for name in names]
    guards = [Rule(goes_out=name, verdict="RETURN") for name in OTHERS_BRIDGES]
    return [
        *(rule for one in each for rule in one[:2]),
        *guards,
        *(one[2] for one in each),
    ]


def is_whole(rules: Sequence[Rule]) -> bool:
    """Whether they are what our chain has to be, whichever came first of its interfaces."""
    names = interfaces(rules)
    wanted = our_chain(names)
    first, last = 2 * len(names), 2 * len(names) + len(OTHERS_BRIDGES)
    return all(
        sorted(rules[part]) == sorted(wanted[part])
        for part in (slice(first), slice(first, last), slice(last, None))
    )


def written(rule: Rule) -> str:
    """As iptables takes it behind `-A CHAIN`: for rules of ours alone."""
    return " ".join(_words(rule))


def _words(rule: Rule) -> Iterator[str]:
    if rule.comes_in:
        yield f"-i {rule.comes_in}"
    if rule.goes_out:
        yield f"-o {rule.goes_out}"
    if rule.besides == _STATES:
        yield "-m conntrack --ctstate RELATED,ESTABLISHED,DNAT"
    if rule.comment:
        yield f'-m comment --comment "{rule.comment}"'
    yield f"-j {rule.chain or rule.verdict}"


def jump(chain: str) -> Rule:
    return Rule(chain=chain, comment=comment(chain))


def rewriting(names: Sequence[str]) -> list[str]:
    """The lines that make our chain, or make it anew: `:CHAIN -` empties one that is there."""
    return [
        f":{OUR_CHAIN} - [0:0]",
        *(f"-A {OUR_CHAIN} {written(rule)}" for rule in our_chain(names)),
    ]
