"""vrf on whatever kernel: one that makes no VRFs is told so, and nothing is left."""

from __future__ import annotations

import drive
from chains import with_result
from evidence import inside, nothing_left
from scenes import add, call, container, in_host, refused, succeed


@in_host
def test_a_kernel_without_vrfs_is_one_error() -> None:
    runtime = container("c1")
    config = with_result(drive.VRF, add(drive.BRIDGE, runtime))
    before = inside("c1")
    if call("ADD", config, runtime).status:
        refused(102, "this kernel makes no links of kind vrf|modprobe vrf", "ADD", config, runtime)
    succeed("DEL", config, runtime)
    assert nothing_left(before, inside("c1")) == []
