"""The topologies that come with pynet, by name."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent / "topologies"


def names() -> list[str]:
    """All of them, in order."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def file_of(name: str) -> Path | None:
    """The file of the topology of that name ("dual-stack"); None where there is none."""
    return FOLDER / f"{name}.yaml" if name in names() else None
