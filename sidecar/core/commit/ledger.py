"""The Ledger: which counts are safe. It implements the commit protocol; the store executes it.

A commit is one Lua script that first checks, then writes absolute values (store/commit.lua). Each commit has a token
`owner era random`: the random part is new in every commit, the era whenever a stream contributed. The outcome says what
Redis found, and `resolve` decides what it means:

  OK, or CONFLICT with the token of this flight   the flight is committed; there may have been a clear since
  CONFLICT, another owner                         another sidecar owns the state: drop everything, stand by
  CONFLICT, same owner, same era                  rolled back, but no stream contributed since: write memory again
  CONFLICT, same owner, other era                 rolled back: load what is there, read streams from there
  EMPTY                                           the checkpoint is gone, and perhaps streams: write everything again,
                                                  with all that is pending
  CLEARED                                         there was a clear: empty the committed counts, or those of a custom
                                                  metric; commit pending again
  REREAD                                          Redis restarted or was replaced since streams were read: drop what is
                                                  pending from them, read it again
  RESET                                           a stream was deleted, or lost its end: commit what was read from it;
                                                  the next read decides where to continue

Reading continues after the newest entry that was counted, whatever happens to the stream: if an older copy is restored,
nothing counts twice.

If the streams are on another Redis than the state (`apart`), a commit cannot check them. Their positions keep the
counts exact across a crash. If such a stream loses its end in a failover, reading continues after it, and what was
counted stays counted.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Literal

from msgspec import structs

from sidecar.core.checkpoint.generation import clears, last_clear, metrics_cleared
from sidecar.core.checkpoint.state import dump_state
from sidecar.core.commit.aggregator import MISSED_UNDER, Aggregator
from sidecar.core.commit.commit import POSITION, START, Commit, CommitAnswer, Position, era_of, order, owner_of
from sidecar.core.counts.liveness import Changes
from sidecar.core.counts.queue_read import QueueReading
from sidecar.core.counts.rules import Rules
from sidecar.core.events.batch import Batch, StreamRead
from sidecar.core.events.source import key_of
from sidecar.errors import CheckpointError

LISTENED = "listened"  # entry of the checkpoint: the subscribed pub/sub sources, one per line
LONGEST_NUMBER = 15  # digits: the scripts count with the 53 bits of a Lua number

# A batch was counted; or was stale, and is read again; or its stream was replaced, or lost its end.
Applied = Literal["ok", "stale", "reset", "cut"]
CommitVerdict = Literal["ok", "standby", "reload", "rolled_back", "empty", "cleared", "reread", "reset"]


class Ledger:
    """Committed, in flight and pending counts, and the token that proves who owns them."""

    def __init__(
        self,
        *,
        owner: str,
        streams: tuple[str, ...],
        random_id: Callable[[], str],
        fresh: Callable[[], Aggregator],
        apart: bool = False,
    ):
        """`random_id` returns a new one, `fresh` an empty Aggregator."""
        self.owner = owner
        self.loads = 0  # how often the state was loaded, and may have been older than what was shown
        self._apart = apart
        self._streams = streams
        self._random_id = random_id
        self._fresh = fresh
        self.forget()

    def forget(self) -> None:
        """Drop everything and stand by: another sidecar owns the state, or none does."""
        self.aggregate = self._fresh()
        self.active = False
        self._number = 0
        self._token = ""
        self._era = ""
        self._generation = ""
        self._clears: set[str] = set()
        self._positions = {stream: Position() for stream in self._streams}
        self._read = dict(self._positions)
        self._elsewhere: dict[str, bytes] = {}  # positions of streams that are not configured now
        self._replid = ""
        self._read_on = False  # whether a stream was read since the last flight
        self._in_flight: Commit | None = None
        self._full = False
        self.away: float | None = None  # last commit or clear before this sidecar took over the state
        self._listened: set[bytes] | None = None  # the pub/sub sources at that time; unknown before version 0.2
        self._listening = b""

    @property
    def generation(self) -> str:
        """The clears that the state has had (generation.py), "" without one."""
        return self._generation

    @property
    def unanswered(self) -> bool:
        """Whether a commit is in flight without an answer."""
        return self._in_flight is not None

    def next_token(self) -> str:
        """Return a token that begins a new era."""
        return f"{self.owner} {self._random_id()} {self._random_id()}"

    def position(self, stream: str) -> str:
        """Return the id after which to continue reading."""
        return self._read[stream].id

    def listened(self, source: str) -> bool:
        """Return whether a pub/sub source was configured when the state was last committed."""
        return self._listened is None or source.encode() in self._listened

    def listen(self, sources: Iterable[str]) -> None:
        """Store the pub/sub sources with every commit from now on."""
        self._listening = "\n".join(sources).encode()

    def uncommitted(self) -> int:
        """Return how many events were counted, but are not known to be committed."""
        flying = self._in_flight.flight if self._in_flight else None
        taken = flying.pending.values() if flying else ()
        return self.aggregate.pending_events() + sum(part.state.total.tallies["received"].total() for part in taken)

    def take_over(self, fields: Mapping[str, bytes], now: float) -> None:
        """Take over the state that the store returned. Raises CheckpointError, and takes nothing, if it is damaged."""
        self.forget()
        self._load(fields)
        self.active = True
        self.away = self.aggregate.committed.total.committed_at
        self._listened = set(fields[LISTENED].split(b"\n")) if LISTENED in fields else None
        self.aggregate.step(0.0, now)  # the clock behind the stored state may have been ahead
        if self.aggregate.committed.total.since is None:
            self.aggregate.begin(now)

    def apply(self, batch: Batch, now: float) -> Applied:
        """Count a batch, unless it is stale: the state has changed since it was read."""
        if not self.active:
            return "stale"
        if batch.stream is None:
            self.aggregate.apply(batch, now)
            return "ok"
        return self._apply_stream(batch, batch.stream, now)

    def _apply_stream(self, batch: Batch, read: StreamRead, now: float) -> Applied:
        stream = key_of(batch.source)
        position = self._read[stream]
        if read.after != position.id:
            return "stale"
        if not self._apart and self._replid not in ("", read.replid):
            return "stale"  # the next commit shows what happened
        if not read.exists:
            return self._absent(stream, position, read)
        known = position.away  # and reported
        applied: Applied = "ok"
        if _is_another(position, read, returned=known):
            applied, position = self._follow(batch.source, position, read)
        if position.id != read.after:  # the next read starts there
            self._moved(stream, position, read.replid)
        else:
            self._moved(stream, self._advanced(batch.source, position, read), read.replid)
            self.aggregate.apply(batch, now)
        return "ok" if known else applied

    def _absent(self, stream: str, position: Position, read: StreamRead) -> Applied:
        """Note that a stream is missing: not created yet, or deleted. It may come back, so its position stays."""
        if position.base < 0:  # not created yet: all of it will count
            self._moved(stream, Position(base=0), read.replid)
        if position.id == START or position.away:
            return "ok"
        self._note_away(stream)
        return "reset"

    def _note_away(self, stream: str) -> None:
        """Note that a stream is missing, or ends before its position, until it is read."""
        for positions in (self._read, self._positions):
            positions[stream] = structs.replace(positions[stream], away=True)

    def _follow(self, source: str, position: Position, read: StreamRead) -> tuple[Applied, Position]:
        """Return where to continue in a stream that was replaced, perhaps by an older copy: nothing counts twice.

        Entries that were added, not read, and are gone count as missed.
        """
        other = order(read.oldest or read.newest or START) > order(position.id)  # none of its entries was read
        counted = max(position.base, 0) + position.seen
        lost = position.added - max(0 if other else read.added or 0, counted)
        if position.base >= 0 and lost > 0:
            self.aggregate.miss(source, lost)
        if other:
            return "reset", Position(position.id, base=0)
        end = min(position.id, read.newest or START, key=order)
        base = position.base
        if base >= 0 and read.added is not None and end == read.newest:  # none of its entries is unread or lost
            base = max(base, read.added - position.seen)
        return "cut", Position(end, position.seen, base, read.added or 0)

    def _advanced(self, source: str, position: Position, read: StreamRead) -> Position:
        """Return the position after `read`; count the entries that were trimmed before they were read."""
        seen = position.seen + read.entries
        if read.added is None:
            return Position(read.last, seen, position.base, position.added)
        unread = _unread(read)
        base = position.base if position.base >= 0 else read.added - read.length
        if unread is not None:
            lost = read.added - base - position.seen - unread
            if lost > 0:
                base += lost
                self.aggregate.miss(source, lost)
            else:
                seen += lost  # the stream lost entries that were read, or its counter was set
        if read.complete:
            self.aggregate.settle(source)
        return Position(read.last, seen, base, read.added)

    def _moved(self, stream: str, position: Position, replid: str) -> None:
        if position != self._read[stream]:
            self._read[stream] = position
            self._replid, self._read_on = replid, True

    def blind(self, seconds: float) -> None:
        """Count time in which events that cannot be read again may have been missed."""
        self.aggregate.blind(seconds)

    def read(self, readings: Mapping[str, QueueReading]) -> set[str]:
        """Take what queues said themselves; return the names that there is no room for."""
        return self.aggregate.read(readings)

    def watch(self, now: float, *, hears: bool) -> Changes:
        """Judge which producers are alive; `hears`: every source was connected since the last call."""
        return self.aggregate.watch(now, hears=hears)

    def adopt(self, rules: Rules) -> None:
        """Count by other rules from now on."""
        self.aggregate.adopt(rules)

    def step(self, by: float, now: float) -> None:
        """Follow a clock that was set by `by` seconds, to `now`."""
        self.aggregate.step(by, now, self._in_flight.flight if self._in_flight else None)

    def freeze(self, now: float) -> Commit:
        """Return the commit to send: the unanswered one, else everything pending."""
        if self._in_flight is None:
            self._in_flight = Commit(
                number=self._number,
                expected=self._token,
                generation=self._generation,
                replid=self._replid,
                token=self.commit_token(),
                full=self._full,
                positions=dict(self._read),
                unchecked=frozenset(stream for stream, position in self._read.items() if position.away),
                flight=self.aggregate.freeze(now),
            )
            self._read_on = False
        return self._in_flight

    def commit_token(self) -> str:
        """Return the token of the next commit."""
        era = self._random_id() if self._read_on or self._replid or self._full else self._era
        return f"{self.owner} {era} {self._random_id()}"

    def fields(self, commit: Commit) -> dict[str, bytes]:
        """Return the checkpoint entries that `commit` writes: what changed, or everything if it is full."""
        fields = dump_state(commit.flight.merged, self.aggregate.committed)
        fields.update((name, value) for name, value in commit.flight.windows.items() if value is not None)
        fields[MISSED_UNDER] = last_clear(commit.generation).encode()
        fields[LISTENED] = self._listening
        if commit.full:
            fields = {**self.aggregate.fields(), **self._elsewhere, **fields}
        return fields

    def resolve(self, commit: Commit, answer: CommitAnswer, now: float) -> CommitVerdict:
        """Apply the answer to `commit`. After "reload" the caller must load the checkpoint and call `reload`."""
        match answer.outcome:
            case "OK":
                return self._landed(commit, answer, now)
            case "CONFLICT":
                return self._conflict(commit, answer, now)
            case "EMPTY":
                self._thaw()
                self._number, self._token, self._full = 0, "", True
                self._replid = ""  # memory may have the only copy of what was read
                if answer.generation and not self._knows(answer.generation):
                    self._cleared(answer.generation, now)
                return "empty"
            case "CLEARED":
                self._thaw()
                self._cleared(answer.generation, now)
                return "cleared"
            case "REREAD":
                self._rewind()
                return "reread"
            case _:  # RESET
                self._thaw()
                self._note_away(answer.stream)
                return "reset"

    def _landed(self, commit: Commit, answer: CommitAnswer, now: float) -> CommitVerdict:
        self.aggregate.land(commit.flight, now)
        self.aggregate.following.hear(answer.said)
        self._number, self._token = answer.number, commit.token
        self._era = era_of(commit.token)
        self._positions, self._in_flight, self._full = commit.positions, None, False
        if not self._read_on:  # positions are no proof: a stream that lost its end may have been read again
            self._replid = ""
        return "ok"

    def _conflict(self, commit: Commit, answer: CommitAnswer, now: float) -> CommitVerdict:
        if answer.token == commit.token:  # this commit arrived when it was sent before
            verdict = self._landed(commit, answer, now)
            if self._knows(answer.generation):
                return verdict
            self._cleared(answer.generation, now)
            return "cleared"
        if owner_of(answer.token) != self.owner:
            self.forget()
            return "standby"
        if era_of(answer.token) != self._era:
            return "reload"
        self._rewind()
        self._number, self._token, self._full = answer.number, answer.token, True
        if not self._knows(answer.generation):
            self._cleared(answer.generation, now)
        self._generation = answer.generation
        return "rolled_back"

    def reload(self, fields: Mapping[str, bytes]) -> bool:
        """Continue from this sidecar's older state, after a rollback; False if another one owns it.

        Raises CheckpointError if it is damaged. Then memory is useless, too: call `forget`.
        """
        if "own" not in fields or owner_of(_text(fields, "own")) != self.owner:
            return False
        self._thaw()
        self._load(fields)
        return True

    def _load(self, fields: Mapping[str, bytes]) -> None:
        """Load number, token, generation, positions and counts from the entries of a checkpoint."""
        number, token, generation = _number(fields), _text(fields, "own"), _text(fields, "gen")
        stored = {name: value for name, value in fields.items() if name.startswith(POSITION)}
        positions = {name: Position.load(name.removeprefix(POSITION), value) for name, value in stored.items()}
        known = last_clear(generation) in self._clears
        self.aggregate.load(fields, same_generation=known)
        self.loads += 1
        self._number, self._token, self._generation, self._era = number, token, generation, era_of(token)
        self._clears |= clears(generation)
        self._positions = {stream: positions.get(POSITION + stream, Position()) for stream in self._streams}
        self._elsewhere = {name: stored[name] for name in stored if name.removeprefix(POSITION) not in self._streams}
        self._read, self._replid, self._full = dict(self._positions), "", False

    def _knows(self, generation: str) -> bool:
        return clears(generation) <= self._clears

    def _cleared(self, generation: str, now: float) -> None:
        new = clears(generation) - self._clears
        if last_clear(generation) in new:
            self.aggregate.clear(now)
        else:
            self.aggregate.clear_metrics(metrics_cleared(new))
        self._generation = generation
        self._clears |= new

    def _thaw(self) -> None:
        """Make the flight pending again: it will never land."""
        if self._in_flight is not None:
            self.aggregate.thaw(self._in_flight.flight)
            self._in_flight = None

    def _rewind(self) -> None:
        """Drop what is not committed of streams: it was read from another history."""
        self._thaw()
        self.aggregate.drop_streams()
        self._read, self._replid = dict(self._positions), ""


def _is_another(position: Position, read: StreamRead, *, returned: bool) -> bool:
    """Return whether a stream was replaced or lost its end. `returned`: it was missing in between."""
    if read.added is not None and read.added < position.added:
        return True
    if order(read.newest or START) < order(position.id):
        return True
    return returned and (read.oldest is None or order(read.oldest) > order(position.id))


def _unread(read: StreamRead) -> int | None:
    """Return how many entries there are after the position, including this read; `None` if unknown."""
    if read.complete:
        return read.entries
    return read.length if read.oldest and order(read.oldest) > order(read.after) else None


def _text(fields: Mapping[str, bytes], name: str) -> str:
    try:
        return fields[name].decode()
    except (KeyError, UnicodeDecodeError) as exc:
        raise CheckpointError(f"checkpoint field {name!r} is missing or damaged") from exc


def _number(fields: Mapping[str, bytes]) -> int:
    text = _text(fields, "n")
    if not (text.isascii() and text.isdigit()) or len(text) > LONGEST_NUMBER:
        raise CheckpointError("checkpoint field 'n' is damaged")
    return int(text)
