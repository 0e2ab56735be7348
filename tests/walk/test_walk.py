"""Random walks over features, and those that once showed a fault, against an oracle written from the contract alone.

A failure prints the walk, as short as hypothesis can make it, and a seed; TEST_SEED replays it.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import hypothesis
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from sidecar.core.commit import aggregator
from sidecar.core.commit.aggregator import Aggregator
from sidecar.core.counts import tally
from sidecar.core.counts.labels import Labels
from sidecar.core.counts.state import RINGS, State
from sidecar.core.sequence import numbers as sequence
from sidecar.core.sequence.numbers import Sequences
from sidecar.core.sequence.roll_call import RollCall
from sidecar.core.snapshot import compute, monotonic
from sidecar.daemon import service
from sidecar.daemon.fleet import Age
from tests.conftest import Guarantee, StartRedis
from tests.redis_server import RedisServer
from tests.walk.custom import ORDERS, TIMES, WAITING
from tests.walk.ground import T0, Hands
from tests.walk.served import Served, clock_of
from tests.walk.steps import (
    BUCKETS_MS,
    SERVED_KINDS,
    Buckets,
    Clear,
    ClearMetric,
    Event,
    Fail,
    Failover,
    Flush,
    Freeze,
    Lag,
    Other,
    Publish,
    Reload,
    Restart,
    SetClock,
    Settings,
    Trim,
    Wait,
    Walk,
    walks,
)
from tests.walk.walking import walk

EXAMPLES = 5
SERVED_EXAMPLES, SERVED_STEPS = 3, 16
CONTROL_EXAMPLES = 500
CAMPAIGN_SECONDS = 120
LONG_SECONDS = 3600
ANY = walks()
TakeWalk = Callable[[Walk], Coroutine[Any, Any, int]]


def take_walks(
    seed: int, examples: int, drawn: st.SearchStrategy[Walk] = ANY, take: TakeWalk = walk, *, shrink: bool = True
) -> Counter[str]:
    """Take so many random walks; return what was done."""
    done: Counter[str] = Counter()

    @hypothesis.seed(seed)
    @settings(
        max_examples=examples,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink] if shrink else [Phase.generate],
        report_multiple_bugs=False,
    )
    @given(drawn)
    def take_one(steps: Walk) -> None:
        done.update(walks=1, steps=len(steps), comparisons=asyncio.run(take(steps)))

    take_one()
    return done


def take_walks_for(seconds: float, seed: int, take_some: Callable[[int], Counter[str]], again: str) -> Counter[str]:
    """Take random walks for so long; a failure names the seed that finds it at once in the test named `again`."""
    done: Counter[str] = Counter()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            done += take_some(seed)
        except AssertionError as exc:
            exc.add_note(f"again: TEST_SEED={seed} pytest {__file__} -k {again}")
            raise
        seed += 1
    return done


def take_all_walks_for(seconds: float, seed: int, server: RedisServer, guarantee: Guarantee) -> None:
    """Take random walks for so long, a part of the time on a real Redis; report what was done."""
    done = take_walks_for(seconds * 0.8, seed, in_memory, "whatever_meets")
    served = take_walks_for(seconds * 0.2, seed, partial(on_a_real_redis, server), "on_a_real_redis")
    guarantee("G15", _figure(done))
    guarantee("G15", f"on a real Redis: {_figure(served)}")


def in_memory(seed: int) -> Counter[str]:
    """Take a few walks on a Redis in memory."""
    return take_walks(seed, EXAMPLES)


def on_a_real_redis(server: RedisServer, seed: int) -> Counter[str]:
    """Take a few walks on a real Redis."""
    drawn = walks(steps=SERVED_STEPS, kinds=SERVED_KINDS)
    return take_walks(seed, SERVED_EXAMPLES, drawn, partial(walk_on, server), shrink=False)


async def walk_on(server: RedisServer, steps: Walk) -> int:
    """Walk on a real Redis."""
    ground, hands = Served(server), Hands()
    with clock_of(hands):
        try:
            return await walk(steps, hands, ground)
        finally:
            await ground.close()


@pytest.fixture
def redis_server(start_redis: StartRedis) -> RedisServer:
    """A Redis that ends a read that blocks within 2 ms: by default it looks at them ten times a second."""
    return start_redis("--hz", "500")


def test_the_oracle_is_right_on_a_real_redis(seed: int, redis_server: RedisServer) -> None:
    on_a_real_redis(redis_server, seed)


def test_the_oracle_is_right_whatever_meets(seed: int) -> None:
    in_memory(seed)


@pytest.mark.campaign
@pytest.mark.timeout(10 * CAMPAIGN_SECONDS)
def test_the_oracle_is_right_on_a_campaign(seed: int, guarantee: Guarantee, redis_server: RedisServer) -> None:
    take_all_walks_for(CAMPAIGN_SECONDS, seed, redis_server, guarantee)


@pytest.mark.long
@pytest.mark.timeout(2 * LONG_SECONDS)
def test_the_oracle_is_right_for_an_hour(seed: int, guarantee: Guarantee, redis_server: RedisServer) -> None:
    take_all_walks_for(LONG_SECONDS, seed, redis_server, guarantee)


def _figure(done: Counter[str]) -> str:
    return f"{done['walks']:,} walks of {done['steps']:,} steps, compared {done['comparisons']:,} times, difference 0"


# Walks that once showed a fault.


def numbered(producer: str, *numbers: int, **fields: Any) -> list[Event]:
    """Return successful orders with these numbers."""
    return [{"status": "success", "producer": producer, "epoch": "e", "seq": n, **fields} for n in numbers]


HEARTBEAT: Event = {"type": "heartbeat", "producer": "A", "epoch": "e", "seq": 1}
WALKS: dict[str, Walk] = {
    "what was missed before a clear comes after it": [
        Publish("pubsub", numbered("A", 1, 5)),
        Wait(6),
        Clear(),
        Publish("pubsub", [*numbered("A", 2, 3, 4), *numbered("B", 1, 4)]),
        Wait(6),
    ],
    "what was missed before a clear comes a while after it": [
        Publish("pubsub", numbered("A", 1, 5)),
        Wait(6),
        Clear(),
        Wait(1),
        Publish("pubsub", [*numbered("A", 2, 3, 4), *numbered("B", 1, 4)]),
        Wait(6),
    ],
    "and over a stream that was trimmed": [
        Publish("stream", numbered("A", 1, 5)),
        Wait(6),
        Publish("stream", [{"status": "paid"}] * 4),
        Trim(1),
        Wait(1),
        Clear(),
        Publish("stream", [*numbered("A", 2, 3, 4), *numbered("B", 1, 4)]),
        Wait(6),
    ],
    "Redis comes back empty while entries are read": [
        Publish("stream", [{"status": "paid"}] * 3),
        Flush(),
        Publish("stream", [{"status": "paid"}]),
        Wait(1),
    ],
    "a producer with connections sends only heartbeats": [
        Publish("pubsub", [{"type": "connections", "active": 50, "producer": "A", "epoch": "e", "seq": 1}]),
        *[step for _ in range(62) for step in (Wait(1), Publish("pubsub", [HEARTBEAT]))],
    ],
    "the shop and the workers each tell half of a queue": [
        Publish("pubsub", [{"type": "queue", "waiting": 30}]),
        Publish("pubsub", [{"type": "queue", "active": 4}]),
        Wait(1),
    ],
    "stock with equal times on both transports": [
        Publish("stream", [{"type": "inventory", "product_id": "p1", "stock": 9, "ts": -1.0}]),
        Wait(0.5),
        Publish("pubsub", [{"type": "inventory", "product_id": "p1", "stock": 6, "ts": -1.0}]),
        Wait(1),
    ],
    "the clock goes back, and gauges are reported": [
        Publish("pubsub", [{"type": "inventory", "product_id": "p1", "stock": 9}, {"type": "queue", "waiting": 3}]),
        Wait(1),
        SetClock(-600),
        Publish("pubsub", [{"type": "inventory", "product_id": "p1", "stock": 6}, {"type": "queue", "waiting": 6}]),
        Wait(1),
        Restart("stopped", 3),
    ],
    "Redis fails over to a replica that lacks commits and entries": [
        Publish("stream", numbered("A", 1, 2)),
        Wait(5.2),
        Lag(),
        Publish("stream", numbered("A", 3)),
        Publish("pubsub", numbered("B", 1)),
        Wait(5.2),
        Failover(),
        Publish("stream", numbered("A", 4)),
        Wait(5.2),
    ],
    "one of a fleet commits later than the other": [
        Other(Publish("pubsub", [{"status": "paid"}])),
        Wait(1.3),
        Freeze(3.7),
    ],
    "other buckets, and those of before": [
        Publish("pubsub", [{"status": "paid", "latency_ms": 2}]),
        Buckets((2.5, 1000)),
        Buckets(BUCKETS_MS),
    ],
    "a sidecar of a fleet is cleared, and has not committed since": [Other(Clear()), Freeze(3.7)],
    "other refusals while a commit is unanswered": [
        Publish("pubsub", [{"status": "failed", "reason": "boom"}]),
        Fail("answer lost"),
        Reload(Settings(("boom",), "EUR", count_repeats=True)),
        Publish("pubsub", [{"status": "failed", "reason": "boom"}, {"status": "paid", "amount": 3}]),
        Wait(1),
    ],
    "more products than places": [
        Publish("stream", [{"status": "paid", "product_id": f"p{n}", "amount": 1} for n in (2, 3)]),
        Wait(1.3),
        Publish("pubsub", [{"status": "paid", "product_id": f"p{n}", "amount": 1} for n in (3, 4, 5)]),
        Wait(1.3),
        Wait(5.2),
    ],
    "one custom metric is cleared, and the rest goes on": [
        Publish("pubsub", numbered("A", 1, 2, product_id="p1", latency_ms=3.1, gift={"wrap": "ü"})),
        Fail("answer lost"),
        Publish("stream", [{"type": "visit", "status": "new", "pages": 2.5}, {"type": "queue", "waiting": 3}]),
        ClearMetric(ORDERS.name),
        Publish("pubsub", numbered("A", 3, product_id="p1")),
        Wait(1),
        ClearMetric(ORDERS.name),
        ClearMetric(TIMES.name),
        ClearMetric(WAITING.name),
        Publish("pubsub", numbered("A", 4, product_id="p2", latency_ms=1)),
        Restart("killed", 1),
        Wait(6),
    ],
    "one custom metric is cleared after a failover": [
        Publish("stream", numbered("A", 1, 2, product_id="p1", amount=3)),
        Wait(1),
        Lag(),
        Publish("stream", numbered("A", 3, product_id="p1", amount=4)),
        Wait(1),
        Failover(),
        ClearMetric(ORDERS.name, settled=True),
        Publish("stream", numbered("A", 4, product_id="p1", amount=5)),
        Wait(6),
    ],
    "a commit without an answer, a clear, and a restart": [
        Publish("pubsub", numbered("A", 1, 2)),
        Fail("answer lost"),
        Publish("pubsub", numbered("A", 3, 7)),
        Clear(),
        Wait(6),
        Restart("killed", 1),
    ],
}


@pytest.mark.parametrize("steps", WALKS.values(), ids=WALKS)
async def test_a_walk_that_once_showed_a_fault(steps: Walk) -> None:
    await walk(steps)


# Controls: each takes a rule of the product away, and the walks must notice: random ones, and those for rare meetings.

SIMPLE: dict[str, tuple[object, str, object]] = {
    "new names are shown at once": (aggregator, "first_met", lambda *_: set()),
    "late is another number": (tally, "LATE_SECONDS", 20.0),
    "a hole is missed too late": (sequence, "GRACE_SECONDS", 50.0),
    "a window is too long": (compute, "RINGS", {**RINGS, "1m": replace(RINGS["1m"], slices=13)}),
}
RARE: dict[str, tuple[object, str, object]] = {
    "what was missed before a clear comes a while after it": (Sequences, "forget_missed", lambda *_: None),
    "a producer with connections sends only heartbeats": (RollCall, "_hear", lambda *_: None),
    "one custom metric is cleared, and the rest goes on": (Aggregator, "clear_metrics", lambda *_: None),
    "Redis fails over to a replica that lacks commits and entries": (monotonic, "raised", lambda snapshot, _: snapshot),
    "one of a fleet commits later than the other": (service, "age", lambda *_: Age(T0, stale=False, settled=0.5)),
    "other buckets, and those of before": (State, "fit", lambda *known, fit=State.fit: fit(*known) and set()),
    "other refusals while a commit is unanswered": (Aggregator, "adopt", lambda *_: None),
    "more products than places": (Labels, "admit", lambda _self, _kind, value: value),
}


@pytest.mark.campaign
@pytest.mark.parametrize("rule", SIMPLE)
def test_random_walks_notice_a_rule_that_is_missing(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(*SIMPLE[rule])
    with pytest.raises(AssertionError, match="after"):
        take_walks(1, CONTROL_EXAMPLES, shrink=False)


@pytest.mark.parametrize("name", RARE)
async def test_a_walk_notices_a_rule_that_is_missing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(*RARE[name])
    with pytest.raises(AssertionError, match="after"):
        await walk(WALKS[name])
