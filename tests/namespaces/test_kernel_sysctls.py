"""Sysctls in real namespaces: each namespace's own, and only below net."""

from __future__ import annotations

import pytest
from pair import Pair

from pynet.kernel import namespaces, sysctls
from pynet.kernel.procfs import Procfs
from pynet.kernel.world import KernelWorld
from pynet.model.errors import ConfigError, KernelError
from pynet.model.query import HasIpv6, SysctlValue
from pynet.model.resources import Forwarding, Sysctl
from pynet.testnets.lab.lab import Host

FORWARD = "ipv4/ip_forward"


def test_a_setting_is_of_one_namespace_alone(world: KernelWorld, pair: Pair) -> None:
    resource = Sysctl(setting="ipv4/conf/lo/arp_notify", value="1", place="sandbox")
    assert world.previous(resource) == "0"
    assert not world.exists(resource)
    world.create([resource])
    assert world.exists(resource)
    assert world.verify(resource) == []
    assert sysctls.read(pair.host, resource.setting) == "0"
    assert pair.run(pair.sandbox, "sysctl", "-n", "net.ipv4.conf.lo.arp_notify") == b"1\n"
    world.delete([(resource, "0")])
    (drift,) = world.verify(resource)
    assert str(drift) == "sysctl net/ipv4/conf/lo/arp_notify: value is 0, should be 1"
    world.delete([(resource, None)])


def test_in_its_own_namespace_a_thread_needs_no_right_to_enter_one(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(fd: int) -> None:
        raise AssertionError("entered a namespace")

    def work() -> str | None:
        own = namespaces.own()
        monkeypatch.setattr(namespaces, "setns", refuse)
        sysctls.write(own, FORWARD, "1")
        return sysctls.read(own, FORWARD)

    assert host.call(work) == "1"


def test_a_key_the_kernel_lacks_is_an_error_unless_it_is_optional(world: KernelWorld) -> None:
    gone = Sysctl(setting="ipv6/conf/eth7/accept_ra", value="0")
    with pytest.raises(KernelError, match=r"net/ipv6/conf/eth7/accept_ra.*no such key"):
        world.create([gone])
    assert len(world.verify(gone)) == 1
    optional = Sysctl(setting=gone.setting, value="0", optional=True)
    world.create([optional])
    assert world.verify(optional) == []
    assert world.previous(optional) is None
    world.delete([(optional, "1")])


def test_a_value_the_kernel_refuses_is_an_error_even_if_optional(world: KernelWorld) -> None:
    for optional in (False, True):
        with pytest.raises(KernelError, match="does not accept the value"):
            world.create([Sysctl(setting=FORWARD, value="much", optional=optional)])


def test_a_read_only_proc_is_named(host: Host) -> None:
    host.run(["mount", "--bind", "-o", "ro", "/proc/sys", "/proc/sys"])
    with pytest.raises(KernelError, match="/proc/sys is mounted read-only here"):
        host.call(_write, False)
    assert host.call(_write, True) == "0"


def test_a_missing_proc_is_named(host: Host) -> None:
    host.run(["mount", "-t", "tmpfs", "none", "/proc/sys"])
    with pytest.raises(KernelError, match="is /proc mounted"):
        host.call(_write, False)
    assert host.call(_write, True) is None


def _write(optional: bool) -> str | None:
    own = namespaces.own()
    sysctls.write(own, FORWARD, "1", optional=optional)
    return sysctls.read(own, FORWARD)


@pytest.mark.parametrize("family", [4, 6])
def test_forwarding_is_turned_on_for_one_family_of_the_host(
    world: KernelWorld, pair: Pair, family: int
) -> None:
    resource, other = Forwarding(family=family), Forwarding(family=10 - family)
    assert not world.exists(resource)
    world.create([resource])
    world.create([resource])
    assert world.exists(resource)
    assert world.verify(resource) == []
    assert not world.exists(other)
    assert len(world.verify(other)) == 1
    assert sysctls.read(pair.sandbox, FORWARD) == "0"


def test_spacing_is_no_difference(world: KernelWorld) -> None:
    resource = Sysctl(setting="ipv4/ip_local_port_range", value="30000  40000", place="sandbox")
    world.create([resource])
    assert world.verify(resource) == []


def test_both_spellings_of_a_key_are_answered(world: KernelWorld) -> None:
    assert world.look(SysctlValue("ipv4.ip_forward")) == "0"
    assert world.look(SysctlValue("ipv4/ip_forward", "sandbox")) == "0"
    assert world.look(SysctlValue("ipv4/no_such_thing")) is None
    assert world.look(SysctlValue("ipv4/conf")) is None
    assert sysctls.path("ipv4.conf.eth0/100.rp_filter").endswith("/ipv4/conf/eth0.100/rp_filter")
    assert sysctls.path("ipv4/conf/eth0.100/rp_filter").endswith("/ipv4/conf/eth0.100/rp_filter")


def test_whether_a_link_has_ipv6_is_told_without_its_sysctl(world: KernelWorld, pair: Pair) -> None:
    assert world.look(HasIpv6("lo", "sandbox"))
    sysctls.write(pair.sandbox, "ipv6/conf/lo/disable_ipv6", "1")
    assert not world.look(HasIpv6("lo", "sandbox"))
    assert world.look(HasIpv6("lo"))
    assert not world.look(HasIpv6("no-such-link", "sandbox"))


@pytest.mark.parametrize(
    "key", ["", "ipv4", "../kernel/hostname", "ipv4/../../kernel/x", "/etc/passwd", "ipv4//x",
            "ipv4/./x", "ipv4/x\0y", "..kernel"]
)  # fmt: skip
def test_what_leads_out_of_net_is_refused(world: KernelWorld, key: str) -> None:
    with pytest.raises(ConfigError, match="not a path below /proc/sys/net"):
        world.look(SysctlValue(key))
    with pytest.raises(ConfigError, match="not a path below /proc/sys/net"):
        world.create([Sysctl(setting=key, value="1", optional=True)])


def test_a_procfs_of_our_own_shows_each_thread_its_namespace(pair: Pair) -> None:
    """And goes on doing so past the looks after which another takes its place."""
    procfs = Procfs()
    sysctls.write(pair.sandbox, "ipv4/conf/lo/arp_notify", "1")
    for _ in range(50):
        for place, value in ((pair.host, "0"), (pair.sandbox, "1")):
            folders = sysctls.Folders(procfs)
            assert sysctls.read(place, "ipv4/conf/lo/arp_notify", folders) == value
            folders.close()
