"""What is going on, on one line of a terminal; in a pipe nothing."""

from __future__ import annotations

import shutil
import sys
from types import TracebackType

_FROM_THE_LEFT = "\r\x1b[K"
"""Back to the line's beginning, and clear it: ECMA-48 EL."""


class Progress:
    """Is called whenever something begins; the line is gone at the end."""

    def __init__(self) -> None:
        self._shown = sys.stderr.isatty()

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._write("")

    def __call__(self, what: str) -> None:
        """Tell what is going on, such as "containers: 3 of 10"."""
        width = shutil.get_terminal_size().columns
        self._write(" ".join(what.split())[: width - 1])

    def _write(self, text: str) -> None:
        if self._shown:
            sys.stderr.write(f"{_FROM_THE_LEFT}{text}")
            sys.stderr.flush()
