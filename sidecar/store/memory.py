"""The store in memory: the checks and outcomes of the scripts, on a dict. Nothing survives the process."""

import time
from collections.abc import Callable, Mapping

import msgspec

from sidecar.core.checkpoint.codec import COUNTS, SALES, field
from sidecar.core.checkpoint.generation import clears, with_metric
from sidecar.core.commit.commit import POSITION, START, Commit, CommitAnswer, CommitOutcome, order, owner_of
from sidecar.core.counts.pending import RejectedEvent
from sidecar.core.counts.sale import Announcement
from sidecar.core.counts.state import State
from sidecar.errors import CheckpointError
from sidecar.redis.info import ServerInfo
from sidecar.store import Aside, Taken, keys


class MemoryStore:
    """One prefix: `fields` is its checkpoint, `damaged` one that was set aside, `public` its keys, without expiry.

    Tests set `replid`, the `master_replid` under which streams are read. It knows of no fleet but itself.
    """

    server = ServerInfo()

    def __init__(
        self,
        *,
        lease: float,
        clock: Callable[[], float] = time.monotonic,
        replid: str = "memory",
        last_ids: Mapping[str, str] | None = None,
    ) -> None:
        """`lease` is in seconds of `clock`; `last_ids` has the newest id of each stream, which the streams update."""
        self.fields: dict[str, bytes] = {}
        self.damaged: dict[str, bytes] = {}
        self.public: dict[str, int | str | list[bytes]] = {}
        self.replid = replid
        self._last_ids = last_ids if last_ids is not None else {}
        self._lease = lease
        self._clock = clock
        self._owner = ""
        self._lease_end = 0.0

    async def take(self, owner: str, token: str, *, dead: str, create: bool) -> Taken:
        current = self._owner if self._clock() < self._lease_end else ""
        if current not in ("", owner, dead):
            return Taken(None, current)
        if "n" not in self.fields and not create:
            return Taken(None)
        if self._is_damaged():
            self._renew(owner)
            raise CheckpointError("its number is damaged")
        number = int(self.fields.get("n", b"0")) + 1
        self.fields |= {"gen": self.fields.get("gen", b""), "n": b"%d" % number, "own": token.encode()}
        self._renew(owner)
        return Taken(dict(self.fields))

    async def commit(self, commit: Commit, fields: Mapping[str, bytes], committed: State, now: float) -> CommitAnswer:
        if self._is_damaged():
            raise CheckpointError("its number is damaged")
        outcome, stream = self._check(commit)
        if outcome == "OK":
            self._write(commit, fields, committed, now)
        return CommitAnswer(
            outcome=outcome,
            number=int(self.fields.get("n", b"0")),
            token=self._text("own"),
            generation=self._text("gen"),
            replid=self.replid,
            stream=stream,
            said=self._text("said"),
        )

    async def load(self) -> dict[str, bytes]:
        return dict(self.fields)

    async def set_aside(self, owner: str) -> Aside | None:
        if self._clock() >= self._lease_end or owner != self._owner:
            return None
        self._renew(owner)
        dropped = bool(self.damaged)
        self.damaged = self.damaged or self.fields
        self.fields = {}
        return Aside(keys.DAMAGED, dropped)

    async def release(self, owner: str) -> None:
        if owner == self._owner:
            self._owner = ""

    async def clear(self, generation: str) -> bytes:
        if self._text("gen") != generation:
            totals = self.fields.get(field("totals", ""), b"")
            gone = [name for name in self.fields if name.startswith(COUNTS) and not name.startswith(SALES)]
            self.fields = {name: value for name, value in self.fields.items() if name not in gone}
            self.fields |= {"gen": generation.encode(), "cleared": totals, "cleared_at": b"%.6f" % self._clock()}
            self.public.clear()
        return self.fields["cleared"]

    async def clear_metric(self, name: str, id: str) -> bool:
        generation = self._text("gen")
        if f"{name}={id}" in clears(generation):
            return True
        series = [key for key in self.fields if key.startswith(field("custom", f"{name}\n"))]
        if series:
            for key in series:
                del self.fields[key]
            self.fields["gen"] = with_metric(generation, name, id).encode()
            self.public.pop(f"custom:{name}", None)
        return bool(series)

    async def announce(self, said: Announcement) -> bool:
        if self.fields:
            self.fields["said"] = msgspec.json.encode(said)
        return bool(self.fields)

    async def rejected(self, limit: int) -> list[RejectedEvent]:
        entries = self.public.get("rejected", [])
        assert isinstance(entries, list)
        return [msgspec.json.decode(entry, type=RejectedEvent) for entry in entries[:limit]]

    async def facts(self) -> dict[str, str]:
        return {}

    async def now(self, local: float) -> float:
        return local

    async def register(self, fleet: str, instance: str, now: float) -> None:
        pass

    async def members(self, fleet: str, now: float) -> dict[str, str]:
        return {}

    async def state(self, prefix: str) -> State | None:
        return None

    async def close(self) -> None:
        pass

    def _check(self, commit: Commit) -> tuple[CommitOutcome, str]:
        """Return the outcome, and the stream that caused it, if any."""
        if "n" not in self.fields:
            if commit.number:
                return "EMPTY", ""
        elif (int(self.fields["n"]), self._text("own")) != (commit.number, commit.expected):
            return "CONFLICT", ""
        if "gen" in self.fields and self._text("gen") != commit.generation:
            return "CLEARED", ""
        if commit.replid not in ("", self.replid):
            return "REREAD", ""
        for stream, position in commit.positions.items():
            if stream not in commit.unchecked and order(self._last_ids.get(stream, START)) < order(position.id):
                return "RESET", stream
        return "OK", ""

    def _write(self, commit: Commit, fields: Mapping[str, bytes], committed: State, now: float) -> None:
        if commit.full:
            self.fields = {name: value for name, value in self.fields.items() if name == "said"}
        self.fields |= {POSITION + stream: position.dump(stream) for stream, position in commit.positions.items()}
        self.fields |= fields
        for name in keys.removed(commit.flight):
            self.fields.pop(name, None)
        for value in keys.values(commit.flight, committed, everything=commit.full, now=now):
            self.public[value.key] = value.value
        for listing in keys.listings(commit.flight, keep_rejected=True):
            known = self.public.get(listing.key, [])
            assert isinstance(known, list)
            self.public[listing.key] = [*reversed(listing.entries), *known][: listing.kept]
        self.fields |= {"n": b"%d" % (commit.number + 1), "own": commit.token.encode()}
        self.fields["gen"] = commit.generation.encode()
        self._renew(owner_of(commit.token))

    def _is_damaged(self) -> bool:
        return not self.fields.get("n", b"0").isdigit()

    def _renew(self, owner: str) -> None:
        self._owner, self._lease_end = owner, self._clock() + self._lease

    def _text(self, name: str) -> str:
        return self.fields.get(name, b"").decode()
