"""What shells complete of what is there now: containers, networks, interfaces, ports."""

from __future__ import annotations

import contextlib
import io
import os

import pytest
from machine import Machine

from pynet.cli.main import run
from pynet.testnets.lab.lab import Host

ID = "52ba91c04e7f" + "0123456789abc" * 4
SHORT = ID[:12]
SHELLS = ("bash", "zsh", "fish")


@pytest.fixture
def machine(host: Host) -> Machine:
    machine = Machine(host)
    for name in ("c1", "c2"):
        host.container(name)
    machine.pynet("attach", "c1", "web")
    machine.pynet("attach", "c2", "web", "--container-id", ID)
    machine.pynet("attach", "c2", "db", "--ifname", "db0")
    return machine


LINES = {
    "pynet attach ": {"c1", "c2", SHORT},
    "pynet attach c1 ": {"web", "db"},
    "pynet detach ": {"c1", SHORT},
    "pynet detach 5": {SHORT},
    f"pynet detach {SHORT[:6]} ": {"web", "db"},
    "pynet detach c1 ": {"web"},
    f"pynet detach {SHORT} db --ifname ": {"eth0", "db0"},
    "pynet cni del web ": {"c1", "c2", SHORT},
    "pynet inspect 10.": {"10.1.0.2", "10.1.0.3", "10.2.0.2"},
    "pynet inspect w": {"web"},
    "pynet inspect db": {"db", "db0"},
    "pynet inspect br": {"br1", "br2"},
    "pynet detach nobody ": set(),
}


def test_every_shell_completes_what_is_there(machine: Machine) -> None:
    for shell in SHELLS:
        for line, expected in LINES.items():
            assert machine.host.call(completed, shell, line) == expected, (shell, line)


def completed(shell: str, line: str) -> set[str]:
    """What `shell` is offered; nothing may be said on stderr while somebody types."""
    words = line.split(" ")
    word = words[-1] if shell == "fish" else str(len(words) - 1)
    os.environ |= {
        "_PYNET_COMPLETE": f"{shell}_complete",
        "COMP_WORDS": line,
        "COMP_CWORD": word,
    }
    out, err = io.TextIOWrapper(io.BytesIO(), write_through=True), io.StringIO()
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        contextlib.suppress(SystemExit),
    ):
        run([])
    assert err.getvalue() == ""
    out.seek(0)
    lines = out.read().splitlines()
    if shell == "zsh":  # type, word, help
        return set(lines[1::3])
    return {one.split(",", 1)[1].split("\t")[0] for one in lines if one}
