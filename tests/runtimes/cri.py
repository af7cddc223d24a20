"""The Kubernetes Container Runtime Interface (v1) of containerd, as far as a network needs it.

gRPC is HTTP/2 with protocol buffers, so `curl` and a few lines will do: a message is a sequence
of (field number << 3 | wire type), value; fields that hold text or messages have wire type 2.
"""

from __future__ import annotations

from collections.abc import Iterator

from pynet.testnets.lab.lab import Host

Field = tuple[int, "int | str | bytes"]


class Refused(OSError):
    """containerd's answer was an error, as it said."""


class Cri:
    """Pods of containerd's: their sandboxes, which is all of a pod that has a network."""

    def __init__(self, host: Host, socket: str) -> None:
        self.host = host
        self._socket = socket

    def run_pod(self, name: str, *ports: tuple[int, int]) -> str:
        """RunPodSandbox, with (host port, container port) published; the pod's id.

        Raises `Refused`, as they all do.
        """
        metadata = message((1, name), (2, f"uid-{name}"), (3, "default"))
        mappings = [(5, message((2, inside), (3, outside))) for outside, inside in ports]
        config = message((1, metadata), (2, name), *mappings, (8, message()))
        return str(next(fields(self._call("RunPodSandbox", message((1, config)))))[1].decode())

    def stop_pod(self, pod: str) -> None:
        """StopPodSandbox: its network is taken down."""
        self._call("StopPodSandbox", message((1, pod)))

    def remove_pod(self, pod: str) -> None:
        """RemovePodSandbox"""
        self._call("RemovePodSandbox", message((1, pod)))

    def addresses(self, pod: str) -> list[str]:
        """PodSandboxStatus: what Kubernetes takes for the pod's addresses."""
        status = dict(fields(self._call("PodSandboxStatus", message((1, pod)))))[1]
        network = dict(fields(status))[5]
        found = list(fields(network))
        first = [text.decode() for number, text in found if number == 1]
        return first + [dict(fields(more))[1].decode() for number, more in found if number == 2]

    def _call(self, method: str, request: bytes) -> bytes:
        """One call; the response's message. A gRPC frame is a flag, a length and the message."""
        url = f"http://localhost/runtime.v1.RuntimeService/{method}"
        headers = ["-H", "content-type: application/grpc", "-H", "te: trailers"]
        dumped = "/run/cri-headers"
        options = ["--silent", "--http2-prior-knowledge", "--dump-header", dumped]
        frame = b"\0" + len(request).to_bytes(4, "big") + request
        done = self.host.run(
            ["curl", *options, "--unix-socket", self._socket, *headers, "--data-binary", "@-", url],
            input=frame,
        )
        said = self.host.run(["cat", dumped]).stdout.decode()
        if "grpc-status: 0" not in said:
            raise Refused(f"{method}: {said}")
        return done.stdout[5:]


def message(*parts: Field) -> bytes:
    """Protocol buffers: numbers as varints, text and messages with their length."""
    written = b""
    for number, value in parts:
        if isinstance(value, int):
            written += _varint(number << 3) + _varint(value)
        else:
            content = value.encode() if isinstance(value, str) else value
            written += _varint(number << 3 | 2) + _varint(len(content)) + content
    return written


def fields(content: bytes) -> Iterator[tuple[int, bytes]]:
    """The text and message fields of a message, in order; numbers are passed over."""
    while content:
        tag, content = _read_varint(content)
        length, content = _read_varint(content)
        if tag & 7 == 2:
            yield tag >> 3, content[:length]
            content = content[length:]


def _varint(value: int) -> bytes:
    written = bytearray()
    while value > 127:
        written.append(value & 127 | 128)
        value >>= 7
    return bytes([*written, value])


def _read_varint(content: bytes) -> tuple[int, bytes]:
    value = 0
    for position, byte in enumerate(content):
        value |= (byte & 127) << 7 * position
        if byte < 128:
            return value, content[position + 1 :]
    raise ValueError("the message ends within a number")
