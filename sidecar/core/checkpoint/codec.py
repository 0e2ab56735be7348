"""Entries of the checkpoint that hold counts: their names, their content, and the checksum that seals it.

The checksum covers the name of an entry and its content, so that neither a flipped bit nor a value under another name
is taken for the truth.
"""

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from sidecar.errors import CheckpointError

SEAL_BYTES = 4
COUNTS = "c:"  # a clear removes every field that begins so

# A histogram of 1,184 buckets takes 11 KB, a block of products as much.
LARGEST_BYTES = 1 << 20

pack = msgspec.msgpack.encode


def field(section: str, key: object) -> str:
    """Return the field of a part."""
    return f"{COUNTS}{section}:{key}"


def deflated(content: Any) -> bytes:
    """Pack what is long and repeats itself."""
    return zlib.compress(pack(content), 1)  # higher levels gain 1 % here


def inflated(value: bytes) -> bytes:
    """Return what was deflated, still packed. Raises ValueError or zlib.error for anything else."""
    unpacking = zlib.decompressobj()
    content = unpacking.decompress(value, LARGEST_BYTES)
    if not unpacking.eof or unpacking.unused_data:
        raise ValueError("it does not end where it should, or is too large")
    return content


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Turn what damaged content does to those who read it into a CheckpointError that names the field."""
    try:
        yield
    except (CheckpointError, ValueError, TypeError, LookupError, ArithmeticError, RecursionError, zlib.error) as exc:
        raise CheckpointError(f"checkpoint field {name!r} cannot be read: {exc}") from exc


def seal(name: str, content: bytes) -> bytes:
    """Return the content of a field as it is stored."""
    return content + _checksum(name, content)


def unseal(name: str, stored: bytes) -> bytes:
    """Return the content of a stored field.

    Raises CheckpointError if it is not what was stored under this name.
    """
    content, found = stored[:-SEAL_BYTES], stored[-SEAL_BYTES:]
    if found != _checksum(name, content):
        raise CheckpointError(f"checkpoint field {name!r} is damaged: its checksum is wrong")
    return content


def _checksum(name: str, content: bytes) -> bytes:
    return zlib.crc32(content, zlib.crc32(name.encode() + b"\n")).to_bytes(SEAL_BYTES)
