"""Which machine this is: what is named after it differs from host to host."""

from __future__ import annotations

from pathlib import Path

from ..model.exhaustion import is_exhaustion


def machine() -> str:
    """Tells this machine from others: bridges on two hosts must not share a MAC."""
    global _machine_id
    if _machine_id is None:
        for path in ("/etc/machine-id", "/proc/sys/kernel/random/boot_id"):
            try:
                _machine_id = Path(path).read_text().strip()
            except OSError as error:
                if is_exhaustion(error):
                    raise  # or it would be another machine
                continue
            if _machine_id:
                break
    return _machine_id or ""


_machine_id: str | None = None
