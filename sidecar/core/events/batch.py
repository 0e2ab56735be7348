"""What a source returns: payloads as they came, and the state of Redis when they were read."""

from typing import Annotated

from msgspec import Meta, Struct

# How much to count before yielding to the loop. In the worst case, if all events are rejected, it takes some 30 ms.
BYTES_BEFORE_YIELD = 256 << 10
COMMA_BYTES = 50  # an event in an array may have two bytes, but costs as much as one of this size

EntryId = Annotated[str, Meta(pattern="^[0-9]{1,20}-[0-9]{1,20}$")]


class StreamRead(Struct, frozen=True, kw_only=True):
    """The state of a stream during one read.

    `after` is the id after which it was read, `last` the newest id read (`after` if there was none), `replid` the
    `master_replid` at that time. `added` is `entries-added` (`None` before Redis 7), `length` the number of entries,
    `oldest` the first id (`None` without entries), `newest` the `last-generated-id`. `complete`: it was read to its
    end. `exists` is False for a missing stream.
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


class Empty(Struct, frozen=True):
    """A stream entry without the event field; `fields` alternates names and values."""

    id: str
    fields: list[bytes]


class Batch(Struct, frozen=True, kw_only=True):
    """Payloads of one source, oldest first.

    `arrivals[i]` is when `payloads[i]` reached the stream, or the sidecar, in Unix seconds. `empty` are stream entries
    without the event field. If the source is a pattern, `channels[i]` is the channel of `payloads[i]`.
    """

    source: str
    payloads: list[bytes]
    arrivals: list[float]
    empty: list[Empty] = []
    stream: StreamRead | None = None
    channels: list[bytes] | None = None


def before_yield(payloads: list[bytes]) -> int:
    """Return how many of the payloads to count before yielding to the loop, at least one."""
    if not payloads or (sum(map(len, payloads)) <= BYTES_BEFORE_YIELD and min(payloads) >= b"{"):
        return len(payloads)  # the common case: single events
    cost = 0
    for number, payload in enumerate(payloads):
        cost += max(len(payload), COMMA_BYTES * payload.count(b",")) if payload < b"{" else len(payload)
        if cost > BYTES_BEFORE_YIELD and number:
            return number
    return len(payloads)
