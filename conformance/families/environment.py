"""The variables of a call: which are needed, and what they may hold."""

from __future__ import annotations

from collections.abc import Callable

from ..checks import Family
from ..judging import refused, succeeded
from ..scene import ABSENT, Scene
from ..subject import CHAINED, IPAM, LOOPBACK, MAIN

FAMILY = Family("environment")
_PARAMETERS = "Parameters"
_INVALID_ENVIRONMENT = {4}


@FAMILY.check(_PARAMETERS)
def unknown_command(scene: Scene) -> None:
    """A command that the specification does not know is error 4"""
    container = scene.container()
    refused(scene.call("ADD", container, environ={"CNI_COMMAND": "ATTACH"}), _INVALID_ENVIRONMENT)


@FAMILY.check(_PARAMETERS)
def command_in_lower_case(scene: Scene) -> None:
    """Commands are upper case: `add` is error 4"""
    container = scene.container()
    refused(scene.call("ADD", container, environ={"CNI_COMMAND": "add"}), _INVALID_ENVIRONMENT)


def _missing(command: str, *variables: str) -> Callable[[Scene], None]:
    def ask(scene: Scene) -> None:
        container = scene.container()
        absent = dict.fromkeys(variables, ABSENT)
        call = scene.call(command, container, environ=absent)
        refused(call, _INVALID_ENVIRONMENT, variables)

    return ask


_CONTAINER, _NETNS, _INTERFACE = "CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"
for _command, _since, _variables in (
    ("ADD", "0.1.0", (_CONTAINER,)),
    ("ADD", "0.1.0", (_NETNS,)),
    ("ADD", "0.1.0", (_INTERFACE,)),
    ("ADD", "0.1.0", (_CONTAINER, _NETNS, _INTERFACE)),
    ("DEL", "0.1.0", (_CONTAINER,)),
    ("DEL", "0.1.0", (_INTERFACE,)),
    ("CHECK", "0.4.0", (_CONTAINER,)),
    ("CHECK", "0.4.0", (_NETNS,)),
    ("CHECK", "0.4.0", (_INTERFACE,)),
):
    _words = [variable.removeprefix("CNI_").lower() for variable in _variables]
    FAMILY.add(
        "-".join([_command.lower(), "without", *_words]),
        f"{_command} without {', '.join(_variables)} is error 4, whose text names what is missing",
        "Error",
        _missing(_command, *_variables),
        since=_since,
    )


def _invalid(command: str, variable: str, *values: str) -> Callable[[Scene], None]:
    def ask(scene: Scene) -> None:
        container = scene.container()
        for value in values:
            call = scene.call(command, container, environ={variable: value})
            refused(call, _INVALID_ENVIRONMENT)

    return ask


FAMILY.add(
    "invalid-containerid",
    "a container id begins with a letter or digit, and holds letters, digits, `_`, `.`, `-` only",
    _PARAMETERS,
    _invalid("ADD", _CONTAINER, "../c1", "c1/c2", "-c1", "c 1"),
)
FAMILY.add(
    "invalid-ifname",
    "an interface name has at most 15 characters, is not . or .., and holds no / : or space",
    _PARAMETERS,
    _invalid("ADD", _INTERFACE, "e" * 16, ".", "..", "a/b", "a:b", "a b"),
)
FAMILY.add(
    "invalid-ifname-on-del",
    "what is no interface name is error 4 on DEL too",
    _PARAMETERS,
    _invalid("DEL", _INTERFACE, "e" * 16, "a/b"),
)


@FAMILY.check(_PARAMETERS, LOOPBACK, CHAINED, IPAM)
def path_is_optional(scene: Scene) -> None:
    """ADD and DEL work without CNI_PATH, where nothing is delegated"""
    container = scene.container()
    scene.prepare(container)
    scene.add(container, environ={"CNI_PATH": ABSENT})
    succeeded(scene.call("DEL", container, environ={"CNI_PATH": ABSENT}))


@FAMILY.check(_PARAMETERS)
def foreign_arguments(scene: Scene) -> None:
    """CNI_ARGS that orchestrators pass, with IgnoreUnknown=1, are no error"""
    container = scene.container()
    scene.prepare(container)
    pairs = "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web-0"
    scene.add(container, environ={"CNI_ARGS": pairs})
    succeeded(scene.call("DEL", container, environ={"CNI_ARGS": pairs}))


@FAMILY.check(_PARAMETERS, MAIN, LOOPBACK)
def namespace_that_is_none(scene: Scene) -> None:
    """ADD into what is not a network namespace is an error"""
    container = scene.container()
    scene.prepare(container)
    for netns in ("/run/netns/nobody", "/proc/self/status"):
        refused(scene.call("ADD", container, environ={_NETNS: netns}))
