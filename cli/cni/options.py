"""Options that several commands share: where networks, plugins and results are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from ...cni.conflist import NetworkList
from ...model.errors import CniError
from .. import values
from ..install import in_force
from . import conf_dir
from .completing import networks
from .execution import DEFAULT_DIRECTORY, Plugins, Target, Timings
from .result_cache import ResultCache, default_directory
from .runtime import Runtime

Command = TypeVar("Command", bound=Callable[..., Any])


def _existing(ctx: click.Context, parameter: click.Parameter, value: str) -> str:
    """One that is asked for by name has to be there; the usual one may come yet."""
    source = ctx.get_parameter_source(parameter.name or "")
    if source is ParameterSource.COMMANDLINE and not Path(value).is_dir():
        raise click.BadParameter(f"there is no directory {value}", ctx, parameter)
    return value


def _with_their_state(
    ctx: click.Context, parameter: click.Parameter, value: tuple[str, ...]
) -> tuple[str, ...]:
    """Plugins that are asked for by name keep their records where their installation says."""
    source = ctx.get_parameter_source(parameter.name or "")
    if source is ParameterSource.COMMANDLINE and not ctx.resilient_parsing:
        named = [Path(each) for each in value]
        if any(map(in_force.is_installed, named)):
            in_force.take(named)
    return value


network_argument = click.argument(
    "network", metavar="NETWORK", shell_complete=networks, callback=values.noun
)
conf_dir_option = click.option(
    "--conf-dir",
    envvar="NETCONFPATH",
    default=conf_dir.DEFAULT,
    show_default=True,
    metavar="DIR",
    callback=_existing,
    help="Where the network configurations are (NETCONFPATH).",
)
plugin_dir_option = click.option(
    "--plugin-dir",
    "plugin_dirs",
    envvar="CNI_PATH",
    type=click.Path(),  # a string would be split at spaces, a path is split at colons
    multiple=True,
    default=(DEFAULT_DIRECTORY,),
    show_default=True,
    metavar="DIR",
    callback=_with_their_state,
    help="Where the plugins are; may be given several times (CNI_PATH).",
)
_cache_dir_option = click.option(
    "--cache-dir",
    metavar="DIR",
    help="Where results of ADD are kept. [default for root: /var/lib/cni, libcni's]",
)


@dataclass(frozen=True)
class Places:
    """The directories a runtime works with."""

    conf_dir: str
    plugin_dirs: tuple[str, ...]
    cache_dir: str | None

    def runtime(self, *, in_process: bool = False, timings: Timings | None = None) -> Runtime:
        """Raises `CniError` where there is no place for a cache."""
        plugins = Plugins(self.plugin_dirs, in_process, timings)
        return Runtime(plugins, self.cache())

    def cache(self) -> ResultCache:
        return ResultCache(Path(self.cache_dir) if self.cache_dir else default_directory())

    def network(self, name: str, *, wanted: bool = False) -> NetworkList:
        """Raises `CniError`, OSError. Whether it is `wanted` decides what the error advises."""
        return conf_dir.network_named(name, self.conf_dir, wanted=wanted)

    def network_of(self, name: str, target: Target) -> NetworkList:
        """The network as it is configured, or, where it no longer is, as it was at the ADD."""
        try:
            return self.network(name)
        except (CniError, OSError):
            cached = self.cache().read(name, target)
            network = cached.network_list() if cached else None
            if network is None:
                raise
            return network


def place_options(command: Command) -> Command:
    """--conf-dir, --plugin-dir and --cache-dir, as the parameter `places`."""

    @wraps(command)
    def called(
        *args: Any,
        conf_dir: str,
        plugin_dirs: tuple[str, ...],
        cache_dir: str | None,
        **kwargs: Any,
    ) -> Any:
        return command(*args, places=Places(conf_dir, plugin_dirs, cache_dir), **kwargs)

    wrapped: Command = called  # type: ignore[assignment]  # it takes options, and gives places
    return conf_dir_option(plugin_dir_option(_cache_dir_option(wrapped)))
