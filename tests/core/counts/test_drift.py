"""Events against the queue: what is in flight is no drift, and what is lost or counted twice shows to the job."""

from collections.abc import Callable, Iterator
from random import Random

import pytest
from msgspec.structs import replace

from sidecar.core.checkpoint.state import dump_state, load_state
from sidecar.core.counts.drift import WINDOW_SECONDS, Drift
from sidecar.core.counts.queue_read import Balance, QueueRead, QueueReading
from sidecar.core.counts.rules import Rules
from tests.core.counted import NOW, aggregator, batch, commit, content, order, shown

RULES = Rules(order_queue="jobs")


class Ground:
    """A queue with a comparison; `at` is now."""

    def __init__(self) -> None:
        self.drift = Drift()
        self.part = QueueRead(QueueReading(at=NOW))
        self.at = NOW

    def see(self, orders: int, finished: int | None, active: int = 0, after: float = 0.5) -> int | None:
        self.at += after
        reading = QueueReading(at=self.at, finished=finished, active=active)
        self.part.merge(QueueRead(reading))
        self.drift.judge(self.part, orders, self.at)
        return None if self.part.balance is None else self.part.balance.drift

    def stay(self, orders: int, finished: int | None, active: int = 0) -> int | None:
        """See the same for longer than the window."""
        return [self.see(orders, finished, active) for _ in range(30)][-1]


@pytest.fixture
def ground() -> Ground:
    return Ground()


def sale(random: Random, event_late: Callable[[], float], written_every: float) -> Iterator[tuple[int, int, int]]:
    """Yield orders, finished and active of a sale at each half second: 60 s of jobs, and 30 s of quiet."""
    begins = [random.uniform(0, 60) for _ in range(1000)]
    jobs = [(begin, begin + (took := random.expovariate(2)), begin + took + event_late()) for begin in begins]
    written = 0
    for tick in range(180):
        now = tick / 2
        if now % written_every < 0.5:
            written = sum(end <= now for _, end, _ in jobs)
        yield sum(event <= now for *_, event in jobs), written, sum(begin <= now < end for begin, end, _ in jobs)


@pytest.mark.parametrize("late", [-0.1, 0.0, 3.0])
@pytest.mark.parametrize("written_every", [0.5, 10.0])
def test_what_is_in_flight_is_no_drift(ground: Ground, seed: int, late: float, written_every: float) -> None:
    random = Random(seed)
    seen = sale(random, lambda: random.uniform(0, 1) * late, written_every)
    assert {ground.see(500 + orders, 70 + finished, active) for orders, finished, active in seen} <= {None, 0}
    assert ground.part.balance == Balance(430, 430), "nothing in flight: it is exact"


def test_lost_and_doubled_events_show_to_the_job(ground: Ground) -> None:
    assert ground.stay(100, 40) == 0
    assert ground.stay(110, 57) == -7
    assert ground.stay(140, 57) == 23
    assert ground.stay(160, 100) == 0, "made up for"


def test_active_jobs_may_have_sent_their_events(ground: Ground) -> None:
    ground.stay(100, 100)
    assert ground.stay(104, 100, active=4) == 0
    assert ground.stay(105, 100, active=4) == 1


def test_a_counter_that_somebody_reset_restarts_the_comparison(ground: Ground) -> None:
    ground.stay(100, 100)
    assert ground.stay(100, 120) == -20
    assert ground.see(100, 0) is None
    assert ground.stay(100, 0) == 0
    assert ground.see(0, 0) is None
    assert ground.stay(0, 0) == 0


def test_a_queue_without_a_counter_is_not_compared(ground: Ground) -> None:
    assert ground.stay(100, None) is None


def test_nothing_is_judged_before_a_whole_window_was_seen(ground: Ground) -> None:
    ground.see(0, 0)
    assert ground.see(0, 0, after=WINDOW_SECONDS - 1) is None
    assert ground.see(0, 0, after=1) == 0
    ground.drift.restart()
    assert ground.see(99, 0) == 0, "as before, for another window"
    assert ground.stay(99, 0) == 99


def test_the_orders_of_a_queue_are_compared_and_the_drift_survives_a_restart() -> None:
    aggregate = aggregator(RULES)
    reading = QueueReading(at=NOW, waiting=0, active=0, finished=10)
    for tick in range(60):
        now = NOW + tick / 2
        if tick == 30:
            aggregate.apply(batch(order(), order("failed"), order("pending"), at=now), now)
        aggregate.read({"jobs": replace(reading, at=now), "mail": replace(reading, at=now, finished=tick)})
        commit(aggregate, now)
    queues = shown(aggregate, now, RULES).queues
    assert (queues["jobs"].drift_jobs, queues["mail"].drift_jobs) == (2, None)
    again = load_state(dump_state(aggregate.committed))
    assert content(again) == content(aggregate.committed)
    assert again.reads["jobs"].balance == Balance(-10, -10, 2)
    aggregate.step(-5.0, now - 5)
    aggregate.read({"jobs": replace(reading, at=now - 5)})
    commit(aggregate, now - 5)
    assert shown(aggregate, now - 5, RULES).queues["jobs"].drift_jobs == 2
    aggregate.clear(now)
    commit(aggregate, now)
    assert not shown(aggregate, now, RULES).queues


def test_a_counter_that_was_reset_while_nobody_looked_restarts_the_comparison(ground: Ground) -> None:
    ground.stay(10_000, 10_000)
    ground.drift = Drift()  # a restart; the balance is stored
    assert ground.stay(10_000, 0) == 0


def test_a_comparison_that_was_switched_off_has_no_drift(ground: Ground) -> None:
    ground.stay(100, 40)
    assert ground.stay(100, None) is None
    aggregate = aggregator(RULES)
    for tick in range(60):
        aggregate.read({"jobs": QueueReading(at=NOW + tick / 2, waiting=0, finished=tick)})
        commit(aggregate, NOW + tick / 2)
    assert aggregate.committed.reads["jobs"].balance is not None
    aggregate.adopt(Rules())
    aggregate.read({"jobs": QueueReading(at=NOW + 31, waiting=0, finished=60)})
    commit(aggregate, NOW + 31)
    assert aggregate.committed.reads["jobs"].balance is None
