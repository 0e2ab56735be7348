"""A Ledger that tells a recorder, as rows, what changes it."""

from collections.abc import Mapping
from typing import Any, Protocol

from msgspec import Raw

from sidecar.core.commit.commit import POSITION, Commit, CommitAnswer
from sidecar.core.commit.ledger import LISTENED, Applied, CommitVerdict, Ledger
from sidecar.core.counts.liveness import Changes
from sidecar.core.counts.queue_read import QueueReading
from sidecar.core.counts.rules import Rules
from sidecar.core.events.batch import Batch
from sidecar.core.journal.reports import report_of
from sidecar.core.journal.rows import (
    AnswerRow,
    BlindRow,
    FreezeRow,
    JournalRow,
    QueuesRow,
    ReloadRow,
    ReportRow,
    RulesRow,
    StateRow,
    StepRow,
    TakeOverRow,
    WatchRow,
    encode,
    encode_batch,
)

REPORT_SECONDS = 60.0
MOST_REPEATED = 200


class Journal(Protocol):
    """Where the rows go. `due`: the next commit is to begin a segment."""

    due: bool

    def begin(self, rules: Rules, row: bytes) -> None:
        """Begin a segment with this row; a replay can begin there, too."""
        ...

    def tell(self, row: bytes, events: int = 0) -> None:
        """Take a row, with the number of events in it."""
        ...

    def flush(self) -> None:
        """Write soon: a commit landed."""
        ...


class JournaledLedger(Ledger):
    """Tells each call that changes it, if there is a journal."""

    journal: Journal | None = None

    def __init__(self, *, rules: Rules, **parts: Any) -> None:
        """`rules` are those of the Aggregators that `fresh` returns; `parts` are the arguments of a Ledger."""
        super().__init__(**parts)
        self.rules = rules
        self._repeated: list[bytes] | None = None  # batches since the freeze of the commit that begins a segment
        self._reported_at = 0.0

    def take_over(self, fields: Mapping[str, bytes], now: float) -> None:
        super().take_over(fields, now)
        self._repeated = None
        if self.journal:
            self.journal.begin(self.rules, encode(TakeOverRow(now, dict(fields))))

    def apply(self, batch: Batch, now: float) -> Applied:
        applied = super().apply(batch, now)
        if self.journal and applied != "stale":
            row = encode_batch(batch, now)
            self.journal.tell(row, len(batch.payloads))
            if self._repeated is not None:  # too many: the next commit may do
                self._repeated = [*self._repeated, row] if len(self._repeated) < MOST_REPEATED else None
        return applied

    def blind(self, seconds: float) -> None:
        self._tell(BlindRow(seconds))
        super().blind(seconds)

    def read(self, readings: Mapping[str, QueueReading]) -> set[str]:
        self._tell(QueuesRow(dict(readings)))
        return super().read(readings)

    def watch(self, now: float, *, hears: bool) -> Changes:
        self._tell(WatchRow(now, hears))
        return super().watch(now, hears=hears)

    def adopt(self, rules: Rules) -> None:
        self._tell(RulesRow(rules))
        self.rules = rules
        super().adopt(rules)

    def step(self, by: float, now: float) -> None:
        self._tell(StepRow(now, by))
        super().step(by, now)

    def freeze(self, now: float) -> Commit:
        sent_again = self.unanswered
        commit = super().freeze(now)
        if not sent_again:
            self._tell(FreezeRow(now, commit.token))
            self._repeated = [] if self.journal and self.journal.due else None
        return commit

    def resolve(self, commit: Commit, answer: CommitAnswer, now: float) -> CommitVerdict:
        self._tell(AnswerRow(now, answer))
        verdict = super().resolve(commit, answer, now)
        if verdict == "ok":
            self._begin(now)
            if now >= self._reported_at + REPORT_SECONDS:
                self._reported_at = now
                self.conclude()
            if self.journal:
                self.journal.flush()
        self._repeated = None
        return verdict

    def reload(self, fields: Mapping[str, bytes]) -> bool:
        reloaded = super().reload(fields)
        self._tell(ReloadRow(dict(fields)))
        return reloaded

    def conclude(self) -> None:
        """Tell the report as of the last commit."""
        if self.journal and self.active:
            self._tell(ReportRow(Raw(report_of(self.aggregate.committed, self.rules))))

    def checkpoint(self) -> dict[str, bytes]:
        """Return the checkpoint as it is stored now."""
        fields = {**self.aggregate.fields(), **self._elsewhere, LISTENED: self._listening}
        fields |= {POSITION + stream: position.dump(stream) for stream, position in self._positions.items()}
        own = {"n": b"%d" % self._number, "own": self._token.encode(), "gen": self._generation.encode()}
        return fields | own

    def _begin(self, now: float) -> None:
        """Begin a segment, if one is due."""
        if self.journal and self._repeated is not None:
            self.journal.begin(self.rules, encode(StateRow(now, self.checkpoint(), len(self._repeated))))
            for row in self._repeated:
                self.journal.tell(row)

    def _tell(self, row: JournalRow) -> None:
        if self.journal:
            self.journal.tell(encode(row))
