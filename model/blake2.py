"""BLAKE2b from where hashlib has it, without what else that loads: OpenSSL, which takes 3 ms."""

from __future__ import annotations

try:
    from _blake2 import blake2b as blake2b
except ImportError:  # no module that Python promises to have
    from hashlib import blake2b as blake2b
