"""The keys of `tuning`, where each value comes from, and which sysctl keys there may be.

Names and precedence are the reference plugin's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..cni.keys import get, repeated
from ..cni.net_conf import NetConf
from ..cni.section import Section
from ..model.errors import ConfigError
from ..model.request import Request
from .mac import unicast_mac

ALLOWLIST = "/etc/cni/tuning/allowlist.conf"


class Settings(Section):
    """What can be set, by the configuration and by `args.cni`; None where it is not given."""

    sysctl: dict[str, str] | None = None
    mac: str | None = None
    promisc: bool | None = None
    mtu: int | None = None
    txQLen: int | None = None
    allmulti: bool | None = None


class Arguments(Section):
    cni: Settings = Settings()


class RuntimeMac(Section):
    """The capability `mac` (CNI conventions, "Dynamic plugin specific fields")."""

    mac: str = ""


class TuningConf(Settings, NetConf):
    args: Arguments = Arguments()
    runtimeConfig: RuntimeMac = RuntimeMac()
    dataDir: str = ""
    """Accepted and without effect: what was there before stands in pynet's own journal."""


def effective(request: Request) -> Settings:
    """`args.cni` over runtimeConfig over CNI_ARGS over the configuration.

    Raises `ConfigError`. As in the reference 0 is no MTU, and "" no MAC.
    """
    conf: TuningConf = request.conf
    _refuse_repeated(request)
    arguments = conf.args.cni
    found = {name: getattr(conf, name) for name in Settings.__annotations__}
    found["mac"] = conf.runtimeConfig.mac or request.args.get("MAC") or conf.mac
    for name in Settings.__annotations__:
        given = getattr(arguments, name)
        if given is not None:
            found[name] = given
    found["sysctl"] = {**(conf.sysctl or {}), **(arguments.sysctl or {})}
    found["mac"] = unicast_mac(found["mac"] or "")
    for name in ("mtu", "txQLen"):
        if found[name] is not None and not 0 <= found[name] < 1 << 31:
            raise ConfigError(f"{name}: {found[name]} is not within 0..{(1 << 31) - 1}")
    return Settings(**found)


def _refuse_repeated(request: Request) -> None:
    """Which value holds would be left to chance; the reference refuses it, too."""
    arguments = get(get(request.config, "args") or {}, "cni") or {}
    for keys in (get(request.config, "sysctl"), get(arguments, "sysctl")):
        if twice := repeated(keys):
            raise ConfigError(f'sysctl: "{twice[0]}" is given twice')


# --- sysctls ----------------------------------------------------------------------


def settings(keys: dict[str, str], interface: str) -> Iterator[tuple[str, str]]:
    """(key below /proc/sys/net, value) of each. Raises `ConfigError`.

    Two spellings of one key would leave it to chance which value holds.
    """
    taken: dict[str, str] = {}
    for key, value in keys.items():
        setting = _below_net(key, interface)
        if setting in taken:
            raise ConfigError(f'sysctl: "{taken[setting]}" and "{key}" are the same key')
        taken[setting] = key
        yield setting, value


def _below_net(key: str, interface: str) -> str:
    """`key`, "net.ipv4.x" or "net/ipv4/x", as "ipv4/x", with IFNAME the container's interface.

    After a slash, a dot is part of a name, as with sysctl(8): "net/ipv4/conf/eth0.5/forwarding".
    """
    separator = next((character for character in key if character in "./"), "/")
    parts = (key.replace(".", "/") if separator == "." else key).split("/")
    if parts[0] != "net" or len(parts) < 3 or any(part in ("", ".", "..") for part in parts):
        raise ConfigError(
            f'sysctl: "{key}" is not a key below /proc/sys/net, as net.core.somaxconn'
        )
    # The interface's name last: it may hold dots of its own.
    return "/".join(part.replace("IFNAME", interface) for part in parts[1:])


def refuse_unlisted(keys: dict[str, str], allowlist: str) -> None:
    """Raises `ConfigError` for a key, as written, that no line of the file matches.

    Each line is a regular expression that is searched for, as in the reference.
    """
    patterns = [line.strip() for line in allowlist.splitlines() if line.strip()]
    for key in keys:
        if not any(_found(pattern, key) for pattern in patterns):
            raise ConfigError(f'sysctl: "{key}" is not allowed by {ALLOWLIST}')


def _found(pattern: str, key: str) -> bool:
    try:
        return re.search(pattern, key) is not None
    except re.error as error:
        raise ConfigError(f'{ALLOWLIST}: "{pattern}" is no regular expression: {error}') from None
