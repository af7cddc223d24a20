"""Labs that stand: a file for each, by which other commands of the same user find it.

A file says which process holds the lab. Where that process is gone the lab is gone, too, however
it ended, and whoever reads the file next removes it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import signal
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from difflib import get_close_matches
from pathlib import Path
from select import POLLIN, poll
from typing import TYPE_CHECKING, Any

from ..lab.births import born_at
from ..lab.forked import LabError
from ..lab.networks import NETWORKS

if TYPE_CHECKING:
    from ..live.testnet import Testnet

NAME_RULE = "up to 63 letters, digits, '-', '_' and '.'"
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}")


@dataclass(frozen=True)
class Door:
    """Where a node is: its host's process, for us and inside the lab, and its network namespace.

    A switch has no host of its own: its process is the lab's holder, which has not even a name
    (`named`). `netns` is a path in the process's mount namespace, "" for its own network. `user`
    is whether the lab has a user namespace, which has to be entered first.
    """

    pid: int
    inner_pid: int
    netns: str = ""
    user: bool = False
    named: bool = True


@dataclass(frozen=True)
class Standing:
    """A lab that stands. `since` is in seconds of the epoch; `state` is for `Testnet.attach`.

    `pid` is its holder, and `born` tells that process from a later one of the same number.
    """

    name: str
    file: str
    pid: int
    born: str
    since: float
    nodes: int = 0
    containers: int = 0
    doors: Mapping[str, Door] = field(default_factory=dict)
    links: tuple[str, ...] = ()
    state: Mapping[str, Any] = field(default_factory=dict)

    @property
    def stands(self) -> bool:
        """Whether its holder lives."""
        return born_at(self.pid) == self.born

    def door(self, node: str) -> Door:
        """Raises `LabError` where the lab has no such node that a command could run in."""
        if node not in self.doors:
            near = _near(node, self.doors)
            raise LabError(
                f"lab {self.name} has no node {node!r}; it has {', '.join(self.doors)}{near}"
            )
        return self.doors[node]


class Registry:
    """The labs of this user that stand, each a file in `directory`."""

    def __init__(self, directory: Path | None = None) -> None:
        self.directory = directory or _directory()
        self._is_given = directory is not None

    def __iter__(self) -> Iterator[Standing]:
        """Those that stand, by name; files of others are removed."""
        for path in sorted(self.directory.glob("*.json")):
            if found := self.find(path.stem):
                yield found

    def find(self, name: str) -> Standing | None:
        """The lab of that name, where one stands."""
        if not NAME.fullmatch(name):
            return None
        path = self._path(name)
        try:
            found = _read(path)
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, KeyError):
            found = None  # half a file, or another version's: nobody can take that lab up
        if found and found.stands:
            return found
        path.unlink(missing_ok=True)
        return None

    def get(self, name: str) -> Standing:
        """The lab of that name. Raises `LabError` that says which ones stand."""
        if found := self.find(name):
            return found
        names = [standing.name for standing in self]
        there = f"; there is {', '.join(names)}" if names else ""
        near = _near(name, names)
        raise LabError(
            f"no lab {name!r} stands{there}{near}{' ' if near else '; '}"
            "`pynet testnet up FILE --detach` makes one"
        )

    def record(self, standing: Standing) -> None:
        """Write its file, in one step."""
        self._prepare()
        path = self._path(standing.name)
        draft = path.with_suffix(f".{os.getpid()}")
        try:
            draft.write_text(json.dumps(asdict(standing)))
            draft.replace(path)
        except OSError as error:
            draft.unlink(missing_ok=True)
            error.filename = str(path)  # a refused write names no file
            raise

    def forget(self, standing: Standing) -> None:
        """Remove its file, unless another lab has that name by now."""
        found = self.find(standing.name)
        if found and (found.pid, found.born) == (standing.pid, standing.born):
            self._path(standing.name).unlink(missing_ok=True)

    def end(self, standing: Standing) -> None:
        """Kill the lab; when this returns none of its processes is left."""
        with contextlib.suppress(ProcessLookupError):
            holder = os.pidfd_open(standing.pid)
            try:
                # Asked after it was opened: the number may be another process's by now.
                if standing.stands:
                    signal.pidfd_send_signal(holder, signal.SIGKILL)
                    wait_for_end(holder)
            finally:
                os.close(holder)
        self.forget(standing)

    @contextlib.contextmanager
    def changing(self, name: str) -> Iterator[None]:
        """Alone while the lab of that name is made or changed.

        Raises `LabError` where another command does that, and for what can't be a name.
        """
        if not NAME.fullmatch(name):
            raise LabError(f"{name!r} can't be a lab's name: {NAME_RULE}; --name gives another")
        self._prepare()
        path = self.directory / f"{name}.lock"
        lock = _locked(path)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
            os.close(lock)

    def _prepare(self) -> None:
        if not self._is_given:
            _make(self.directory)

    def _path(self, name: str) -> Path:
        return self.directory / f"{name}.json"


def wait_for_end(*pidfds: int) -> None:
    """Until one of these processes has ended."""
    waiting = poll()
    for pidfd in pidfds:
        waiting.register(pidfd, POLLIN)
    waiting.poll()


def described(testnet: Testnet, name: str, file: str, since: float) -> Standing:
    """What is recorded of a testnet that is up."""
    topology = testnet.topology
    pid = testnet.lab.pid
    return Standing(
        name=name,
        file=file,
        pid=pid,
        born=born_at(pid),
        since=since,
        nodes=len(topology.nodes),
        containers=len(topology.containers),
        doors=_doors(testnet),
        links=tuple(testnet.links),
        state=testnet.state(),
    )


def renewed(standing: Standing, testnet: Testnet) -> Standing:
    """The same lab, after `testnet`, which is attached to it, was changed."""
    return described(testnet, standing.name, standing.file, standing.since)


def _doors(testnet: Testnet) -> dict[str, Door]:
    user = os.geteuid() != 0
    switches = {
        name: Door(testnet.lab.pid, 1, f"{NETWORKS}/{name}", user, named=False)
        for name, node in testnet.topology.nodes.items()
        if node.kind == "switch"
    }
    places = {
        name: Door(
            place.host.pid,
            place.host.inner_pid,
            place.container.path if place.container else "",
            user,
        )
        for name, place in testnet.places.items()
    }
    return {**places, **switches}


def _read(path: Path) -> Standing:
    document = json.loads(path.read_text())
    doors = {name: Door(**door) for name, door in document.pop("doors").items()}
    return Standing(**{**document, "links": tuple(document["links"]), "doors": doors})


def _locked(path: Path) -> int:
    while True:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(lock).st_nlink:
                return lock
        except BlockingIOError:
            os.close(lock)
            raise LabError(
                f"another command is making or changing lab {path.stem}: wait for it, or take "
                "another name by --name"
            ) from None
        os.close(lock)  # its last owner removed the file when we had it open


def _directory() -> Path:
    """`pynet/testnets` where this user's run-time files are; it may not be there yet.

    Raises `LabError` where it is not this user's alone: who can write it can send us anywhere.
    """
    user = os.geteuid()
    roots = [os.environ.get("XDG_RUNTIME_DIR", ""), f"/run/user/{user}"]
    own = [Path(root) for root in roots if root and _is_ours(Path(root))]
    top = own[0] / "pynet" if own else Path(f"/tmp/pynet-{user}")
    for directory in (top, top / "testnets"):
        if os.path.lexists(directory):
            _refuse_others(directory)
    return top / "testnets"


def _make(directory: Path) -> None:
    """It, and the one that it is in. Raises `LabError`, OSError."""
    for each in (directory.parent, directory):
        with contextlib.suppress(FileExistsError):
            each.mkdir(mode=0o700)
            continue
        _refuse_others(each)


def _refuse_others(directory: Path) -> None:
    """Raises `LabError` where it is not this user's alone."""
    if not _is_ours(directory):
        raise LabError(
            f"{directory} is not a directory of this user alone: remove it, or set "
            "XDG_RUNTIME_DIR to one that is"
        )


def _is_ours(directory: Path) -> bool:
    try:
        status = directory.lstat()
    except OSError:
        return False
    others = stat.S_IMODE(status.st_mode) & 0o022
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and not others


def _near(word: str, known: Iterable[str]) -> str:
    near = get_close_matches(word, list(known), n=1)
    return f", did you mean {near[0]!r}?" if near else ""
