"""What the words FILE, NAME and NODE of `pynet testnet` mean, and how shells complete them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from ..lazy import did_you_mean

if TYPE_CHECKING:
    from ...testnets.spec.topology import Topology
    from ...testnets.standing.standing import Standing

_SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True)
class Source:
    """A topology, and the file it was read from."""

    path: Path
    topology: Topology

    @property
    def name(self) -> str:
        """What its lab is called, where the command line doesn't say: as it says itself."""
        return self.topology.name if "name" in self.topology.model_fields_set else self.path.stem


def source(word: str) -> Source:
    """The topology of a file, or of the gallery's of that name.

    Raises `click.UsageError` where there is none, `TopologyError` where it is wrong.
    """
    from ...testnets.spec.reading import read

    path = topology_path(word)
    return Source(path, read(path))


def topology_path(word: str) -> Path:
    """A file, or the gallery's of that name. Raises `click.UsageError`."""
    from ...testnets import gallery

    path = Path(word) if Path(word).is_file() else gallery.file_of(word)
    if path is None:
        known = gallery.names()
        raise click.UsageError(
            f"there is no file {word!r}, and no topology of that name in the gallery"
            f"; the gallery has {', '.join(known)}{did_you_mean(word, known)}"
        )
    return path


def standing(word: str) -> Standing | None:
    """The lab of that name that stands, where the word isn't plainly a file."""
    if "/" in word or word.endswith(_SUFFIXES):
        return None
    from ...testnets.standing.standing import Registry

    return Registry().find(word)


# --- completion ---------------------------------------------------------------------------------


def labs(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The names of standing labs, each with its file."""
    from ...testnets.standing.standing import Registry

    return [
        CompletionItem(found.name, help=found.file)
        for found in Registry()
        if found.name.startswith(incomplete)
    ]


def files(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The gallery's names; and files, which the shell completes itself."""
    from ...testnets import gallery

    ours = [CompletionItem(name) for name in gallery.names() if name.startswith(incomplete)]
    return [*ours, CompletionItem(incomplete, type="file")]


def labs_and_files(
    ctx: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Either."""
    return labs(ctx, parameter, incomplete) + files(ctx, parameter, incomplete)


def nodes(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The nodes of the lab that the command line has named before."""
    found = standing(ctx.params.get("name") or "")
    return [CompletionItem(node) for node in _beginning(incomplete, found and found.doors)]


def links(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The links of the lab that the command line has named before."""
    found = standing(ctx.params.get("name") or "")
    return [CompletionItem(link) for link in _beginning(incomplete, found and found.links)]


def _beginning(incomplete: str, words: object) -> list[str]:
    known = [str(word) for word in words] if isinstance(words, dict | list | tuple) else []
    return [word for word in known if word.startswith(incomplete)]
