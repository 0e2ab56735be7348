"""Ledgers with a journal in memory, and what a replay of it finds."""

from collections.abc import Iterable, Mapping
from random import Random
from typing import Any

import msgspec

from sidecar.core.commit.aggregator import Aggregator
from sidecar.core.counts.rules import Rules
from sidecar.core.journal.journaled import JournaledLedger
from sidecar.core.journal.replay import Replay
from sidecar.core.journal.rows import MemberRow, RecordingHeader, encode, rows
from sidecar.daemon.build import replayed
from tests.ledgers import RULES, T0

OWNER = "here:1:a"


def header(rules: Rules = RULES, **changes: object) -> RecordingHeader:
    """Return the header of a segment."""
    known = {"sidecar": "0", "made": "daemon", "instance": "i", "run": "r", "owner": OWNER, "started_at": T0}
    return msgspec.convert(
        {**known, "pubsub": ("c",), "streams": ("s",), "apart": False, "rules": rules, **changes}, RecordingHeader
    )


class Lines:
    """A journal in memory: its segments, each of one member."""

    def __init__(self) -> None:
        self.due = False
        self.segments: list[list[bytes]] = []
        self.events = self.flushed = 0

    def begin(self, rules: Rules, row: bytes) -> None:
        self.due = False
        self.segments.append([encode(header(rules)), encode(MemberRow(len(self.segments))), row])

    def tell(self, row: bytes, events: int = 0) -> None:
        if self.segments:
            self.segments[-1].append(row)
            self.events += events

    def flush(self) -> None:
        self.flushed += 1


def journaled(lines: Lines | None = None) -> JournaledLedger:
    """Return a Ledger of two sources that tells `lines` what changes it."""
    numbers = Random(5)
    ledger = JournaledLedger(
        rules=RULES,
        owner=OWNER,
        streams=("s",),
        random_id=lambda: f"{numbers.getrandbits(40):x}",
        fresh=lambda: Aggregator(RULES, Random(1)),
    )
    ledger.journal = lines
    return ledger


def began(lines: Lines | None = None) -> JournaledLedger:
    """Return one that took over an empty checkpoint."""
    ledger = journaled(lines)
    ledger.take_over({"n": b"1", "own": f"{OWNER} e t".encode(), "gen": b""}, T0)
    return ledger


def replay(segments: Iterable[list[bytes]], saved: Mapping[str, Any] | None = None) -> Replay:
    """Replay segments."""
    found = Replay(replayed, saved)
    for segment in segments:
        for row, payloads in rows(b"".join(segment)):
            found.play(row, payloads)
    return found
