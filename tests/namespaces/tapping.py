"""A program at the other end of a tap: what it reads there it tells, what it is told it writes.

    tapping.py NAME   with frames as lines of hexadecimal digits on stdin and stdout

The first line that it tells is "open". It is a program of its own: it knows nothing of pynet.
"""

from __future__ import annotations

import fcntl
import os
import selectors
import struct
import sys

TUNSETIFF = 0x400454CA
TAP, NO_PI, MULTI_QUEUE = 0x0002, 0x1000, 0x0100


def main(name: str, *, queues: bool) -> None:
    device = os.open("/dev/net/tun", os.O_RDWR)
    flags = TAP | NO_PI | (MULTI_QUEUE if queues else 0)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", name.encode(), flags))
    print("open", flush=True)
    waiting = selectors.DefaultSelector()
    waiting.register(device, selectors.EVENT_READ)
    waiting.register(sys.stdin, selectors.EVENT_READ)
    while True:
        for key, _ in waiting.select():
            if key.fileobj == device:
                print(os.read(device, 65536).hex(), flush=True)
            elif line := sys.stdin.readline():
                os.write(device, bytes.fromhex(line))
            else:
                return


if __name__ == "__main__":
    main(sys.argv[1], queues="queues" in sys.argv[2:])
