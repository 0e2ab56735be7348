"""Kinds of sources. A source is named `<kind>:<name>`, as in `stream:flash_sale:events`."""

import re

from msgspec import Struct

_ESCAPE = re.compile(rb"\\(?:x([0-9a-fA-F]{2})|(.))")
_CONTROLS = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"a": b"\a", b"b": b"\b"}


class SourceKind(Struct, frozen=True):
    """`rereads`: it can be read again from a position. Otherwise it misses what comes while it is not connected."""

    name: str
    rereads: bool


STREAM = SourceKind("stream", rereads=True)
PUBSUB = SourceKind("pubsub", rereads=False)
KINDS = {kind.name: kind for kind in (STREAM, PUBSUB)}


def kind_of(source: str) -> SourceKind:
    """Return the kind of a source; an unknown kind, which a later version may have stored, cannot be read again."""
    return KINDS.get(source.partition(":")[0], PUBSUB)


def key_of(source: str) -> str:
    """Return the stream, channel or pattern of a source."""
    return source.partition(":")[2]


def raw_key(stream: str) -> str | bytes:
    r"""Return the key of a stream in Redis. A name with `\xNN` is spelled as redis-cli shows keys that are no text."""
    return _ESCAPE.sub(_unescaped, stream.encode()) if "\\x" in stream else stream


def as_java_writes(stream: str) -> str:
    """Return the name of the stream whose key Java has serialised, as Spring does by default."""
    return rf"\xac\xed\x00\x05t\x00\x{len(stream.encode()) & 0xFF:02x}{stream}"


def _unescaped(found: re.Match[bytes]) -> bytes:
    return bytes.fromhex(found[1].decode()) if found[1] else _CONTROLS.get(found[2], found[2])
