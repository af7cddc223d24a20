"""An image without a registry: busybox as root file system, in one OCI archive for all runtimes.

A container of it serves HTTP on port 80 and answers who it is and who asked. That it also says
who asked shows whether an address was translated on the way.
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
import subprocess
import tarfile
from pathlib import Path
from typing import Any

NAME = "localhost/busybox:latest"
BUSYBOX = Path("/bin/busybox")

_SERVER = ["httpd", "-f", "-p", "80", "-h", "/www"]
_ANSWER = b'#!/bin/sh\necho\necho "$NAME $REMOTE_ADDR"\n'
_MEDIA = "application/vnd.oci.image"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_PLATFORM = {
    "architecture": _ARCHITECTURES.get(platform.machine(), platform.machine()),
    "os": "linux",
}


def archive() -> bytes:
    """What `ctr image import` and `podman load` read (OCI image layout, as a tar)."""
    blobs: dict[str, bytes] = {}
    layer = _blob(blobs, f"{_MEDIA}.layer.v1.tar", _root_file_system())
    config = {
        **_PLATFORM,
        "config": {"Env": ["PATH=/bin", "NAME=nobody"], "Cmd": _SERVER},
        "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]},
    }
    manifest: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": f"{_MEDIA}.manifest.v1+json",
        "config": _blob(blobs, f"{_MEDIA}.config.v1+json", _json(config)),
        "layers": [layer],
    }
    listed = {
        **_blob(blobs, manifest["mediaType"], _json(manifest)),
        "platform": _PLATFORM,
        "annotations": {
            "org.opencontainers.image.ref.name": NAME,
            "io.containerd.image.name": NAME,
        },
    }
    files = {
        "oci-layout": _json({"imageLayoutVersion": "1.0.0"}),
        "index.json": _json({"schemaVersion": 2, "manifests": [listed]}),
        **{f"blobs/{digest.replace(':', '/')}": content for digest, content in blobs.items()},
    }
    with io.BytesIO() as written:
        with tarfile.open(fileobj=written, mode="w") as tar:
            for name, content in files.items():
                _add(tar, name, content)
        return written.getvalue()


def _root_file_system() -> bytes:
    listed = subprocess.run([BUSYBOX, "--list"], check=True, capture_output=True, text=True)
    with io.BytesIO() as written:
        with tarfile.open(fileobj=written, mode="w") as tar:
            for folder in ("bin", "dev", "etc", "proc", "run", "sys", "tmp", "www", "www/cgi-bin"):
                _add(tar, folder, kind=tarfile.DIRTYPE)
            _add(tar, "bin/busybox", BUSYBOX.read_bytes())
            for name in set(listed.stdout.split()) - {"busybox"}:
                _add(tar, f"bin/{name}", kind=tarfile.SYMTYPE, link="busybox")
            _add(tar, "etc/passwd", b"root:x:0:0:root:/:/bin/sh\n")
            _add(tar, "www/cgi-bin/who", _ANSWER)
        return written.getvalue()


def _add(
    tar: tarfile.TarFile,
    name: str,
    content: bytes = b"",
    kind: bytes = tarfile.REGTYPE,
    link: str = "",
) -> None:
    entry = tarfile.TarInfo(name)
    entry.mode, entry.type, entry.linkname, entry.size = 0o755, kind, link, len(content)
    tar.addfile(entry, io.BytesIO(content))


def _blob(blobs: dict[str, bytes], media_type: str, content: bytes) -> dict[str, Any]:
    """Keep `content`; its descriptor."""
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    blobs[digest] = content
    return {"mediaType": media_type, "digest": digest, "size": len(content)}


def _json(document: Any) -> bytes:
    return json.dumps(document, sort_keys=True).encode()
