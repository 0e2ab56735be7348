"""Random walks over the commit against a real Redis: whatever happens, a recount equals the counters.

A failure names its seed; TEST_SEED replays it.
"""

from collections import Counter
from random import Random
from typing import Any

import pytest

from sidecar.core.commit.commit import CommitAnswer
from sidecar.core.events.batch import Batch
from tests.conftest import StartRedis
from tests.guarantees import in_campaign
from tests.redis_server import RedisServer
from tests.world import Process, World

WEIGHTS = {
    "add": 30,
    "publish": 12,
    "read": 15,
    "hold": 5,
    "commit": 20,
    "deliver_late": 4,
    "clear": 1,
    "clear_metric": 1,
    "replace": 2,
    "wake_zombie": 3,
    "trim": 2,
    "delete_entries": 1,
    "lose_checkpoint": 0.4,
    "lose_everything": 0.2,
    "make_stream_anew": 0.4,
    "take_image": 3,
    "fail_over": 2,
    "restart": 0.15,
}
# What a killed Redis has written is safe without fsync: the kernel lives on.
SURVIVING = ("--save", "", "--appendonly", "yes", "--appendfsync", "no")
STEPS_BETWEEN_CHECKS = 40
STEPS = 1500
CONTROL_STEPS = 18_000
CONTROL_SEED = 9  # with this one a rule that is missing is noticed within a few hundred steps
USUAL, RARE = {"ok", "unknown", "taken"}, {"cleared", "empty", "reread"}


async def walk(server: RedisServer, seed: int, steps: int, **options: Any) -> Counter[str]:
    """Walk so many steps; raise AssertionError, with the seed, where counters and recount differ."""
    world = World(server, seed, **options)
    path = Random(seed).choices(list(WEIGHTS), list(WEIGHTS.values()), k=steps)
    number = 0
    try:
        await world.check()
        for number, name in enumerate(path, 1):
            await getattr(world, name)()
            if number % STEPS_BETWEEN_CHECKS == 0:
                await world.check()
        await world.check()
    except AssertionError as exc:
        raise AssertionError(f"seed {seed}, step {number}, {dict(world.outcomes)}: {exc}") from exc
    finally:
        await world.close()
    return world.outcomes


@pytest.mark.parametrize("steps", [STEPS, *in_campaign(8 * STEPS)])
async def test_every_event_counts_once_whatever_happens(start_redis: StartRedis, seed: int, steps: int) -> None:
    outcomes = await walk(start_redis(*SURVIVING), seed, steps)
    assert (USUAL if steps == STEPS else USUAL | RARE) <= outcomes.keys()


@pytest.mark.needs_redis(7)  # before, it does not tell how many entries were added
@pytest.mark.parametrize("steps", [STEPS, *in_campaign(8 * STEPS)])
async def test_every_entry_counts_or_is_missed_where_the_stream_is_trimmed(
    start_redis: StartRedis, seed: int, steps: int
) -> None:
    await walk(start_redis(*SURVIVING), seed, steps, lossy=True)


@pytest.mark.needs_redis(7)
@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("lossy", [False, True])
async def test_every_event_counts_once_on_a_long_walk(start_redis: StartRedis, lossy: bool, seed: int) -> None:
    outcomes: Counter[str] = Counter()
    for number in range(10):  # the seed that a failure names is then the first
        server = start_redis(*SURVIVING)
        outcomes += await walk(server, seed + number, 2 * STEPS, lossy=lossy)
        server.stop()
    assert USUAL | RARE | {"reset", "reload", "rolled_back", "zombie standby"} <= outcomes.keys()


# Controls: each takes one rule of the commit away, and the walk must notice.


class Forgetful(Process):
    """Take a commit without an answer for one that failed, and send its content in a new one."""

    async def unanswered(self, now: float) -> str:
        self.ledger._thaw()
        return "forgotten"


class Optimist(Process):
    """Take a commit without an answer for one that was written."""

    async def unanswered(self, now: float) -> str:
        if self.ledger._in_flight is not None:
            answer = CommitAnswer(outcome="OK", number=self.ledger._number + 1, token="", generation="", replid="")
            self.ledger._landed(self.ledger._in_flight, answer, now)
        return "believed"


class Careless(Process):
    """Count every batch, wherever it was read."""

    def apply(self, batch: Batch, now: float) -> bool:
        if batch.stream is not None and self.ledger.active:
            self.ledger.aggregate.apply(batch, now)
            self.ledger._read["s"] = self.ledger._advanced(batch.source, self.ledger._read["s"], batch.stream)
            self.ledger._replid = batch.stream.replid
            return True
        return super().apply(batch, now)


class Timeless(Process):
    """Do not tell the script under which replid was read."""

    def apply(self, batch: Batch, now: float) -> bool:
        taken = super().apply(batch, now)
        self.ledger._replid = ""
        return taken


@pytest.mark.parametrize("process", [Forgetful, Optimist, Careless, Timeless])
async def test_the_walk_notices_a_rule_that_is_missing(start_redis: StartRedis, process: type[Process]) -> None:
    with pytest.raises(AssertionError, match="seed"):
        await walk(start_redis(*SURVIVING), CONTROL_SEED, CONTROL_STEPS, process=process)
