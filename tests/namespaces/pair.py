"""Two empty namespaces, a host's and a container's, with `ip` as the oracle."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest

from pynet.kernel import namespaces
from pynet.kernel.world import KernelWorld
from pynet.testnets.lab.lab import Lab

T = TypeVar("T")
NETNS = "/run/netns/c1"


def new_namespace() -> int:
    """A descriptor of a fresh network namespace, which lives as long as something holds it."""

    def make() -> int:
        namespaces.unshare()
        return namespaces.own()

    return in_thread(make)


def open_files() -> set[str]:
    """The numbers of this process's descriptors: a helper may close one at any time."""
    return {path.name for path in Path("/proc/self/fd").iterdir()}


def in_thread(work: Callable[[], T]) -> T:
    """What `work` returns in a thread of its own, which may end up in another namespace."""
    results: list[T] = []
    thread = threading.Thread(target=lambda: results.append(work()))
    thread.start()
    thread.join()
    return results[0]


@dataclass
class Pair:
    host: int
    sandbox: int
    _delete_container: Callable[[], object]

    def replace_sandbox(self) -> None:
        """Another one in its place: nothing of ours keeps the first."""
        os.close(self.sandbox)
        self._delete_container()
        self.sandbox = new_namespace()

    def ip(self, where: int, *arguments: str) -> Any:
        """`ip -j -d ARGUMENTS` in that namespace, parsed."""
        said = self.run(where, "ip", "-j", "-d", *arguments)
        return json.loads(said or "[]")

    def link(self, where: int, name: str) -> dict[str, Any]:
        (found,) = self.ip(where, "link", "show", "dev", name)
        assert isinstance(found, dict)
        return found

    @staticmethod
    def run(where: int, *command: str) -> bytes:
        # The child inherits the namespace of the thread that forks it.
        with namespaces.entered(where):
            return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout

    def world(self, **options: Any) -> KernelWorld:
        given = {"netns": NETNS, "our_plugins": frozenset({"bridge"})}
        return KernelWorld(self.host, self.sandbox, **{**given, **options})


@contextmanager
def fresh_pair(lab: Lab) -> Iterator[Pair]:
    if os.geteuid():
        pytest.skip("needs root, to enter a lab's network namespaces in this process")
    host = lab.host("host")
    sandbox = host.container("c1")
    paths = (f"/proc/{host.pid}/ns/net", f"/proc/{host.pid}/root{sandbox.path}")
    one, other = (os.open(path, os.O_RDONLY | os.O_CLOEXEC) for path in paths)
    pair = Pair(one, other, partial(host.delete_container, sandbox))
    try:
        yield pair
    finally:
        os.close(pair.host)
        os.close(pair.sandbox)
