"""A request as a record keeps it: enough to run a foreign plugin's DEL after a crash."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ..model.value import Value, compact


class Call(Value):
    """What an executable is run with, but for CNI_COMMAND (CNI spec 1.1.0, section 4)."""

    environ: Mapping[str, str]
    config: Mapping[str, Any]

    def dump(self) -> str:
        """Without what CNI does not name: the rest of an environment may be anybody's secret."""
        environ = {
            name: value
            for name, value in self.environ.items()
            if name.startswith("CNI_") or name == "PATH"
        }
        return compact({"environ": environ, "config": self.config})

    def stdin(self) -> bytes:
        return compact(self.config).encode()

    @classmethod
    def load(cls, text: str) -> Call:
        document = json.loads(text)
        return cls(document["environ"], document["config"])
