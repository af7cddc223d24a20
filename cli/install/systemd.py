"""systemd's units for pynetd and pynet-agent: what they say, and how they come and go.

Rules that hold here:
- systemd listens at the sockets, and starts the daemon for its first caller; the daemon then
  stays. Until it is up, and wherever it is not, plugins do without (launcher/daemon.c). The agent
  leaves once it keeps nothing, and is started again for the next who needs it.
- A unit is ours by its first line. What somebody else has written is left alone; changes to
  ours belong into drop-ins (`systemctl edit`), which stay.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ...daemon.asking import socket_of
from ...daemon.settings import IDLE_EXIT
from .file_changes import Change, MakeDirectory, Remove, WriteFile, content
from .installation import CantInstall

UNIT_DIR = Path("/etc/systemd/system")
SERVICE, SOCKET = "pynetd.service", "pynetd.socket"
AGENT_SERVICE, AGENT_SOCKET = "pynet-agent.service", "pynet-agent.socket"
SOCKETS = (SOCKET, AGENT_SOCKET)
STATE = Path("/run/pynet")
"""Where root's state is if nobody says otherwise."""
_RUNNING = Path("/run/systemd/system")  # sd_booted(3)
_MARK = "# Written by `pynet install --systemd`: changes of yours belong into `systemctl edit`.\n"
_UNITS = {
    SERVICE: """\
[Unit]
Description=pynet, the network of containers: the daemon
Requires={socket_unit}

[Service]
ExecStart={python} -I -m pynet.daemon --state {state} --socket {socket}
Restart=on-failure
# It drains: what plugins it has started are at work on must end by itself.
KillMode=mixed
TimeoutStopSec=45
LimitNOFILE=65536
# Paths are those of the caller: it needs CAP_SYS_ADMIN and CAP_SYS_CHROOT to go where that is.

[Install]
Also={socket_unit}
""",
    SOCKET: """\
[Unit]
Description=pynet, the network of containers: where the daemon is asked

[Socket]
ListenStream={listen}
SocketMode=0600
DirectoryMode=0700
Backlog=1024
RemoveOnStop=yes

[Install]
WantedBy=sockets.target
""",
    AGENT_SERVICE: """\
[Unit]
Description=pynet, the network of containers: the agent, for what lives on after the answer
Requires={agent_socket_unit}

[Service]
ExecStart={python} -I -m pynet.agent --state {state} --idle-exit {idle}
Restart=on-failure
# What it keeps stays on record: one that is killed finds it again.
KillMode=mixed
TimeoutStopSec=30

[Install]
Also={agent_socket_unit}
""",
    AGENT_SOCKET: """\
[Unit]
Description=pynet, the network of containers: where the agent is asked

[Socket]
ListenStream={agent_listen}
SocketMode=0600
DirectoryMode=0700
RemoveOnStop=yes

[Install]
WantedBy=sockets.target
""",
}


@dataclass(frozen=True)
class Systemctl(Change):
    """`systemctl ARGUMENTS`; `path` is the directory of the units it is about."""

    action = "run"
    arguments: tuple[str, ...]

    def apply(self) -> None:
        """Raises `CantInstall`, OSError."""
        status, said = _systemctl(*self.arguments)
        if status:
            raise CantInstall(f"`{self._command}` failed: {said or f'exit status {status}'}")

    def describe(self) -> str:
        return f"{self.action} {self._command}"

    def to_json(self) -> dict[str, str]:
        return {**super().to_json(), "command": self._command}

    @property
    def _command(self) -> str:
        return " ".join(("systemctl", *self.arguments))


def is_running() -> bool:
    """Whether systemd is what started this machine."""
    return _RUNNING.is_dir()


def to_install(
    directory: Path, settings: Mapping[str, str], *, start: bool, renewed: bool
) -> list[Change]:
    """The changes that are missing to the units of daemon and agent with the launcher's `settings`.

    With `start` they are enabled and started, where systemd runs; those that run are
    started anew where the installation was `renewed`. Raises `CantInstall` for a unit that
    somebody else has written.
    """
    changes: list[Change] = []
    for name, text in _texts(settings).items():
        path = directory / name
        found = content(path)
        if found is not None and not found.startswith(_MARK.encode()):
            raise CantInstall(
                f"{path} is somebody else's; move it away, or name another --unit-dir"
            )
        if found != text.encode():
            changes.append(WriteFile(path, text.encode(), 0o644))
    if changes and not directory.is_dir():
        changes.insert(0, MakeDirectory(directory))
    if start and is_running():
        changes += _to_start(directory, changed=bool(changes), renewed=renewed)
    return changes


def _to_start(directory: Path, *, changed: bool, renewed: bool) -> list[Change]:
    def run(*arguments: str) -> Change:
        return Systemctl(directory, arguments)

    if changed:
        # A service requires its socket, and goes down and up with it.
        return [run("daemon-reload"), run("enable", *SOCKETS), run("restart", *SOCKETS)]
    asked = ((ask, unit) for ask in ("is-enabled", "is-active") for unit in SOCKETS)
    if not all(_systemctl(ask, "--quiet", unit)[0] == 0 for ask, unit in asked):
        return [run("enable", "--now", *SOCKETS)]
    return [run("try-restart", SERVICE, AGENT_SERVICE)] if renewed else []


def to_uninstall(directory: Path) -> list[Change]:
    """The changes that stop daemon and agent and take its units away; those of others stay."""
    ours = [directory / name for name in _UNITS if _is_ours(directory / name)]
    if not ours:
        return []
    changes: list[Change] = [Remove(path) for path in ours]
    if is_running():
        stop = Systemctl(directory, ("disable", "--now", *(path.name for path in ours)))
        return [stop, *changes, Systemctl(directory, ("daemon-reload",))]
    return changes


def _is_ours(path: Path) -> bool:
    return (content(path) or b"").startswith(_MARK.encode())


def _texts(settings: Mapping[str, str]) -> dict[str, str]:
    state = settings.get("state", str(STATE))
    socket = settings.get("socket", f"{state}/pynetd.sock")
    words = {
        "socket_unit": SOCKET,
        "listen": socket.replace("%", "%%"),
        "agent_socket_unit": AGENT_SOCKET,
        "agent_listen": str(socket_of(Path(state))).replace("%", "%%"),
        "idle": f"{IDLE_EXIT:g}",
        "python": _word(settings["python"]),
        "state": _word(state),
        "socket": _word(socket),
    }
    return {name: _MARK + text.format(**words) for name, text in _UNITS.items()}


def _word(text: str) -> str:
    """One word of a command line: systemd.service(5), "COMMAND LINES"."""
    for special in ("\\", '"'):
        text = text.replace(special, f"\\{special}")
    text = text.replace("%", "%%").replace("$", "$$")
    return f'"{text}"' if not text.isascii() or set(text) & set(" \t;'\"\\") else text


def _systemctl(*arguments: str) -> tuple[int, str]:
    """Its exit status, and what it says in one line. Raises OSError."""
    from subprocess import DEVNULL, run

    done = run(
        ["systemctl", *arguments], stdin=DEVNULL, capture_output=True, text=True, check=False
    )
    return done.returncode, " ".join((done.stderr or done.stdout).split())
