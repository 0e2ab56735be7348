"""Kinds of sources. A source is named `<kind>:<name>`, as in `stream:flash_sale:events`."""

from msgspec import Struct


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
