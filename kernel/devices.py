"""The host's devices: found by what a configuration calls them, with their interfaces there."""

from __future__ import annotations

import os
from collections.abc import Iterator

from ..model.device import Candidate, Device, DeviceBy
from ..model.query import Link
from .netlink import links, on_bus, routes
from .netlink.rtnl_socket import Socket
from .roots import Root

_BUS = "/sys/bus/{}/devices/{}"
_ON_PCI = _BUS.format("pci", "")


def device(sock: Socket, root: Root, query: DeviceBy) -> Device:
    """Raises `KernelError`."""
    if query.way == "path":
        return _at_path(sock, root, query.value)
    if query.way == "name":
        found = links.by_name(sock, query.value)
        known = [found] if found else []
    else:
        known = [link for link in links.everything(sock) if link.mac == query.value]
    return Device(bool(known), candidates=_candidates(sock, known))


def _at_path(sock: Socket, root: Root, path: str) -> Device:
    found = root.find(path)
    if found is None:
        return Device()
    driver = root.find(f"{path}/driver")
    known = sorted(_interfaces(sock, root, path), key=lambda link: link.name)
    return Device(
        True,
        driver.name if driver else "",
        found.name if path.startswith(_ON_PCI) else "",
        _candidates(sock, known),
    )


def _interfaces(sock: Socket, root: Root, path: str) -> Iterator[Link]:
    """Those that stand on the device, or on the virtio device that it is for."""
    own = _identity(root, path)
    for link, bus, name in on_bus.with_devices(sock):
        is_own = own == _identity(root, _BUS.format(bus, name))
        if is_own or (bus == "virtio" and root.find(f"{path}/{name}")):
            yield link


def _identity(root: Root, path: str) -> tuple[int, int] | None:
    """What is the same of all paths that lead to one folder; None where there is none."""
    try:
        fd = root.open(path, os.O_PATH | os.O_DIRECTORY)
    except (OSError, ValueError):
        return None
    try:
        found = os.fstat(fd)
        return found.st_dev, found.st_ino
    finally:
        os.close(fd)


def _candidates(sock: Socket, found: list[Link]) -> tuple[Candidate, ...]:
    return tuple(Candidate(link, routes.is_way_out(sock, link.index)) for link in found)
