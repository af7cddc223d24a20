"""What is on stdin and stdout: one document in, one document out, errors with their codes."""

from __future__ import annotations

from collections.abc import Callable

from ..checks import Family
from ..judging import document, ended, refused
from ..scene import ABSENT, Scene
from ..subject import IPAM, LOOPBACK, MAIN
from ..traces import few, host
from ..verdicts import Failed

FAMILY = Family("documents")
_ERROR = "Error"
_DECODING, _INVALID_CONFIGURATION = {6}, {7}


def _stdin(*documents: bytes) -> Callable[[Scene], None]:
    def ask(scene: Scene) -> None:
        container = scene.container()
        for stdin in documents:
            refused(scene.call("ADD", container, stdin=stdin), _DECODING)

    return ask


for _name, _title, _documents in (
    ("empty-stdin", "no configuration at all is error 6", (b"",)),
    ("bad-json", "what is not JSON is error 6", (b"{", b'{"name": ')),
    ("not-an-object", "JSON that is not an object is error 6", (b"[]", b'"web"', b"7")),
):
    FAMILY.add(_name, _title, _ERROR, _stdin(*_documents))


@FAMILY.check(_ERROR)
def no_name(scene: Scene) -> None:
    """A configuration without a network name is error 7"""
    refused(scene.call("ADD", scene.container(), config={"name": ABSENT}), _INVALID_CONFIGURATION)


@FAMILY.check("Network configuration format")
def invalid_name(scene: Scene) -> None:
    """A network name with other characters than letters, digits, `_`, `.`, `-` is error 7"""
    container = scene.container()
    for name in ("a/b", "../web", "-web", "a b"):
        refused(scene.call("ADD", container, config={"name": name}), _INVALID_CONFIGURATION)


@FAMILY.check(_ERROR)
def error_names_its_version(scene: Scene) -> None:
    """An error has `cniVersion` beside `code` and `msg`"""
    error = refused(scene.call("ADD", scene.container(), config={"name": ABSENT}))
    if not isinstance(error.get("cniVersion"), str) or not error["cniVersion"]:
        raise Failed("the error has no `cniVersion`")


@FAMILY.check("Section 2: Execution Protocol", MAIN, LOOPBACK)
def own_namespace(scene: Scene) -> None:
    """ADD into the plugin's own namespace has one answer: a result, or an error without effect"""
    scene.live_once()
    container = scene.container()
    scene.prepare(container)
    before = host()
    call = scene.call("ADD", container, environ={"CNI_NETNS": "/proc/self/ns/net"})
    ended(call)
    document(call)
    if call.status and (changed := scene.unchanged(before)):
        raise Failed(f"it failed, and this has changed: {few(changed)}", call)


@FAMILY.check("Section 2: Execution Protocol", MAIN, IPAM)
def error_on_stdout(scene: Scene) -> None:
    """A plugin that finds its configuration impossible says so in one error document"""
    container = scene.container()
    ipam = {"type": "no-such-ipam-plugin"}
    if scene.subject.role == IPAM:
        ipam = {**scene.subject.config["ipam"], "ranges": "x", "addresses": "x"}
    refused(scene.call("ADD", container, config={"ipam": ipam}))
