"""What a source hands over: payloads as they came, and what was known about Redis when they were read."""

from typing import Annotated

from msgspec import Meta, Struct

EntryId = Annotated[str, Meta(pattern="^[0-9]{1,20}-[0-9]{1,20}$")]


class StreamRead(Struct, frozen=True, kw_only=True):
    """The circumstances of one read of a stream.

    `after` is the id read after; `last` the newest id read (`after` if there was none). `replid` is the
    `master_replid` under which it was read. `added` is `entries-added` (`None` before Redis 7), `length` the entries
    there, `complete` tells that nothing was left behind. `oldest` is the first id there (`None` where there is none),
    `newest` the `last-generated-id`. A stream that does not exist has `exists` False.
    """

    after: EntryId
    last: EntryId
    replid: str
    entries: int
    added: int | None
    length: int
    complete: bool
    exists: bool
    oldest: EntryId | None = None
    newest: EntryId | None = None


class Batch(Struct, frozen=True, kw_only=True):
    """Payloads of one source, oldest first; `arrivals[i]` is when `payloads[i]` reached Redis or us, in Unix seconds.

    `empty` counts stream entries without the field that holds the event.
    """

    source: str
    payloads: list[bytes]
    arrivals: list[float]
    empty: int = 0
    stream: StreamRead | None = None
