"""What the kernel is asked for in one ADD, and how long that takes in a warm process."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import floor
from measure import Row, Samples, medians, quotient

from pynet.daemon.call import Call
from pynet.daemon.serve import Services, serve
from pynet.kernel.roots import OWN
from pynet.kernel.warm import Warm
from pynet.testnets.lab.lab import Container, Lab


def kernel_work(rounds: int) -> Iterator[Row]:
    """What the steps of a bridge ADD take in a warm process, against the least they could.

    The floor sends messages that are known beforehand in two batches: veth pair, port, both
    ends up, address, route. pynet's steps make the same, look first whether the bridge is
    there, and set two sysctls.
    """
    with Lab() as lab:
        host = lab.host("pynet")
        containers = [host.container(f"c{count}") for count in range(2 * rounds + 2)]
        samples = host.call(_steps, containers)
    values = medians(samples)
    ratio = quotient(values, "pynet", "floor")
    yield Row("kernel work of a bridge ADD, daemon's own", "ms", values, ratio, "the floor", "2")


def _steps(containers: Sequence[Container]) -> Samples:
    """Milliseconds of each ADD's steps, and of the floor's, in turns."""
    floor.prepare()
    taken: list[float] = []
    services = Services(
        Path("/run/pynet"), Warm(), timings=lambda _, seconds: taken.append(seconds * 1000)
    )
    samples: Samples = {"pynet": [], "floor": []}
    for mine, its in zip(containers[::2], containers[1::2], strict=True):
        taken.clear()
        _serve_add(services, mine)
        samples["pynet"].append(sum(taken))
        samples["floor"].append(floor.attach(its))
    return {name: values[1:] for name, values in samples.items()}  # the first makes the bridge


def _serve_add(services: Services, container: Container) -> None:
    config = {
        "cniVersion": "1.0.0",
        "name": "bench",
        "type": "bridge",
        "ipam": {
            "type": "host-local",
            "subnet": "10.77.0.0/16",
            "routes": [{"dst": "0.0.0.0/0", "gw": "10.77.0.1"}],
        },
    }
    environ = {
        "CNI_COMMAND": "ADD",
        "CNI_CONTAINERID": container.name,
        "CNI_NETNS": container.path,
        "CNI_IFNAME": "eth0",
    }
    host = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    sandbox = os.open(container.path, os.O_RDONLY)
    try:
        reply = serve(
            Call(
                plugin="bridge",
                environ=environ,
                stdin=json.dumps(config).encode(),
                host=host,
                sandbox=sandbox,
                stderr=2,
                root=OWN,
                accepted=lambda: None,
                cancelled=lambda: False,
            ),
            services,
        )
    finally:
        os.close(sandbox)
        os.close(host)
    if reply.status:
        raise RuntimeError(reply.stdout.decode())
