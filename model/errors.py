"""Every error that may reach a caller, with its CNI code.

The tree:

    CniError                        any code, any message
    +-- ConfigError                 7    the network configuration is wrong
    |   +-- AddressInTheWay         7    the host has another address there
    |   +-- Away                    7    what is to be lent is not on the host
    +-- InvalidEnvironment          4    a CNI_* variable is missing or wrong
    +-- UnsupportedField            2    a key or value that is understood but not supported
    +-- NamespaceError              8    CNI_NETNS is not a network namespace we may use
    |   +-- Forbidden               8    it may be one, and this user may not enter it
    +-- TryLater                    11   somebody is busy with it; the same call may succeed later
    |   +-- Exhausted               11   no descriptor, memory, thread or process is to be had
    +-- StoreError                  5    the store can't be opened, read or written
    +-- KernelError                 102  the kernel refused a change
    |   +-- NewerLayout             102  the nftables tables are those of a newer pynet
    +-- AnotherStore                105  the host is another state directory's
    +-- AlreadyAttached             100  an attachment is there already
    +-- RangeFull                   50   no free address: STATUS and ADD say so alike
    +-- AgentMissing                50   the agent was not asked: there is none, and may be none
    +-- Unplannable                 999  only an ADD can tell what comes of it: a dry run can't

Below this tree only OSError and programming errors exist; `daemon.serve` turns
whatever is left into code 999 at one place, as libcni does.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any


class Code(IntEnum):
    """CNI spec 1.1.0, "Error", and from 100 on our own."""

    INCOMPATIBLE_VERSION = 1
    UNSUPPORTED_FIELD = 2
    UNKNOWN_CONTAINER = 3
    INVALID_ENVIRONMENT = 4
    IO_FAILURE = 5
    DECODING_FAILURE = 6
    INVALID_CONFIG = 7
    INVALID_NETNS = 8  # not in the spec: the reference's number
    TRY_AGAIN_LATER = 11
    NOT_AVAILABLE = 50
    LIMITED_CONNECTIVITY = 51
    ALREADY_ATTACHED = 100
    CHECK_FAILED = 101
    KERNEL_REFUSED = 102
    DELEGATE_FAILED = 103
    ADDRESS_IN_USE = 104
    ANOTHER_STORE = 105
    INTERNAL = 999


class CniError(Exception):
    """An error a runtime is shown: `msg` for people, `details` for machines.

    CNI spec 1.1.0, "Error".
    """

    code: Code = Code.INTERNAL

    def __init__(self, msg: str, *, code: Code | None = None, details: str = "") -> None:
        super().__init__(msg)
        self.msg = msg
        self.details = details
        if code is not None:
            self.code = code

    def to_json(self, cni_version: str) -> dict[str, Any]:
        document: dict[str, Any] = {
            "cniVersion": cni_version,
            "code": int(self.code),
            "msg": self.msg,
        }
        if self.details:
            document["details"] = self.details
        return document


class ConfigError(CniError):
    code = Code.INVALID_CONFIG


class AddressInTheWay(ConfigError):
    """The host has an address where another one is to be; `key` is that of the resource it is.

    What can be done about it depends on whether containers need it.
    """

    def __init__(self, found: str, advice: str, key: str) -> None:
        super().__init__(f"{found}; {advice}")
        self.found = found
        self.key = key


class Away(ConfigError):
    """What only one container may have is not there; another may have it.

    `kind` is that of the resource it would be, and `key` its key, "" where that is not known.
    """

    def __init__(self, msg: str, kind: str, key: str = "") -> None:
        super().__init__(msg)
        self.kind = kind
        self.key = key


class InvalidEnvironment(CniError):
    code = Code.INVALID_ENVIRONMENT


class UnsupportedField(CniError):
    """The message must hold key and value (CNI spec 1.1.0, "Error")."""

    code = Code.UNSUPPORTED_FIELD


class DecodingError(CniError):
    code = Code.DECODING_FAILURE


class IncompatibleVersion(CniError):
    code = Code.INCOMPATIBLE_VERSION


class NamespaceError(CniError):
    code = Code.INVALID_NETNS


class Forbidden(NamespaceError):
    """It may be one, and this user may not enter it."""


class TryLater(CniError):
    code = Code.TRY_AGAIN_LATER


class Exhausted(TryLater):
    """This process, or the machine, has run out of something: another process may not have."""


class StoreError(CniError):
    code = Code.IO_FAILURE


class KernelError(CniError):
    """`errno` is the kernel's, 0 where there is none."""

    code = Code.KERNEL_REFUSED

    def __init__(self, msg: str, *, errno: int = 0, details: str = "") -> None:
        super().__init__(msg, details=details)
        self.errno = errno


class NewerLayout(KernelError):
    """Our nftables tables are made in a way that only a newer version knows: hands off."""


class InOurPlace(KernelError):
    """Somebody else's thing stands where one of ours would: there is nothing of ours to remove."""


class AnotherStore(CniError):
    code = Code.ANOTHER_STORE


class AlreadyAttached(CniError):
    code = Code.ALREADY_ATTACHED


class AddressInUse(CniError):
    code = Code.ADDRESS_IN_USE


class RangeFull(CniError):
    code = Code.NOT_AVAILABLE


class AgentMissing(CniError):
    code = Code.NOT_AVAILABLE


class KernelLacks(CniError):
    code = Code.NOT_AVAILABLE


class CheckFailed(CniError):
    code = Code.CHECK_FAILED


class DelegateFailed(CniError):
    """Somebody else's plugin failed; the code is its own where it gave one."""

    code = Code.DELEGATE_FAILED


class DelegateRefused(DelegateFailed):
    """It ran to its end, and says itself that it has not done it, and why."""


class Declined(Exception):
    """Not an error: this process can't serve the call from where it stands.

    Raised before any effect (another mount or user namespace than the caller's, another
    state directory). The launcher then runs the same code one-shot.
    """


class TableMissing(Exception):
    """Not an error yet: our nftables table, or a set in it, is gone.

    Whoever keeps the records makes a new one, fills it and goes on.
    """


class Unplannable(CniError):
    """What a dry run would have to know, and only an ADD can find out."""
