"""A stream as a source: plain XREAD from a position, no consumer group, nothing left behind in Redis."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from msgspec import Struct
from msgspec.structs import astuple

from sidecar.core.events.batch import Batch, Empty, StreamRead, before_yield
from sidecar.core.events.source import STREAM, raw_key
from sidecar.core.mapping.entries import PayloadOf
from sidecar.errors import CommandError, UnavailableError
from sidecar.redis.errors import advised
from sidecar.redis.link import Link, converted, only_bytes, reading_reply
from sidecar.redis.servers import Servers

ENTRIES_A_READ = 500  # larger reads are slower: the garbage collector runs more
# An entry may have 1 MiB, and tens of that from an attacker. So the first read of a connection asks for few entries,
# and each later read for as many as fit by the size of those before. A new connection starts with half of what the
# last one asked for: entries that cannot be read in time together are read in smaller portions.
ENTRIES_AT_FIRST = 10
BYTES_A_READ = 8 << 20
BLOCK_MS = 1000  # well below the reply timeout of the connection
# After a read that emptied the stream: entries gather, so that a slow stream costs Redis 50 reads a second at most.
PACE_SECONDS = 0.02
FIELD = b"e"


class _Unread(Struct, frozen=True):
    """Entries that were read, but not returned yet: all after the entry `after`; `facts` are those of XINFO."""

    after: str
    replid: str
    entries: list[Any]
    payloads: list[bytes]
    arrivals: list[float]
    facts: dict[bytes, Any]


class StreamSource:
    """The entries of one stream."""

    kind = STREAM

    def __init__(self, stream: str, servers: Servers, payload_of: PayloadOf | None = None) -> None:
        """`payload_of` finds the event in the fields of an entry; by default it is in the field `e`."""
        self.name = f"stream:{stream}"
        self._stream = stream
        self._key = raw_key(stream)
        self._servers = servers
        self._payload_of = payload_of or _field_e
        self._link: Link | None = None
        self._replid = ""
        self._drained = False
        self._unread: _Unread | None = None
        self.lag_seconds = 0.0
        self._portion = 2 * ENTRIES_AT_FIRST

    async def connect(self) -> None:
        await self.close()
        link = await self._servers.open(self._stream)
        try:
            self._replid = await link.replid()
        except BaseException:
            await link.close()
            raise
        self._portion = max(min(self._portion // 2, ENTRIES_AT_FIRST), 1)
        self._link, self._drained, self._unread = link, False, None

    async def read(self, after: str) -> Batch | None:
        link = self._link
        if link is None:
            raise UnavailableError("not connected")
        unread, self._unread = self._unread, None
        if unread is not None and (unread.after, unread.replid) == (after, self._replid):
            with reading_reply(self.name):
                return self._next(unread)
        if self._drained:
            await asyncio.sleep(PACE_SECONDS)
            await link.call("XREAD", "COUNT", 1, "BLOCK", BLOCK_MS, "STREAMS", self._key, after)
        if not self._replid:
            self._replid = await link.replid()
        return await self._read(link, after, self._replid)

    def ask_again(self) -> None:
        """Ask Redis for its `master_replid` before the next read: the commit found another one."""
        self._replid = ""

    async def leftover(self, give: Callable[[Batch], object]) -> None:
        pass  # the stream keeps it

    async def close(self) -> None:
        if self._link is not None:
            await self._link.close()
            self._link = None

    async def _read(self, link: Link, after: str, replid: str) -> Batch:
        """Read entries and the counters of the stream in one transaction, so that they fit together.

        `replid` is a parameter because `ask_again` may clear the attribute meanwhile.
        """
        *queued, replies = await link.calls(
            [
                ("MULTI",),
                ("XREAD", "COUNT", self._portion, "STREAMS", self._key, after),
                ("XINFO", "STREAM", self._key),
                ("EXEC",),
            ]
        )
        if isinstance(replies, Exception):  # the error of EXEC does not name the cause
            cause = next((reply for reply in queued if isinstance(reply, Exception)), replies)
            raise CommandError(f"reading stream {self._stream!r}: {advised(str(cause))}")
        with reading_reply(self.name):
            found, info = replies
            if isinstance(found, Exception):
                raise CommandError(f"reading stream {self._stream!r}: {advised(str(found))}")
            entries = found[0][1] if found else []
            payloads, arrivals = self._events(entries)
            facts = {} if isinstance(info, Exception) else dict(zip(info[::2], info[1::2], strict=True))
            self._drained = len(entries) < self._portion
            if entries:
                self._portion = _portion(sum(map(len, payloads)) / len(entries))
            return self._next(_Unread(after, replid, entries, only_bytes(payloads), arrivals, facts))

    def _next(self, unread: _Unread) -> Batch:
        """Return as many entries as are counted before other tasks run; keep the rest for the next read."""
        after, replid, entries, payloads, arrivals, facts = astuple(unread)
        if (count := before_yield(payloads)) < len(payloads):
            at = [at for at, (_, pairs) in enumerate(entries) if self._payload_of(pairs or ()) is not None][count]
            rest = entries[at:]
            entries, payloads, arrivals = entries[:at], payloads[:count], arrivals[:count]
            last = entries[-1][0].decode()
            self._unread = _Unread(last, replid, rest, unread.payloads[count:], unread.arrivals[count:], facts)
        complete = self._drained and self._unread is None
        self.lag_seconds = max(time.time() - arrivals[-1], 0.0) if arrivals and not complete else 0.0
        read = {
            "after": after,
            "last": entries[-1][0].decode() if entries else after,
            "replid": replid,
            "entries": len(entries),
            "added": facts.get(b"entries-added"),
            "length": facts.get(b"length", 0),
            "complete": complete,
            "exists": bool(facts),
            "oldest": facts[b"first-entry"][0].decode() if facts.get(b"first-entry") else None,
            "newest": facts[b"last-generated-id"].decode() if facts else None,
        }
        return Batch(
            source=self.name,
            payloads=payloads,
            arrivals=arrivals,
            empty=self._empty(entries) if len(payloads) < len(entries) else [],
            stream=converted(read, StreamRead, self.name),
        )

    def _events(self, entries: list[Any]) -> tuple[list[bytes], list[float]]:
        """Return the payloads of entries that have one, with their arrivals. Many arrive within one millisecond."""
        payloads: list[bytes] = []
        arrivals: list[float] = []
        millisecond, arrival = b"-", 0.0
        first = FIELD if self._payload_of is _field_e else None
        for entry_id, pairs in entries:
            payload = pairs[1] if pairs and pairs[0] == first else self._payload_of(pairs or ())
            if payload is not None:
                if not entry_id.startswith(millisecond):
                    millisecond = entry_id[: entry_id.index(b"-") + 1]
                    arrival = int(millisecond[:-1]) / 1000
                payloads.append(payload)
                arrivals.append(arrival)
        return payloads, arrivals

    def _empty(self, entries: list[Any]) -> list[Empty]:
        """Return the entries without a payload."""
        return [
            Empty(entry_id.decode(), only_bytes(list(pairs or ())))
            for entry_id, pairs in entries
            if self._payload_of(pairs or ()) is None
        ]


def _portion(entry_bytes: float) -> int:
    """Return how many entries of this size to read at once."""
    return min(max(int(BYTES_A_READ / max(entry_bytes, 1)), 1), ENTRIES_A_READ)


def _field_e(pairs: Any) -> bytes | None:
    """Return the value of the field `e`."""
    for i in range(0, len(pairs), 2):
        if pairs[i] == FIELD:
            return pairs[i + 1]  # type: ignore[no-any-return]
    return None
