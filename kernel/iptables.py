"""Chains and rules in the tables of iptables, written by iptables itself.

Its own programs would not understand what another wrote there. Whether a rule stands is
asked of the kernel where its tables are nftables', for that question comes with every ADD.

Rules that hold here:
- A rule of ours is known by its comment, which is exact: `pynet: cni0`.
- Several lines are one transaction. Two processes may both add a rule: deletion takes all.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..model.errors import KernelError
from . import netlink
from .nft_elements import Change
from .nft_socket import NftSocket
from .programs import find, run

NFT = "-nft"
_NFT_MSG_GETRULE = 7
_NFTA_RULE_TABLE = 1
_NFTA_RULE_CHAIN = 2
_MOST_COPIES = 8


class Iptables:
    """The filter table that `program` ("ip6tables-nft", "iptables-legacy", ...) knows.

    `namespace` is the host's descriptor; `socket` reaches its nf_tables.
    """

    def __init__(self, program: str, namespace: int, socket: NftSocket) -> None:
        self._program = program
        self._namespace = namespace
        self._socket = socket

    def rules(self, chain: str, comment: str) -> int:
        """How many rules of `chain` have this comment."""
        if self._program.endswith(NFT):
            needle = comment.encode() + b"\0"
            return sum(needle in body for body in self._rule_bodies(chain))
        start, words = f"-A {chain} ", f'--comment "{comment}"'
        lines = self.listing().splitlines()
        return sum(line.startswith(start) and words in line for line in lines)

    def listing(self) -> str:
        """`iptables -S`"""
        status, output, said = run(self._namespace, [self._installed(), "-w", "5", "-S"])
        if status:
            raise KernelError(f"`{self._program} -S`: {said.strip()}", details=said)
        return output

    def change(self, lines: Sequence[str]) -> str:
        """`iptables-restore --noflush`: all lines or none; "" or what it says."""
        text = "\n".join(("*filter", *lines, "COMMIT", ""))
        argv = [self._installed("-restore"), "--noflush", "-w", "5"]
        status, _, said = run(self._namespace, argv, text)
        return (said.strip() or f"status {status}") if status else ""

    def add(self, lines: Sequence[str], fresh: Sequence[str] = ()) -> None:
        """`lines`, after `fresh` where that makes a chain which is not there yet."""
        said = self.change([*fresh, *lines])
        if said and fresh:
            said = self.change(lines)
        if said:
            raise KernelError(f"`{self._program}`: {said.splitlines()[0]}", details=said)

    def remove(self, rules: Sequence[str], chain: str, comment: str) -> None:
        """Every copy of each of `rules`, which are written as after `-D`."""
        if not self.rules(chain, comment):
            return
        if not self.change([f"-D {rule}" for rule in rules]) and not self.rules(chain, comment):
            return
        for rule in rules:
            copies = 0
            while copies < _MOST_COPIES and not self.change([f"-D {rule}"]):
                copies += 1

    def _rule_bodies(self, chain: str) -> list[bytes]:
        family = "ip6" if self._program.startswith("ip6") else "ip"
        body = netlink.string(_NFTA_RULE_TABLE, "filter") + netlink.string(_NFTA_RULE_CHAIN, chain)
        return self._socket.dump(Change(_NFT_MSG_GETRULE, 0, family, body))

    def _installed(self, suffix: str = "") -> str:
        """Some systems have but one variant, under the plain name."""
        plain = self._program.removesuffix(NFT)
        found = find(self._program + suffix, plain + suffix)
        if not found:
            raise KernelError(
                f"{self._program}{suffix} is not installed; its tables keep containers from"
                " being reached, and only it can change them"
            )
        return found
