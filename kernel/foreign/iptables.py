"""The programs of iptables: what they list, and what is written by them.

Its own programs would not understand what another wrote in their tables. What stands there is
read elsewhere, for that question comes with every ADD.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...model.errors import KernelError
from .programs import find, run

NFT = "-nft"
LEGACY = "-legacy"
PROGRAMS = {4: "iptables", 6: "ip6tables"}


class Iptables:
    """`program` ("ip6tables-nft", "iptables-legacy", ...), run in `namespace`, a descriptor."""

    def __init__(self, program: str, namespace: int) -> None:
        self.program = program
        self._namespace = namespace

    def listing(self) -> str:
        """`iptables -S`"""
        status, output, said = run(self._namespace, [self._installed(), "-w", "5", "-S"])
        if status:
            raise KernelError(f"`{self.program} -S`: {said.strip()}", details=said)
        return output

    def change(self, lines: Sequence[str]) -> str:
        """`iptables-restore --noflush`: all lines or none; "" or what it says."""
        text = "\n".join(("*filter", *lines, "COMMIT", ""))
        argv = [self._installed("-restore"), "--noflush", "-w", "5"]
        status, _, said = run(self._namespace, argv, text)
        return (said.strip() or f"status {status}") if status else ""

    def write(self, lines: Sequence[str]) -> None:
        """The same. Raises `KernelError`."""
        if said := self.change(lines):
            raise KernelError(f"`{self.program}`: {said.splitlines()[0]}", details=said)

    def is_installed(self) -> bool:
        return bool(self._find())

    def _find(self, suffix: str = "") -> str:
        """Some systems have but one variant, under the plain name."""
        plain = self.program.removesuffix(NFT)
        return find(self.program + suffix, plain + suffix)

    def _installed(self, suffix: str = "") -> str:
        found = self._find(suffix)
        if not found:
            raise KernelError(
                f"{self.program}{suffix} is not installed; its tables keep containers from"
                " being reached, and only it can change them"
            )
        return found
