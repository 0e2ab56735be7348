"""Rows -> the Ledger that they were told by: the same calls, in the same order, with the same times.

A replay that is `exact` has the state that the recorder had. It is not before its first checkpoint, and after rows are
missing; the next checkpoint makes it so again, as a restart of the daemon there would.
"""

import zlib
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from sidecar.core.checkpoint.codec import SEAL_BYTES
from sidecar.core.commit.commit import Commit
from sidecar.core.counts.rules import Rules
from sidecar.core.counts.state import State
from sidecar.core.journal.journaled import JournaledLedger
from sidecar.core.journal.reports import differences, report_of, snapshot_of
from sidecar.core.journal.rows import (
    AnswerRow,
    BatchRow,
    BlindRow,
    FreezeRow,
    GapRow,
    JournalRow,
    MemberRow,
    QueuesRow,
    RecordingHeader,
    ReloadRow,
    ReportRow,
    RulesRow,
    StateRow,
    StepRow,
    TakeOverRow,
    WatchRow,
    batch_of,
)
from sidecar.core.snapshot.snapshot import Snapshot


class ReplayedLedger(JournaledLedger):
    """Gives its commits the recorded tokens."""

    token = ""

    def commit_token(self) -> str:
        return self.token


class Unlike(Struct, frozen=True):
    """A value of the recording that the replay does not have, at the commit of `at` (Unix seconds)."""

    at: float
    where: str
    recorded: Any
    replayed: Any


class Replay:
    """Plays a recording. `unlike` are the differences found, `gaps` says what is missing."""

    def __init__(
        self,
        new_ledger: Callable[[RecordingHeader], ReplayedLedger],
        saved: Mapping[str, Any] | None = None,
    ) -> None:
        """`new_ledger` returns a new Ledger that counts as the recorder did; `saved` is a report to compare with."""
        self.header: RecordingHeader | None = None
        self.ledger: ReplayedLedger | None = None
        self.events = 0
        self.compared = 0  # how many reports and checkpoints
        self.exact = False
        self.unlike: list[Unlike] = []
        self.gaps: list[str] = []
        self._new_ledger = new_ledger
        self.saved = saved
        self.state = State()  # what was committed last
        self._rules = Rules()
        self._flight: Commit | None = None
        self._member: int | None = None
        self._skip = 0

    def snapshot(self) -> Snapshot:
        """Return what was committed last."""
        return snapshot_of(self.state, self._rules, self.header.instance if self.header else "")

    def lose(self, what: str) -> None:
        """Note that rows are missing here."""
        self.gaps.append(what)
        self.exact = False

    def play(self, row: RecordingHeader | JournalRow, payloads: list[bytes]) -> None:
        """Play the next row. Raises CheckpointError for a checkpoint that this version cannot read."""
        match row:
            case RecordingHeader():
                if self.header is None or row.run != self.header.run:
                    self.exact, self._member = False, None
                self.header = row
            case MemberRow():
                self._number(row.number)
            case GapRow():
                self.lose(f"{row.events} events were not recorded: {row.reason}")
            case TakeOverRow():
                self._take_over(row.fields, row.now)
            case StateRow() if not self.exact:
                self._take_over(row.fields, row.now)
            case StateRow():
                self._skip = row.repeated
                self._compare_checkpoint(row.fields)
            case BatchRow() if self._skip:
                self._skip -= 1
            case _ if self.ledger is not None:
                self._call(self.ledger, row, payloads)

    def _call(self, ledger: ReplayedLedger, row: JournalRow, payloads: list[bytes]) -> None:
        """Do what the row says."""
        match row:
            case BatchRow():
                ledger.apply(batch_of(row, payloads), row.now)
                self.events += len(payloads)
            case WatchRow():
                ledger.watch(row.now, hears=row.hears)
            case QueuesRow():
                ledger.read(row.readings)
            case BlindRow():
                ledger.blind(row.seconds)
            case StepRow():
                ledger.step(row.by, row.now)
            case FreezeRow():
                ledger.token = row.token
                self._flight = ledger.freeze(row.now)
            case AnswerRow() if self._flight is not None:
                ledger.resolve(self._flight, row.answer, row.now)
                if ledger.active:
                    self.state = ledger.aggregate.committed
                self._compare_saved()
            case ReloadRow():
                ledger.reload(row.fields)
                self.state = ledger.aggregate.committed
            case RulesRow():
                self._rules = row.rules
                ledger.adopt(row.rules)
            case ReportRow() if self.exact:
                self._compare(msgspec.json.decode(row.report))

    def _number(self, number: int) -> None:
        if self._member is not None and number != self._member + 1:
            self.lose(
                f"members {self._member + 1} to {number - 1} are missing"
                if number > self._member
                else "a file is repeated"
            )
        self._member = number

    def _take_over(self, fields: Mapping[str, bytes], now: float) -> None:
        assert self.header is not None
        self.ledger, self._rules = self._new_ledger(self.header), self.header.rules
        self.ledger.take_over(fields, now)
        self.state, self._flight, self._skip, self.exact = self.ledger.aggregate.committed, None, 0, True

    def _compare(self, recorded: Mapping[str, Any]) -> None:
        self.compared += 1
        found = differences(recorded, msgspec.json.decode(report_of(self.state, self._rules)))
        self._found(found)

    def _compare_saved(self) -> None:
        if self.saved is not None and self.saved.get("committed_at") == self.state.total.committed_at:
            self._compare(self.saved)
            self.saved = None

    def _compare_checkpoint(self, recorded: Mapping[str, bytes]) -> None:
        assert self.ledger is not None
        self.compared += 1
        replayed = self.ledger.checkpoint()
        names = sorted(recorded.keys() | replayed.keys())
        pairs = [(name, recorded.get(name), replayed.get(name)) for name in names]
        self._found([one for one in pairs if _content(one[1]) != _content(one[2])])

    def _found(self, found: list[tuple[str, Any, Any]]) -> None:
        at = self.state.total.committed_at or 0.0
        self.unlike += [Unlike(at, *one) for one in found]


def _content(stored: bytes | None) -> bytes | None:
    """Return an entry of a checkpoint inflated: another zlib deflates to other bytes."""
    if stored is None:
        return None
    try:
        return zlib.decompress(stored[:-SEAL_BYTES])
    except zlib.error:
        return stored
