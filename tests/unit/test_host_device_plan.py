"""host-device's plan: which question finds the device, and what follows from the answer."""

from __future__ import annotations

from typing import Any

import pytest

from pynet.cni.config import parse_model
from pynet.model.device import Candidate, Device, DeviceBy
from pynet.model.errors import Away, ConfigError
from pynet.model.plan import Plan
from pynet.model.query import Link
from pynet.model.request import Request
from pynet.model.resources import MovedLink
from pynet.plugins.host_device import HostDevice, HostDeviceConf
from pynet.testing import request, seen

PCI = "/sys/bus/pci/devices/0000:03:00.0"
AUXILIARY = "/sys/bus/auxiliary/devices/mlx5_core.sf.4"
DEEP = "/sys/devices/pci0000:00/0000:03:00.0"
CARD = Link(7, "card0", "", "02:00:00:00:70:00", 9000, up=False)


def asked(**config: Any) -> Request:
    return request(HostDevice(), config)


def found(*links: Link, driver: str = "ixgbevf", pci: str = "") -> Device:
    return Device(True, driver, pci, tuple(Candidate(link, is_way_out=False) for link in links))


def plan(question: Request, *answers: tuple[str, str, Device]) -> Plan:
    known = {DeviceBy(way=way, value=value): device for way, value, device in answers}  # type: ignore[arg-type]
    return HostDevice().plan(question, seen(known))


@pytest.mark.parametrize(
    ("config", "way", "value"),
    [
        ({"device": "card0"}, "name", "card0"),
        ({"hwaddr": "02-00-00-00-70-00"}, "mac", "02:00:00:00:70:00"),
        ({"hwaddr": "0200.0000.7000"}, "mac", "02:00:00:00:70:00"),
        ({"pciBusID": "0000:03:00.0"}, "path", PCI),
        ({"kernelpath": DEEP + "/"}, "path", DEEP),
    ],
)
def test_each_key_asks_its_own_question(config: dict[str, Any], way: str, value: str) -> None:
    made = plan(asked(**config), (way, value, found(CARD)))
    (link,) = [each for each in made.resources if isinstance(each, MovedLink)]
    assert (link.name, link.inner, link.mac, link.mtu) == ("card0", "eth0", CARD.mac, 9000)
    assert made.result.interfaces[0].mtu == 9000


def test_a_device_of_the_runtimes_overrides_and_may_be_on_either_bus() -> None:
    nowhere = Device()
    for name, pci, auxiliary in (
        ("0000:03:00.0", found(CARD, pci="0000:03:00.0"), nowhere),
        ("mlx5_core.sf.4", nowhere, found(CARD)),
    ):
        question = asked(device="another", runtimeConfig={"deviceID": name})
        made = plan(
            question,
            ("path", f"/sys/bus/pci/devices/{name}", pci),
            ("path", f"/sys/bus/auxiliary/devices/{name}", auxiliary),
        )
        assert made.result.interfaces[0].pci_id == pci.pci
        assert isinstance(made.resources[0], MovedLink)


def test_of_several_interfaces_the_first_is_taken() -> None:
    other = Link(3, "card9", "", "02:00:00:00:70:09", 1500, up=True)
    made = plan(asked(pciBusID="0000:03:00.0"), ("path", PCI, found(CARD, other)))
    assert made.resources[0].key == "moved-link\tcard0"


@pytest.mark.parametrize(
    ("driver", "pci", "config", "moves"),
    [
        ("vfio-pci", "0000:03:00.0", {}, False),
        ("uio_pci_generic", "0000:03:00.0", {}, False),
        ("igb_uio", "0000:03:00.0", {}, False),
        ("ixgbevf", "0000:03:00.0", {"dpdkMode": True}, True),
        ("", "", {"dpdkMode": True}, False),
    ],
)
def test_what_is_left_to_a_program(driver: str, pci: str, config: Any, moves: bool) -> None:
    answer = found(CARD, driver=driver, pci=pci)
    made = plan(asked(pciBusID="0000:03:00.0", **config), ("path", PCI, answer))
    assert bool(made.resources) == bool(made.result.interfaces) == moves


def test_what_is_not_there_may_be_lent() -> None:
    with pytest.raises(Away) as lent:
        plan(asked(device="card0"), ("name", "card0", Device()))
    assert lent.value.key == MovedLink(name="card0", inner="eth1").key
    with pytest.raises(Away) as unknown:
        plan(asked(pciBusID="0000:03:00.0"), ("path", PCI, found()))
    assert (unknown.value.kind, unknown.value.key) == ("moved-link", "")


def test_the_way_out_stays() -> None:
    device = Device(True, "", "", (Candidate(CARD, is_way_out=True),))
    with pytest.raises(ConfigError, match="a default route of the host leads by card0"):
        plan(asked(device="card0"), ("name", "card0", device))


@pytest.mark.parametrize(
    "keys",
    [("device", "hwaddr"), ("hwaddr", "kernelpath"), ("kernelpath", "pciBusID"),
     ("device", "hwaddr", "kernelpath", "pciBusID")],
)  # fmt: skip
def test_one_name_is_enough(keys: tuple[str, ...]) -> None:
    values = {"device": "card0", "hwaddr": CARD.mac, "kernelpath": DEEP, "pciBusID": PCI[21:]}
    config = {key: values[key] for key in keys}
    with pytest.raises(ConfigError, match=" and ".join(keys) + " each name a device"):
        parse_model(HostDeviceConf, {"name": "n", "type": "host-device", **config})
