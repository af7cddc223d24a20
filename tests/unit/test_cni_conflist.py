"""Network configuration lists: reading them, finding one, and what each plugin is given."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pynet.cni import conflist
from pynet.cni.conflist import NetworkList, find_network, parse_list, plugin_config, single
from pynet.model.errors import ConfigError, DecodingError
from pynet.model.request import Command

BRIDGE = {"type": "bridge", "capabilities": {"mac": True, "ips": False}, "note": {"A": 1}}
PORTMAP = {"type": "portmap", "capabilities": {"portMappings": True}}
LIST: dict[str, Any] = {"name": "net", "cniVersion": "1.1.0", "plugins": [BRIDGE, PORTMAP]}
NET = NetworkList("net", "1.1.0", (BRIDGE, PORTMAP))


def raw(document: Any) -> bytes:
    return json.dumps(document).encode()


# --- reading ---------------------------------------------------------------------------


def test_a_list_is_read() -> None:
    assert parse_list(LIST) == NET


def test_the_version_is_the_highest_we_speak() -> None:
    config = LIST | {"cniVersion": "0.4.0", "cniVersions": ["1.0.0", "2.0.0"]}
    assert parse_list(config).cni_version == "1.0.0"


@pytest.mark.parametrize("yes", [True, "true", "TRUE"])
@pytest.mark.parametrize("no", [False, "false", "False"])
def test_flags_may_be_strings(yes: Any, no: Any) -> None:
    network = parse_list(
        LIST | {"disableCheck": yes, "disableGC": no, "loadOnlyInlinedPlugins": yes}
    )
    assert (network.disable_check, network.disable_gc) == (True, False)
    assert network.load_only_inlined_plugins


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"name": None}, "name"),
        ({"name": "../etc"}, "name"),
        ({"plugins": []}, "plugins"),
        ({"plugins": None}, "plugins"),
        ({"plugins": [1]}, "plugins"),
        ({"plugins": [{}]}, "type"),
        ({"plugins": [{"type": "../sh"}]}, "type"),
        ({"plugins": [{"type": 5}]}, "type"),
        ({"disableGC": "yes"}, "disableGC"),
        ({"disableCheck": 1}, "disableCheck"),
    ],
)
def test_a_wrong_list_is_named_by_its_key(changes: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError, match=key):
        parse_list(LIST | changes)


def test_a_version_that_is_no_string_is_an_error() -> None:
    with pytest.raises(DecodingError, match="cniVersion"):
        parse_list(LIST | {"cniVersion": 1})


def test_a_single_configuration_becomes_a_list_of_one() -> None:
    config = {"name": "old", "type": "bridge", "mtu": 1}
    assert single(config) == NetworkList("old", "0.1.0", (config,))


# --- plugins from other files -------------------------------------------------------------

FILES = [
    ("net/20-b.conf", raw({"type": "firewall"})),
    ("net/10-a.conf", raw({"type": "tuning"})),
    ("net/readme.txt", b"not JSON"),
    ("other/10.conf", b"not JSON"),
]


def test_plugins_of_the_networks_directory_follow_in_lexical_order() -> None:
    network = conflist.read_file("10.conflist", raw(LIST), FILES)
    assert [one["type"] for one in network.plugins] == ["bridge", "portmap", "tuning", "firewall"]


def test_a_list_may_have_all_its_plugins_there() -> None:
    network = conflist.read_file("10.conflist", raw({"name": "net"}), FILES)
    assert [one["type"] for one in network.plugins] == ["tuning", "firewall"]


def test_only_inlined_plugins_when_told_so() -> None:
    config = LIST | {"loadOnlyInlinedPlugins": True}
    assert len(conflist.read_file("10.conflist", raw(config), FILES).plugins) == 2
    del config["plugins"]
    with pytest.raises(ConfigError, match="plugins"):
        parse_list(config)


def test_a_network_without_any_plugin_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"^10\.conflist: network net has no plugins"):
        conflist.read_file("10.conflist", raw({"name": "net"}))


def test_each_file_there_needs_a_type() -> None:
    with pytest.raises(ConfigError, match=r"net/5\.conf: type: missing"):
        conflist.read_file("10.conflist", raw(LIST), [("net/5.conf", b"{}")])


# --- finding -------------------------------------------------------------------------


def test_the_first_list_by_file_name_wins() -> None:
    files = [("20.conflist", raw(LIST | {"cniVersion": "0.4.0"})), ("10.conflist", raw(LIST))]
    assert find_network("net", files) == NET


def test_lists_come_before_single_configurations() -> None:
    one = raw({"name": "net", "type": "ptp"})
    assert find_network("net", [("05.conf", one), ("10.conflist", raw(LIST))]) == NET


@pytest.mark.parametrize("suffix", ["conf", "json"])
def test_single_configurations_are_found(suffix: str) -> None:
    files = [
        ("10.conflist", raw(LIST)),
        (f"15.{suffix}", raw({"type": "nameless"})),
        (f"20.{suffix}", raw({"name": "old", "type": "ptp"})),
    ]
    assert find_network("old", files).plugins[0]["type"] == "ptp"


def test_a_broken_earlier_file_stops_the_search_and_is_named() -> None:
    with pytest.raises(DecodingError, match=r"^05\.conflist: "):
        find_network("net", [("05.conflist", b"{"), ("10.conflist", raw(LIST))])
    with pytest.raises(DecodingError, match=r"^05\.conflist: cniVersions"):
        find_network("net", [("05.conflist", raw(LIST | {"cniVersions": 1}))])


def test_a_broken_later_file_does_not_matter() -> None:
    assert find_network("net", [("10.conflist", raw(LIST)), ("20.conflist", b"{")]) == NET


def test_other_files_and_folders_are_not_searched() -> None:
    files = [("net.txt", raw(LIST)), ("sub/10.conflist", raw(LIST)), ("10.conflist.bak", b"")]
    with pytest.raises(ConfigError, match='no network configuration with the name "net"'):
        find_network("net", files)


# --- running ----------------------------------------------------------------------------


def test_a_plugin_is_given_name_version_and_what_it_declares() -> None:
    given = {"mac": "x", "ips": ["y"], "portMappings": []}
    assert plugin_config(NET, BRIDGE, runtime_args=given) == {
        "type": "bridge",
        "note": {"A": 1},
        "name": "net",
        "cniVersion": "1.1.0",
        "runtimeConfig": {"mac": "x"},
    }
    assert plugin_config(NET, PORTMAP, runtime_args=given)["runtimeConfig"] == {"portMappings": []}


def test_nothing_declared_leaves_runtime_config_out() -> None:
    assert "runtimeConfig" not in plugin_config(NET, {"type": "x"}, runtime_args={"mac": "x"})
    assert "runtimeConfig" not in plugin_config(NET, BRIDGE)


def test_capabilities_are_removed_in_any_case_and_the_list_stays_as_it_was() -> None:
    plugin = {"type": "x", "Capabilities": {"mac": True}}
    config = plugin_config(NET, plugin, runtime_args={"mac": "x"})
    assert "Capabilities" not in config and config["runtimeConfig"] == {"mac": "x"}
    assert plugin == {"type": "x", "Capabilities": {"mac": True}}


@pytest.mark.parametrize(
    ("command", "version", "given"),
    [
        ("ADD", "0.1.0", True),
        ("CHECK", "0.4.0", True),
        ("DEL", "0.3.1", False),
        ("DEL", "0.4.0", True),
        ("GC", "1.1.0", False),
        ("STATUS", "1.1.0", False),
    ],
)
def test_who_is_given_a_result(command: str, version: str, given: bool) -> None:
    network = NetworkList("net", version, (BRIDGE,))
    config = plugin_config(network, BRIDGE, {"ips": []}, command=Command(command))
    assert config.get("prevResult") == ({"ips": []} if given else None)
    assert "prevResult" not in plugin_config(network, BRIDGE, command=Command(command))


def test_gc_is_given_the_living_and_an_empty_list_is_given_too() -> None:
    config = plugin_config(NET, BRIDGE, command=Command.GC, valid_attachments=[("c", "eth0")])
    living = [{"containerID": "c", "ifname": "eth0"}]
    assert config["cni.dev/valid-attachments"] == config["cni.dev/attachments"] == living
    none = plugin_config(NET, BRIDGE, command=Command.GC, valid_attachments=[])
    assert none["cni.dev/valid-attachments"] == []
    assert "cni.dev/valid-attachments" not in plugin_config(NET, BRIDGE, command=Command.GC)


def test_a_del_goes_backwards() -> None:
    assert conflist.executions(NET, Command.DEL) == (PORTMAP, BRIDGE)
    for command in (Command.ADD, Command.CHECK, Command.GC, Command.STATUS):
        assert conflist.executions(NET, command) == (BRIDGE, PORTMAP)


def test_what_is_switched_off_runs_nothing() -> None:
    network = NetworkList("net", "1.1.0", (BRIDGE,), disable_check=True, disable_gc=True)
    ran = {command for command in Command if conflist.executions(network, command)}
    assert ran.isdisjoint({Command.CHECK, Command.GC}) and Command.DEL in ran


def test_gc_alone_goes_on_after_an_error() -> None:
    assert not conflist.stops_at_first_error(Command.GC)
    assert all(map(conflist.stops_at_first_error, set(Command) - {Command.GC}))
