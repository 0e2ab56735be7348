"""The entries of the checkpoint that hold counts: their names, content and checksums.

A checksum covers the name of the entry and its content, so that a flipped bit, or a value under another name, is found.
"""

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from sidecar.errors import CheckpointError

SEAL_BYTES = 4
COUNTS = "c:"  # the prefix of the entries that a clear removes
SALES = "c:sales:"  # except these

# A histogram of 1,184 buckets takes 11 KB, a block of products as much.
LARGEST_BYTES = 1 << 20

pack = msgspec.msgpack.encode


def field(section: str, key: object) -> str:
    """Return the name of the entry of a part."""
    return f"{COUNTS}{section}:{key}"


def deflated(content: Any) -> bytes:
    """Pack and compress what is long and repetitive."""
    return zlib.compress(pack(content), 1)  # higher levels gain 1 % here


def inflated(value: bytes) -> bytes:
    """Decompress what was deflated; it is still packed. Raises ValueError or zlib.error if it is damaged."""
    unpacking = zlib.decompressobj()
    content = unpacking.decompress(value, LARGEST_BYTES)
    if not unpacking.eof or unpacking.unused_data:
        raise ValueError("its end is wrong, or it is too large")
    return content


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Turn the errors of reading damaged content into a CheckpointError that names the entry."""
    try:
        yield
    except (CheckpointError, ValueError, TypeError, LookupError, ArithmeticError, RecursionError, zlib.error) as exc:
        raise CheckpointError(f"checkpoint field {name!r} cannot be read: {exc}") from exc


def seal(name: str, content: bytes) -> bytes:
    """Return the content of an entry with its checksum, as it is stored."""
    return content + _checksum(name, content)


def unseal(name: str, stored: bytes) -> bytes:
    """Return the content of a stored entry. Raises CheckpointError if its checksum is wrong."""
    content, found = stored[:-SEAL_BYTES], stored[-SEAL_BYTES:]
    if found != _checksum(name, content):
        raise CheckpointError(f"checkpoint field {name!r} is damaged: its checksum is wrong")
    return content


def _checksum(name: str, content: bytes) -> bytes:
    return zlib.crc32(content, zlib.crc32(name.encode() + b"\n")).to_bytes(SEAL_BYTES)
