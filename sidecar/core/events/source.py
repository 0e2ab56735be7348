"""Kinds of sources, and what each can do. A source is named `<kind>:<name>`, as in `stream:flash_sale:events`."""

from msgspec import Struct


class SourceKind(Struct, frozen=True):
    """`rereads`: what it delivered can be read again after a position. Otherwise it is blind while not connected."""

    name: str
    rereads: bool


STREAM = SourceKind("stream", rereads=True)
PUBSUB = SourceKind("pubsub", rereads=False)
KINDS = {kind.name: kind for kind in (STREAM, PUBSUB)}


def kind_of(source: str) -> SourceKind:
    """Return the kind of a source; one of an unknown kind, as a later version may store, cannot be read again."""
    return KINDS.get(source.partition(":")[0], PUBSUB)


def key_of(source: str) -> str:
    """Return the stream, channel or pattern of a source, as Redis knows it."""
    return source.partition(":")[2]
