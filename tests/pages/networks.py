"""A page's JSON as whole networks: a plugin, or a part of one, gets what it lacks."""

from __future__ import annotations

import json
from typing import Any

from pynet.testnets.lab.host import Host

Config = dict[str, Any]

_MAIN = ("bridge", "loopback")
_SUBNET = {"type": "host-local", "ranges": [[{"subnet": "10.1.0.0/24"}]]}
_BRIDGE = {"type": "bridge", "bridge": "cni0", "isDefaultGateway": True, "ipam": _SUBNET}
_PORTS = '{"portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]}'


def network(text: str) -> Config:
    """The network that this JSON is, or is a plugin or a key of. Raises ValueError."""
    found: Config = json.loads(text if text.lstrip().startswith("{") else f"{{{text}}}")
    if "plugins" in found:
        return found
    if "type" not in found:
        return _of({"type": "bridge", "bridge": "cni0", **found})
    return _of(found) if found["type"] in _MAIN else _of(_BRIDGE, found)


def _of(*plugins: Config) -> Config:
    return {"cniVersion": "1.1.0", "name": "web", "plugins": list(plugins)}


def _mode(config: Config) -> str:
    """A lease that is kept needs an agent, which is left behind then, and ends with the host."""
    kept = any(plugin.get("ipam", {}).get("type") == "dhcp" for plugin in config["plugins"])
    return "auto" if kept else "never"


def use(host: Host, text: str, pynet: str) -> list[str]:
    """What is wrong with it: validated, then a container is attached, checked and detached."""
    config = network(text)
    name = config["name"]
    host.run(["mkdir", "-p", "/etc/cni/net.d"])
    file = f"/etc/cni/net.d/10-{name}.conflist"
    host.run(["install", "-m", "644", "/dev/stdin", file], input=json.dumps(config).encode())
    host.container("c1")
    steps = (
        ["network", "validate"],
        *(["cni", verb, name, "c1"] for verb in ("add", "check", "del")),
    )
    wrong = []
    for step in steps:
        environ = {"PYNET_DAEMON": _mode(config), "CAP_ARGS": _PORTS}
        done = host.run([pynet, *step], env=environ, check=False)
        if done.returncode:
            wrong.append(f"{' '.join(step)}: {(done.stdout + done.stderr).decode()}")
    return wrong
