"""A container's way out: by which of several networks, beside the reference; and how wide it is."""

from __future__ import annotations

import subprocess
from typing import Any

from bridges import config, link
from drive import Runtime
from executables import NEVER, Executables
from references import REFERENCE, needs_reference
from scenes import add, container, in_host, run

from pynet.testnets.lab.lab import Host, Lab


def network(number: int) -> dict[str, Any]:
    ranges = [[{"subnet": f"10.{number}.0.0/24"}], [{"subnet": f"fd00:{number}::/64"}]]
    return {
        "cniVersion": "1.0.0",
        "name": f"net{number}",
        "type": "bridge",
        "bridge": f"br{number}",
        "isDefaultGateway": True,
        "ipam": {"type": "host-local", "ranges": ranges},
    }


def default_routes(host: Host, plugins: Executables) -> dict[str, list[str]]:
    """Of a container on three networks, by IP family."""
    netns = host.container("c1")
    for number in (1, 2, 3):
        interface = {"CNI_IFNAME": f"eth{number}"}
        runtime = Runtime("c1", "/run/netns/c1", environ={**NEVER, **interface})
        outcome = plugins.call(host, "ADD", network(number), runtime)
        assert outcome.status == 0, outcome.stdout
    shown = {}
    for family in ("-4", "-6"):
        command = ["ip", family, "route", "show", "default"]
        told = host.run(command, netns=netns, stdout=subprocess.PIPE).stdout
        shown[family] = told.decode().split()
    return shown


@needs_reference("bridge")
def test_of_several_default_routes_the_same_is_taken_as_with_the_reference(
    lab: Lab, plugins: Executables
) -> None:
    ours = default_routes(lab.host("ours"), plugins)
    assert ours["-4"].index("10.3.0.1") < ours["-4"].index("10.1.0.1")
    assert ours == default_routes(lab.host("theirs"), Executables(REFERENCE))


@in_host
def test_the_way_out_s_mtu_is_not_exceeded() -> None:
    run("ip link add up0 type veth peer name up1")
    for end in ("up0", "up1"):
        run(f"ip link set {end} up")
    run("ip addr add 192.0.2.2/24 dev up0")
    run("ip route add default via 192.0.2.1")
    wide = add(config(isGateway=True), container("c1"))
    assert {one["mtu"] for one in wide["interfaces"]} == {1500}
    for change, mtu in (
        ("ip link set up0 mtu 1450", 1450),
        ("ip route replace default via 192.0.2.1 mtu 1400", 1400),
        ("ip route replace default via 192.0.2.1 mtu 1000", 1280),
    ):
        run(change)
        name = f"c{mtu}"
        result = add(config(isGateway=True), container(name))
        assert [one["mtu"] for one in result["interfaces"][1:]] == [mtu, mtu]
        assert link("eth0", name)["mtu"] == mtu
    asked = add(config(isGateway=True, mtu=1500), container("c9"))
    assert asked["interfaces"][2]["mtu"] == link("eth0", "c9")["mtu"] == 1500
    layer_2 = add(config(), container("c10"))
    assert layer_2["interfaces"][2]["mtu"] == 1500
