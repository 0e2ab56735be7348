"""A replay has the state and the report of the Ledger that was recorded, whatever that went through."""

from random import Random

import msgspec
import pytest
from msgspec.structs import replace

from sidecar.core.commit.commit import CommitAnswer
from sidecar.core.commit.ledger import CommitVerdict
from sidecar.core.counts.queue_read import QueueReading
from sidecar.core.journal.journaled import MOST_REPEATED
from sidecar.core.journal.replay import Replay
from sidecar.core.journal.reports import report_of
from sidecar.core.journal.rows import GapRow, StateRow, encode
from tests.guarantees import in_campaign
from tests.journals import Lines, began, header, replay
from tests.ledgers import RULES, T0, answer, heard, landed, order, read, settle

NASTY = (b"{", b"\xff\xfe{", b"[", b'{"status": "odd"}', b"\n", b"", b'{"type": "t", "x": "\xc3\xa9"}')


class Shop:
    """A Ledger with a journal, and what happens to it: events of every kind, every outcome of a commit."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.lines = Lines()
        self.ledger = began(self.lines)
        self.now = T0
        self.numbers: dict[str, int] = {}
        self.checkpoint = self.ledger.checkpoint()  # an older one, which a rollback may bring back
        self.verdicts: set[CommitVerdict] = set()
        self.commits = 0

    def walk(self, commits: int) -> None:
        """Do things at random until there were so many commits, then commit."""
        while self.commits < commits:
            self.now += self.random.choice((0.0, 0.004, 0.1, 2.5))
            self.random.choice((self.publish, self.add, self.add, self.commit, self.beside))()
        while self.commit() != "ok":
            pass
        self.ledger.conclude()

    def event(self, transport: str) -> bytes:
        """Return an event: rarely what cannot be read, an array, a reading, one that is late, lost or a repeat."""
        kind, producer = self.random.random(), f"{transport}{self.random.randrange(3)}"
        number = self.numbers[producer] = self.numbers.get(producer, 0) + self.random.choice((0, 1, 1, 1, 1, 2))
        known = {"producer": producer, "epoch": 7, "seq": number, "ts": self.now - self.random.choice((0, 0, 0, 40))}
        if kind < 0.1:
            return self.random.choice(NASTY)
        if kind < 0.2:
            what = self.random.choice(
                (
                    {"type": "inventory", "product_id": "p1", "stock": self.random.randrange(100)},
                    {"type": "queue", "waiting": self.random.randrange(9)},
                    {"type": "connections", "active": 4, "producer": producer},
                    {"type": "heartbeat", **known},
                )
            )
            return msgspec.json.encode(what)
        status = self.random.choice(("success", "success", "failed", "pending", "cancelled"))
        product = f"p{self.random.randrange(70)}"
        one = order(
            self.random.randrange(5000), **known, status=status, product_id=product, order_id=f"o{number}", amount="1.5"
        )
        return b"[%s,%s]" % (one, one) if kind > 0.95 else one

    def publish(self) -> None:
        count = self.random.randrange(1, 9)
        batch = heard(*(self.event("c") for _ in range(count)), at=self.now)
        arrivals = [self.now - 0.001 * self.random.randrange(3) for _ in range(count)]
        self.ledger.apply(replace(batch, arrivals=sorted(arrivals)), self.now)

    def add(self) -> None:
        after, lost = self.ledger.position("s"), self.random.choice((0, 0, 0, 3))
        events, empty = [self.event("s") for _ in range(self.random.randrange(9))], self.random.choice((0, 0, 1))
        added = int(after.split("-")[0]) + len(events) + empty + lost
        batch = read(*events, after=after, empty=empty, added=added, length=len(events) + empty)
        self.ledger.apply(replace(batch, arrivals=[self.now] * len(events)), self.now)

    def beside(self) -> None:
        """Do what is no batch and no commit."""
        match self.random.randrange(7):
            case 4:
                self.ledger.read({"mail": QueueReading(at=self.now, waiting=self.random.randrange(9))})
            case 0:
                self.ledger.blind(0.25)
            case 1:
                self.ledger.step(self.random.choice((-30.0, 30.0)), self.now)
            case 2:
                self.ledger.adopt(replace(RULES, refusals=frozenset({self.random.choice("xy")})))
            case 3:
                self.lines.due = True
            case _:
                self.ledger.watch(self.now, hears=True)

    def commit(self) -> CommitVerdict:
        commit = self.ledger.freeze(self.now)
        self.publish()  # while it is on its way
        verdict = self.ledger.resolve(commit, self.answer(landed(commit)), self.now)
        self.verdicts.add(verdict)
        if verdict == "reload":
            self.ledger.reload(self.checkpoint)
        elif verdict == "standby":
            self.ledger.apply(heard(b"{}"), self.now)
            self.ledger.take_over(self.checkpoint, self.now)
        elif verdict == "ok" and self.random.random() < 0.3:
            self.checkpoint = self.ledger.checkpoint()
        return verdict

    def answer(self, ok: CommitAnswer) -> CommitAnswer:
        """Return an answer: every third is another than that it was written, each in turn."""
        own, *_ = ok.token.split(" ")
        rare: list[CommitAnswer] = [
            answer("CLEARED", generation=f"g{self.random.random()}"),
            answer("EMPTY"),
            answer("REREAD"),
            answer("RESET", stream="s"),
            answer("CONFLICT", ok.number, ok.token),
            answer("CONFLICT", 1, f"{own} {self.ledger._era} x"),
            answer("CONFLICT", 1, f"{own} another x"),
            answer("CONFLICT", 1, "there:1:b e t"),
        ]
        self.commits += 1
        return ok if self.commits % 3 else rare[self.commits // 3 % len(rare) - 1]


@pytest.mark.parametrize("walks", [1, *in_campaign(30)])
def test_whatever_happens_the_replay_has_the_same_state_and_report(seed: int, walks: int) -> None:
    met: set[CommitVerdict] = set()
    for number in range(walks):
        shop = Shop(seed + number)
        shop.walk(27)
        found = replay(shop.lines.segments)
        assert (found.unlike, found.gaps, found.exact) == ([], [], True), f"seed {seed + number}"
        assert found.compared >= len(shop.lines.segments) - 12
        assert found.ledger is not None
        assert found.ledger.checkpoint() == shop.ledger.checkpoint()
        assert found.events == shop.lines.events
        rules = shop.ledger.rules
        assert report_of(found.state, rules) == report_of(shop.ledger.aggregate.committed, rules)
        met |= shop.verdicts
    assert met == {"ok", "standby", "reload", "rolled_back", "empty", "cleared", "reread", "reset"}


def segments() -> list[list[bytes]]:
    """Return three segments of one run; the second and third begin with a checkpoint."""
    lines = Lines()
    ledger = began(lines)
    for number in range(1, 4):
        for sent in range(3):
            ledger.apply(heard(order(number, seq=3 * number + sent, producer="p")), T0 + number)
        lines.due = number < 3
        commit = ledger.freeze(T0 + number)
        ledger.apply(heard(order(seq=100 + number, producer="q")), T0 + number)
        ledger.resolve(commit, landed(commit), T0 + number)
    ledger.conclude()
    return lines.segments


def orders(found: Replay) -> int:
    return found.state.total.tallies["orders"]["success"]


def test_a_replay_of_all_segments_compares_each_checkpoint_and_counts_nothing_twice() -> None:
    found = replay(segments())
    assert (orders(found), found.events, found.compared, found.unlike, found.gaps) == (11, 12, 4, [], [])
    assert found.snapshot().instance == "i"


def test_a_replay_may_begin_at_any_segment() -> None:
    """What was not committed yet when the segment began is in it, too."""
    for begin, events in ((1, 9), (2, 5)):
        found = replay(segments()[begin:])
        assert (orders(found), found.events, found.gaps, found.exact) == (11, events, [], True)


def test_a_missing_segment_is_told_and_the_next_checkpoint_makes_it_exact_again() -> None:
    first, _, third = segments()
    found = replay([first, third])
    assert (found.gaps, found.exact, orders(found)) == (["members 1 to 1 are missing"], True, 11)
    assert replay([first, first]).gaps == ["a file is repeated"]


def test_what_the_recorder_dropped_is_told_and_no_report_is_compared_until_the_next_checkpoint() -> None:
    first, second, third = segments()
    gap = encode(GapRow(5, "the disk is too slow"))
    found = replay([first, [*second[:4], gap, *second[4:]]])
    assert (found.gaps, found.exact) == (["5 events were not recorded: the disk is too slow"], False)
    assert found.unlike == []
    assert replay([first, [*second, gap], third]).exact


def test_what_differs_is_named_with_its_commit() -> None:
    found = replay(segments(), {"committed_at": T0 + 2, "orders": {"total": 8}, "instance": "another"})
    assert ("orders.total", 8, 7, T0 + 2) in [(one.where, one.recorded, one.replayed, one.at) for one in found.unlike]
    assert "instance" not in [one.where for one in found.unlike]
    first, second, _ = segments()
    tampered = [first, [second[0], second[1], encode(StateRow(T0, {"c:totals:": b"x", "n": b"9"}, 1)), *second[3:]]]
    assert {"n", "c:totals:"} <= {one.where for one in replay(tampered).unlike}


def test_a_later_run_begins_anew() -> None:
    again = [[encode(header(run="another")), *segment[1:]] for segment in segments()]
    assert orders(replay([*segments(), *again])) == 11


def test_without_a_journal_nothing_is_told_and_before_a_checkpoint_nothing_is_played() -> None:
    ledger = began()
    ledger.apply(heard(order()), T0)
    ledger.conclude()
    settle(ledger)
    first, *_ = segments()
    assert replay([[first[0], *first[3:]]]).events == 0


def test_a_commit_that_takes_too_long_does_not_begin_a_segment() -> None:
    """What came meanwhile would have to be held; the next commit may be quicker."""
    lines = Lines()
    ledger = began(lines)
    lines.due = True
    commit = ledger.freeze(T0)
    for _ in range(MOST_REPEATED + 1):
        ledger.apply(heard(order()), T0)
    assert ledger.freeze(T0) is commit, "it is sent again"
    ledger.resolve(commit, landed(commit), T0)
    assert (lines.due, len(lines.segments)) == (True, 1)
    settle(ledger)
    assert (lines.due, len(lines.segments), lines.flushed) == (False, 2, 2)
