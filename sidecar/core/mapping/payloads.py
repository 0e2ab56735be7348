"""Payloads of other systems -> plain values: JSON, MessagePack, Java serialisation of strings."""

from base64 import b64decode
from codecs import BOM_UTF8
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from sidecar.core.events.rejections import UNREADABLE
from sidecar.core.events.values import decode_plainly
from sidecar.core.mapping.conversions import plain
from sidecar.core.mapping.definition import Encoding
from sidecar.core.mapping.paths import PathStep, replace_at, steps_of

# A serialised String is its length in 2 or 8 bytes and its text; an array of bytes has 27 before its content.
JAVA = b"\xac\xed\x00\x05"
_JAVA_HEADS = ((JAVA + b"\x74", 7), (JAVA + b"\x7c", 13), (JAVA + b"\x75\x72\x00\x02[B", 27))

Inner = Callable[[Any], Any]


def text_of(payload: bytes) -> bytes:
    """Return the content of a String or byte[] that Java has serialised; anything else without its BOM."""
    if payload.startswith(JAVA):
        for head, length in _JAVA_HEADS:
            if payload.startswith(head):
                return payload[length:]
    return payload.removeprefix(BOM_UTF8)


def decoded(payload: bytes) -> Any:
    """Return the plain value of a payload. Raises one of UNREADABLE."""
    if is_msgpack(payload):
        return plain(msgspec.msgpack.decode(payload))
    return decode_plainly(payload)


def is_msgpack(payload: bytes) -> bool:
    """Return whether a payload begins with a map or a list of MessagePack, as no JSON does."""
    first = payload[:1]
    return b"\x80" <= first <= b"\x9f" or (b"\xdc" <= first <= b"\xdf" and len(first) == 1)


def inner(encodings: Mapping[str, Encoding]) -> list[Inner]:
    """Return functions that decode the encoded values of a payload in place; they raise ValueError with the path."""
    return [_inner(path, steps_of(path), encoding) for path, encoding in encodings.items()]


def _inner(path: str, steps: tuple[PathStep, ...], encoding: Encoding) -> Inner:
    def decode(found: Any) -> Any:
        if not isinstance(found, str):
            return found  # some publishers do not encode it
        try:
            value = decoded(b64decode(found, validate=True) if encoding == "base64" else found.encode())
            return decode_plainly(value) if isinstance(value, str) else value  # encoded twice
        except UNREADABLE as error:
            raise ValueError(f"{path}: expected {encoding}: {error}") from None

    return lambda payload: replace_at(payload, steps, decode)
