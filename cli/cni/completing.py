"""What shells complete of what is there now: containers, networks, interfaces.

Nothing here may disturb a line that is being typed: what can't be looked at offers nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import wraps
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from . import conf_dir
from .result_cache import Cached

Words = Iterator[tuple[str, str]]
"""What may stand there, and what it is."""
Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def completer(offered: Callable[[click.Context, str], Words]) -> Completer:
    """Those that begin as the word does, each once."""

    @wraps(offered)
    def complete(
        ctx: click.Context, parameter: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        found: dict[str, str] = {}
        with suppress(Exception):
            for word, about in offered(ctx, incomplete):
                found.setdefault(word, about)
        begun = [word for word in found if word and word.startswith(incomplete)]
        return [CompletionItem(word, help=found[word] or None) for word in begun]

    return complete


@completer
def networks(ctx: click.Context, incomplete: str) -> Words:
    """The configured networks, each with its plugins."""
    for found in conf_dir.networks(_conf_dir(ctx)):
        if found.network:
            yield found.network.name, ", ".join(found.types)


@completer
def namespaces(ctx: click.Context, incomplete: str) -> Words:
    """What can be attached: named namespaces, and containers by their ids."""
    from . import containers
    from .nouns import NAMED

    with suppress(OSError):
        for path in sorted(NAMED.iterdir()):
            yield path.name, "network namespace"
    for cached in _attachments(ctx):
        yield _id(cached.target.container, incomplete), f"on {cached.network}"
    for container in containers.ids():
        yield _id(container, incomplete), "runs here"


@completer
def attached(ctx: click.Context, incomplete: str) -> Words:
    """Who is attached, and to what."""
    on: dict[str, list[str]] = {}
    for cached in _attachments(ctx):
        on.setdefault(cached.target.container, []).append(cached.network)
    for container, names in on.items():
        yield _id(container, incomplete), f"on {', '.join(names)}"


@completer
def networks_of(ctx: click.Context, incomplete: str) -> Words:
    """The networks that the container named before is on."""
    for cached in _of(ctx):
        yield cached.network, f"as {cached.target.interface}"


@completer
def interfaces_of(ctx: click.Context, incomplete: str) -> Words:
    """The interfaces by which it is on the network named before."""
    network = ctx.params.get("network")
    for cached in _of(ctx):
        if network in (None, cached.network):
            yield cached.target.interface, f"on {cached.network}"


def _attachments(ctx: click.Context) -> Iterable[Cached]:
    from . import known
    from .result_cache import ResultCache, default_directory

    given = ctx.params.get("cache_dir")
    return known.attachments(ResultCache(Path(given) if given else default_directory()))


def _of(ctx: click.Context) -> Iterable[Cached]:
    from .nouns import attached as attachments_of

    container = ctx.params.get("container")
    # A line that ends with an option is not parsed to its end: then it may be anybody's.
    return attachments_of(container, _attachments(ctx)) if container else _attachments(ctx)


def _conf_dir(ctx: click.Context) -> str:
    return ctx.params.get("conf_dir") or conf_dir.directory()


def _id(container: str, incomplete: str) -> str:
    """As short as it is shown, unless more of it was typed."""
    from ...model.shown import short_id

    short = short_id(container)
    return short if short.startswith(incomplete) else container
