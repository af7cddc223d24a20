"""Sysctls, and forwarding, which is one of them for each family."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from ...model.plan import Drift
from ...model.resources import Forwarding, LinkForwarding, RouterAdvertisements, Sysctl
from .. import sysctls
from ..advertised import setting
from ..forwards import SETTINGS, is_closed, link_setting
from ..namespaces import entered
from ..places import Places
from .handler import Handler


class SysctlHandler(Handler[Sysctl]):
    def exists(self, at: Places, resource: Sysctl) -> bool:
        """Whether it has the value already."""
        found = self.previous(at, resource)
        return found is not None and sysctls.same(found, resource.value)

    def previous(self, at: Places, resource: Sysctl) -> str | None:
        return at.sysctl(resource.place, resource.setting)

    def create(self, at: Places, resource: Sysctl) -> None:
        at.set_sysctl(resource.place, resource.setting, resource.value, optional=resource.optional)

    def create_all(self, at: Places, resources: Sequence[Sysctl]) -> None:
        """Entering a namespace once for all that is written there."""
        for place, group in groupby(resources, lambda each: each.place):
            with entered(at.namespace(place)):
                super().create_all(at, list(group))

    def verify(self, at: Places, resource: Sysctl) -> list[Drift]:
        found = at.sysctl(resource.place, resource.setting)
        if found is None and resource.optional:
            return []
        return setting_drift(resource.setting, resource.value, found)

    def delete(self, at: Places, resource: Sysctl, previous: str | None) -> None:
        if previous is not None:
            # Optional: the interface the setting was about may be gone, and it with that.
            at.set_sysctl(resource.place, resource.setting, previous, optional=True)


class ForwardingHandler(Handler[Forwarding]):
    def exists(self, at: Places, resource: Forwarding) -> bool:
        found = at.sysctl("host", SETTINGS[resource.family])
        return found not in (None, "0")

    def create(self, at: Places, resource: Forwarding) -> None:
        # Looked at first: even where the value is right, somebody may have made /proc/sys
        # read-only, and for IPv6 a write takes the lock of all network configuration.
        if not self.exists(at, resource):
            at.set_sysctl("host", SETTINGS[resource.family], "1")

    def verify(self, at: Places, resource: Forwarding) -> list[Drift]:
        key = SETTINGS[resource.family]
        found = at.sysctl("host", key)
        return [] if found not in (None, "0") else setting_drift(key, "1", found)

    def delete(self, at: Places, resource: Forwarding, previous: str | None) -> None:
        at.set_sysctl("host", SETTINGS[resource.family], "0", optional=True)


class LinkForwardingHandler(Handler[LinkForwarding]):
    def exists(self, at: Places, resource: LinkForwarding) -> bool:
        return at.sysctl("host", link_setting(resource.name)) not in (None, "0")

    def create(self, at: Places, resource: LinkForwarding) -> None:
        if not self.exists(at, resource):
            at.set_sysctl("host", link_setting(resource.name), "1", optional=True)

    def verify(self, at: Places, resource: LinkForwarding) -> list[Drift]:
        """Where the host forwards nothing, that is said of `Forwarding`, with no line for each."""
        if not is_closed(at, resource.name):
            return []
        return setting_drift(link_setting(resource.name), "1", "0")

    def delete(self, at: Places, resource: LinkForwarding, previous: str | None) -> None:
        at.set_sysctl("host", link_setting(resource.name), "0", optional=True)


class RouterAdvertisementsHandler(Handler[RouterAdvertisements]):
    """An administrator's 0 or 2 is left as it is: only 1 depends on whether the host forwards."""

    def exists(self, at: Places, resource: RouterAdvertisements) -> bool:
        return at.sysctl("host", setting(resource.name)) != "1"

    def create(self, at: Places, resource: RouterAdvertisements) -> None:
        if not self.exists(at, resource):
            at.set_sysctl("host", setting(resource.name), "2", optional=True)

    def verify(self, at: Places, resource: RouterAdvertisements) -> list[Drift]:
        return [] if self.exists(at, resource) else setting_drift(setting(resource.name), "2", "1")

    def delete(self, at: Places, resource: RouterAdvertisements, previous: str | None) -> None:
        if at.sysctl("host", setting(resource.name)) == "2":
            at.set_sysctl("host", setting(resource.name), "1", optional=True)


def setting_drift(key: str, expected: str, found: str | None) -> list[Drift]:
    """Where the setting KEY is not as `expected`; `found` is None where there is none."""
    if found is not None and sysctls.same(found, expected):
        return []
    return [Drift(f"sysctl net/{key}", "value", expected, "missing" if found is None else found)]
