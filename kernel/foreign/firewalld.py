"""firewalld's zones at run time, asked and changed over D-Bus by whichever program there is."""

from __future__ import annotations

from ...model.errors import KernelError
from .programs import find, run

_SERVICE = ("org.fedoraproject.FirewallD1", "/org/fedoraproject/FirewallD1")
_ZONES = "org.fedoraproject.FirewallD1.zone"


CALLERS = "busctl or dbus-send"


def can_be_told() -> bool:
    """Whether one of these programs is installed."""
    return bool(find("busctl", "dbus-send"))


def zone_of(namespace: int, interface: str) -> str:
    """`firewall-cmd --get-zone-of-interface=INTERFACE`, "" for none. Raises `KernelError`."""
    return _call(namespace, "getZoneOfInterface", interface)


def add(namespace: int, zone: str, interface: str) -> None:
    """`firewall-cmd --zone=ZONE --add-interface=INTERFACE`. Raises `KernelError`."""
    _call(namespace, "addInterface", zone, interface)


def remove(namespace: int, zone: str, interface: str) -> None:
    """`firewall-cmd --zone=ZONE --remove-interface=INTERFACE`. Raises `KernelError`."""
    _call(namespace, "removeInterface", zone, interface)


def _call(namespace: int, method: str, *words: str) -> str:
    """The string that a method of firewalld's zones answers."""
    status, output, said = run(namespace, _command(method, words))
    if status:
        raise KernelError(f"firewalld: {method} {' '.join(words)}: {said.strip()}", details=said)
    # busctl: s "trusted"; dbus-send: trusted, with spaces before
    return output.strip().removeprefix("s ").strip().strip('"')


def _command(method: str, words: tuple[str, ...]) -> list[str]:
    if program := find("busctl"):
        signature = "s" * len(words)
        return [program, "--system", "call", *_SERVICE, _ZONES, method, signature, *words]
    if program := find("dbus-send"):
        service, path = _SERVICE
        sent = [f"string:{word}" for word in words]
        reply = ["--system", "--print-reply=literal", f"--dest={service}"]
        return [program, *reply, path, f"{_ZONES}.{method}", *sent]
    raise KernelError(
        "firewalld is running, and neither busctl (systemd) nor dbus-send (dbus-bin) is"
        " installed to tell it of the containers' interface"
    )
