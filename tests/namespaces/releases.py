"""Releases of pynet side by side: an older commit's, this tree's, and one that is to come.

Each is built as a wheel and installed where its own interpreter finds it, with the plugins
beside it, as on a host that has several.
"""

from __future__ import annotations

import re
import subprocess
import sys
import venv
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import drive
from executables import Executables
from wheels import ROOT, build, clone_to, run

OLDEST = "61dd69a"
"""The commit that has the first version of the store's schema."""
CODE_OF_NEXT = {
    "model/resources.py": '''

class NextAddress(InterfaceAddress, kw_only=True):
    """What only the next version knows."""

    kind = "next-address"
''',
    "kernel/kinds/registry.py": """
HANDLERS[resources.NextAddress.kind] = InterfaceAddressHandler()
""",
    "plugins/bridge.py": """

def _next_plan(self: Bridge, request: Request, seen: Seen) -> Plan:
    from ..model.resources import NextAddress

    plan = _plan(self, request, seen)
    digest = request.attachment.digest("next", 3)
    address = "127.{}.{}.{}/32".format(*digest)
    return replace(plan, resources=(*plan.resources, NextAddress(name="lo", address=address)))


_plan = Bridge.plan
Bridge.plan = _next_plan
""",
}
"""What is added to the modules: a kind of resource, and a plugin that plans one."""
EDITS_OF_NEXT = {
    "__init__.py": (r'__version__ = "0\.', r'__version__ = "9.'),
    "store/records.py": (r"^FORMAT = (\d+)", lambda found: f"FORMAT = {int(found[1]) + 1}"),
    "store/schema.py": (r"^VERSION = (\d+)", lambda found: f"VERSION = {int(found[1]) + 1}"),
    " store/schema.py": (
        r"    result    TEXT NOT NULL,\n",
        r"\g<0>    note TEXT NOT NULL DEFAULT '',\n",
    ),
    "model/link_pair.py": (r"    peer_mac: str\n", r'\g<0>    label: str = ""\n'),
    "plugins/bridge.py": (r"    return Veth\(\n", r'\g<0>        label="next",\n'),
}
"""What is changed: a schema with a column more, a format of records, a field of a kind."""


@dataclass(frozen=True)
class Release:
    name: str
    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / "venv" / "bin" / "python"

    @property
    def plugins(self) -> Executables:
        return Executables(self.folder / "bin")

    def daemon(self, log: Path) -> subprocess.Popen[bytes]:
        """Its `pynetd`, in the namespaces of this process."""
        with log.open("ab") as said:
            argv = [self.python, "-I", "-m", "pynet.daemon"]
            return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=said, stderr=said)


def install(name: str, wheel: Path, folder: Path) -> Release:
    release = Release(name, folder)
    venv.create(folder / "venv", with_pip=False)
    (site,) = (folder / "venv").glob("lib/python*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    # What pynet needs comes from the environment of the tests, whose own pynet is no folder there.
    others = [path for path in sys.path if path.endswith("-packages")]
    (site / "others.pth").write_text("\n".join(others) + "\n")
    (folder / "bin").mkdir()
    launcher = folder / "bin" / "pynet-launcher"
    launcher.write_bytes((site / "pynet" / "launcher" / "pynet-launcher").read_bytes())
    launcher.chmod(0o755)
    for plugin in drive.CONFIGS:
        (folder / "bin" / plugin).symlink_to("pynet-launcher")
    (folder / "bin" / "pynet-launcher.conf").write_text(f"python={release.python}\n")
    return release


# --- their trees ---------------------------------------------------------------------------


def has_history() -> bool:
    argv = ["git", "cat-file", "-e", f"{OLDEST}^{{commit}}"]
    try:
        return subprocess.run(argv, cwd=ROOT, capture_output=True).returncode == 0
    except OSError:
        return False


def old_tree(folder: Path) -> Path:
    archive = folder.with_suffix(".tar")
    folder.mkdir()
    run(["git", "archive", "-o", archive, OLDEST], cwd=ROOT)
    run(["tar", "-xf", archive, "-C", folder])
    return folder


def next_tree(folder: Path) -> Path:
    """This tree as the next version may be: older code can go on with what that writes."""
    clone_to(folder)
    for name, (pattern, change) in EDITS_OF_NEXT.items():
        path = folder / name.strip()
        text, count = re.subn(pattern, change, path.read_text(), flags=re.MULTILINE)
        assert count == 1, f"{name} has {pattern} {count} times: the next version can't be made so"
        path.write_text(text)
    for name, code in CODE_OF_NEXT.items():
        with (folder / name).open("a") as module:
            module.write(code)
    return folder


TREES: dict[str, Callable[[Path], Path]] = {
    "old": old_tree,
    "now": clone_to,
    "next": next_tree,
}


def wheel(name: str, folder: Path) -> Path:
    folder.mkdir()
    (folder / "wheel").mkdir()
    return build(TREES[name](folder / "tree"), folder / "wheel")
