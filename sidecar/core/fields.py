"""The fields of the checkpoint that hold counts: their names, their values, and which errors mean damage."""

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from sidecar.errors import CheckpointError

COUNTS = "c:"  # a clear removes every field that begins so

pack = msgspec.msgpack.encode


def field(section: str, key: object) -> str:
    """Return the field of a part."""
    return f"{COUNTS}{section}:{key}"


def deflated(content: Any) -> bytes:
    """Pack what is long and repeats itself."""
    return zlib.compress(pack(content), 1)  # higher levels gain 1 % here


def inflated(value: bytes) -> bytes:
    """Return what was deflated, still packed."""
    return zlib.decompress(value)


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Turn what damaged content does to those who read it into a CheckpointError that names the field."""
    try:
        yield
    except (CheckpointError, ValueError, TypeError, LookupError, ArithmeticError, RecursionError, zlib.error) as exc:
        raise CheckpointError(f"checkpoint field {name!r} cannot be read: {exc}") from exc
