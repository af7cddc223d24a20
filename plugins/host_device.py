"""`host-device`: lends an interface of the host's to the container, and takes it back.

Keys and results are the reference plugin's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, NamedTuple

from msgspec.structs import replace

from ..cni.keys import get
from ..cni.names import interface_problem
from ..cni.net_conf import NetConf
from ..cni.section import Clash, Unfit
from ..model.device import Device, DeviceBy
from ..model.errors import Away, Code, ConfigError
from ..model.plan import Plan
from ..model.query import Link, Seen
from ..model.request import Request
from ..model.resource import Resource
from ..model.resources import MovedLink
from ..model.result import Address, Interface, Result
from . import container_link
from .container_link import ContainerLinkPlugin, macs_left
from .delegation import foreign_ipam, ipam_status, ipam_type, plan_addresses
from .mac import asked_mac

_PCI = "/sys/bus/pci/devices/"
_AUXILIARY = "/sys/bus/auxiliary/devices/"
_DEVICES = "/sys/devices/"
_PCI_ADDRESS = re.compile(r"[0-9a-f]{4,}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")
_FOR_PROGRAMS = frozenset({"igb_uio", "uio_pci_generic", "vfio-pci"})
"""Drivers that leave a device to a program (DPDK): there is no interface then."""


def _hardware_address(text: str) -> str:
    """As the kernel writes it; of Ethernet, EUI-64 or InfiniBand."""
    digits = re.sub(r"[:.-]", "", text.lower())
    if text and not re.fullmatch(r"[0-9a-f]{12}(?:[0-9a-f]{4}|[0-9a-f]{28})?", digits):
        raise Unfit("is not a hardware address (six bytes as in 02:..)")
    return ":".join(digits[at : at + 2] for at in range(0, len(digits), 2))


def _pci_address(text: str) -> str:
    if text and not _PCI_ADDRESS.fullmatch(text.lower()):
        raise Unfit("is not a PCI address (as in 0000:03:00.0)")
    return text.lower()


def _device_path(text: str) -> str:
    path = text.rstrip("/")
    if text and (not path.startswith(_DEVICES) or ".." in path.split("/") or "\0" in path):
        raise Unfit(f"is not the path of a device below {_DEVICES}")
    return path


class HostDeviceConf(NetConf):
    device: str = ""
    hwaddr: Annotated[str, _hardware_address] = ""
    kernelpath: Annotated[str, _device_path] = ""
    pciBusID: Annotated[str, _pci_address] = ""
    dpdkMode: bool = False

    def check(self) -> None:
        if self.device and (problem := interface_problem(self.device)):
            raise ValueError(f'device: "{self.device}" {problem}')
        if len(given := [key for key, value, _ in _keys(self) if value]) > 1:
            raise Clash(f"{' and '.join(given)} each name a device; give one of them", *given)


class HostDevice(ContainerLinkPlugin):
    name = "host-device"
    about = "lends an interface of the host's to the container"
    config = HostDeviceConf
    knows_leftovers = True

    def plan(self, request: Request, seen: Seen) -> Plan:
        asked = _asked(request) or _configured(request.conf)
        if asked is None:
            raise ConfigError("one of device, hwaddr, kernelpath and pciBusID has to be given")
        seen.together(*asked.questions, *container_link.questions(request))
        found = asked.answer(seen)
        if _is_for_a_program(request, found):
            return _without_interface(request, seen)
        link = _lendable(asked, found)
        lent = MovedLink(name=link.name, inner=request.interface, mac=link.mac, mtu=link.mtu)
        told = Interface(
            lent.inner, mac=lent.mac, mtu=lent.mtu, sandbox=request.netns, pci_id=found.pci
        )
        plan = container_link.plan(request, seen, lent, told)
        if (mac := asked_mac(request)) in ("", link.mac):
            return plan
        note = f"mac {mac} has no effect: {link.name} has its own, {link.mac}; tuning sets one"
        return replace(plan, notes=(*plan.notes, note))

    def status(self, request: Request, seen: Seen) -> None:
        """Of a device that only a runtime names nothing is known here."""
        ipam_status(request, seen)
        if asked := _configured(request.conf):
            try:
                found = asked.answer(seen)
                if not _is_for_a_program(request, found):
                    _lendable(asked, found)
            except ConfigError as error:
                error.code = Code.NOT_AVAILABLE
                raise

    def leftovers(self, request: Request) -> Iterable[Resource]:
        name = request.conf.device if request.conf else ""
        if name:
            yield MovedLink(name=name, inner=request.interface, left=True)
        for mac in () if name else macs_left(request, ""):
            yield MovedLink(name="", inner=request.interface, mac=mac, left=True)
        yield from self.pools(request)


# --- which device it is ---------------------------------------------------------------------------


class _Asked(NamedTuple):
    """What names the device, in words, and the questions of which one finds it."""

    key: str
    value: str
    questions: tuple[DeviceBy, ...]

    def answer(self, seen: Seen) -> Device:
        """Raises `ConfigError` where there is no such device."""
        for question in self.questions:
            if (found := seen[question]).there:
                return found
        raise self.away(f"there is no {'interface' if self.by_name else 'device'} {self.value}")

    @property
    def by_name(self) -> bool:
        return self.key == "device"

    def away(self, words: str) -> Away:
        """An error that has the engine look who has it."""
        key = MovedLink(name=self.value, inner="").key if self.by_name else ""
        return Away(f"{self.key}: {words} on the host", MovedLink.kind, key)


def _asked(request: Request) -> _Asked | None:
    """What a runtime gives overrides what is configured; it is on one bus or the other."""
    name = get(request.runtime_config, "deviceID") or ""
    if not name:
        return None
    if not isinstance(name, str) or "/" in name or "\0" in name or name in (".", ".."):
        raise ConfigError(f"runtimeConfig.deviceID: {name!r} is not the name of a device on a bus")
    paths = tuple(DeviceBy(way="path", value=bus + name) for bus in (_PCI, _AUXILIARY))
    return _Asked("runtimeConfig.deviceID", name, paths)


def _configured(conf: HostDeviceConf) -> _Asked | None:
    return next((_Asked(key, value, (by,)) for key, value, by in _keys(conf) if value), None)


def _keys(conf: HostDeviceConf) -> tuple[tuple[str, str, DeviceBy], ...]:
    """What names a device: key, value, question."""
    return (
        ("device", conf.device, DeviceBy(way="name", value=conf.device)),
        ("hwaddr", conf.hwaddr, DeviceBy(way="mac", value=conf.hwaddr)),
        ("kernelpath", conf.kernelpath, DeviceBy(way="path", value=conf.kernelpath)),
        ("pciBusID", conf.pciBusID, DeviceBy(way="path", value=_PCI + conf.pciBusID)),
    )


def _lendable(asked: _Asked, found: Device) -> Link:
    """Its interface. Raises `ConfigError` where there is none, or the host can't spare it."""
    if not found.candidates:
        driver = found.driver or "none"
        raise asked.away(f"{asked.value} (driver: {driver}) has no interface")
    link, is_way_out = found.candidates[0].link, found.candidates[0].is_way_out
    if link.name == "lo":
        raise ConfigError(f"{asked.key}: lo belongs to the host, and every container has its own")
    if is_way_out:
        raise ConfigError(
            f"{asked.key}: a default route of the host leads by {link.name}; give another, or"
            f" remove that first: `ip route show default dev {link.name}`"
        )
    return link


# --- without an interface -------------------------------------------------------------------------


def _is_for_a_program(request: Request, found: Device) -> bool:
    """Of a PCI device its driver tells, as with the reference plugin."""
    if found.pci:
        return found.driver in _FOR_PROGRAMS
    conf: HostDeviceConf = request.conf
    return conf.dpdkMode


def _without_interface(request: Request, seen: Seen) -> Plan:
    """Addresses are leased, and it is the program's business to use them."""
    foreign_ipam(request, seen)
    dns = request.conf.dns.to_dns()
    if not ipam_type(request):
        return Plan((), Result(dns=dns))
    leased = plan_addresses(request, seen, tuple)
    ips = tuple(Address(ip.address, ip.gateway) for ip in leased.result.ips)
    return Plan(leased.resources, replace(leased.result, ips=ips, dns=dns or leased.result.dns))
