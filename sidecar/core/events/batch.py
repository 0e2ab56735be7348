"""What a source hands over: payloads as they came, and what was known about Redis when they were read."""

from typing import Annotated

from msgspec import Meta, Struct

# What is counted before the loop turns. The worst of it, events that are rejected, take some 30 ms.
TURN_BYTES = 256 << 10
COMMA_BYTES = 50  # the events of an array may be two bytes each, and cost as much as of so many

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


class Empty(Struct, frozen=True):
    """A stream entry without the field that holds the event; `fields` alternate between names and values."""

    id: str
    fields: list[bytes]


class Batch(Struct, frozen=True, kw_only=True):
    """Payloads of one source, oldest first; `arrivals[i]` is when `payloads[i]` reached Redis or us, in Unix seconds.

    `empty` are stream entries without the field that holds the event. Where the source is a pattern, `channels[i]`
    is the channel that the message of `payloads[i]` names.
    """

    source: str
    payloads: list[bytes]
    arrivals: list[float]
    empty: list[Empty] = []
    stream: StreamRead | None = None
    channels: list[bytes] | None = None


def first_turn(payloads: list[bytes]) -> int:
    """Return how many of the payloads to count before the loop turns; one at least."""
    if not payloads or (sum(map(len, payloads)) <= TURN_BYTES and min(payloads) >= b"{"):
        return len(payloads)  # as it mostly is: single events
    cost = 0
    for number, payload in enumerate(payloads):
        cost += max(len(payload), COMMA_BYTES * payload.count(b",")) if payload < b"{" else len(payload)
        if cost > TURN_BYTES and number:
            return number
    return len(payloads)
