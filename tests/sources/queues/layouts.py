"""How each system's queue lies in Redis, written with plain commands, and what the reader must make of it.

Where a layout comes from: dumped from the real library at the named version while its workers ran, unless it says
"read", which is from the source of the installed package. The keys beside the ones that count are the traps.
"""

import json
from collections.abc import Callable
from typing import Any

from msgspec import Struct

from sidecar.config.structs import QueueConfig
from sidecar.core.counts.queue_read import QueueReading

NOW = 1_790_000_000.25
MS = 1000
SEP = "\x06\x16"
UNREAD = {"at": NOW}


class Layout(Struct, frozen=True):
    """A queue: its configuration, how it lies, and the reading."""

    name: str
    config: dict[str, Any]
    write: Callable[[Any], None]
    reading: dict[str, Any]

    @property
    def queue(self) -> QueueConfig:
        return QueueConfig(**{"name": "q", "queue": "q", **self.config})

    @property
    def expected(self) -> QueueReading:
        return QueueReading(at=NOW, **self.reading)


def _bullmq(client: Any, *, version: str = "bullmq:5.81.5", paused: bool = False) -> None:
    """Write what every queue of BullMQ has. `marker` and the stream `events` are no jobs."""
    client.hset(
        "bull:q:meta", mapping={"opts.maxLenEvents": 10000, "version": version} | ({"paused": 1} if paused else {})
    )
    client.set("bull:q:id", 40)
    client.zadd("bull:q:marker", {"0": 0})
    client.xadd("bull:q:events", {"event": "added"})
    client.rpush("bull:q:active", "a1", "a2")
    client.zadd("bull:q:delayed", {"d1": (NOW + 60) * MS * 4096})
    client.zadd("bull:q:failed", {"f1": NOW * MS, "f2": NOW * MS})
    client.zadd("bull:q:completed", {f"c{number}": NOW * MS for number in range(5)})
    client.zadd("bull:q:waiting-children", {"parent": 0})


KEPT = {"active": 2, "delayed": 1, "failed": 2, "completed": 5}


def bullmq_waits(client: Any) -> None:
    """BullMQ 5.81.5: prioritized jobs are in a set of their own, the oldest of the others at the right end."""
    _bullmq(client)
    client.lpush("bull:q:wait", "1", "2", "3")
    client.hset("bull:q:1", "timestamp", int((NOW - 12.5) * MS))
    client.hset("bull:q:3", "timestamp", int(NOW * MS))
    client.zadd("bull:q:prioritized", {"p1": 2**32 + 1, "p2": 2**33 + 2})


def bullmq_5_paused(client: Any) -> None:
    """BullMQ 5.81.5: `wait` is renamed to `paused`, and new jobs land there."""
    _bullmq(client, paused=True)
    client.lpush("bull:q:paused", "1", "2")
    client.hset("bull:q:1", "timestamp", int((NOW - 3) * MS))


def bullmq_6_paused(client: Any) -> None:
    """BullMQ 6.7.0: jobs stay in `wait`; those that 5.x paused before the upgrade are still in `paused` (read)."""
    _bullmq(client, version="bullmq:6.7.0", paused=True)
    client.lpush("bull:q:wait", "1")
    client.lpush("bull:q:paused", "2", "3")
    client.hset("bull:q:1", "timestamp", int((NOW - 3) * MS))


def bullmq_by_flows(client: Any) -> None:
    """BullMQ 5.81.5: a queue that only a FlowProducer filled has no version; a marker of BullMQ 4 is no job."""
    client.hset("bull:q:meta", "opts.maxLenEvents", 10000)
    client.lpush("bull:q:wait", "0:1790000000000")


def bull_waits(client: Any) -> None:
    """Bull 4.16.5: `wait` holds the prioritized jobs, too, of which `priority` is a copy."""
    client.set("bull:q:id", 9)
    client.rpush("bull:q:wait", "3", "2", "1")
    client.zadd("bull:q:priority", {"2": 1})
    client.hset("bull:q:1", "timestamp", int((NOW - 4) * MS))
    client.rpush("bull:q:active", "4")
    client.zadd("bull:q:delayed", {"5": (NOW + 60) * MS * 4096})


def bull_paused(client: Any) -> None:
    """Bull 4.16.5: `wait` is renamed, the hash `meta` and the string `meta-paused` say so."""
    client.set("bull:q:id", 2)
    client.set("bull:q:meta-paused", 1)
    client.hset("bull:q:meta", "paused", 1)
    client.rpush("bull:q:paused", "2", "1")


def celery_priorities(client: Any) -> None:
    """Celery 5.7.0: a list for each step of priority; `unacked` has the messages of all queues."""
    client.rpush("q", "m1", "m2")
    client.rpush(f"q{SEP}3", "m3")
    client.rpush(f"q{SEP}9", "m4")
    client.hset("unacked", mapping={"tag1": "[]", "tag2": "[]"})
    client.zadd("unacked_index", {"tag1": NOW, "tag2": NOW})


def celery_prefix(client: Any) -> None:
    """Celery 5.7.0 with `global_keyprefix`, which is literally in front, and steps of its own."""
    client.rpush("app:q", "m1")
    client.rpush("app:q:5", "m2")
    client.rpush("q", "of another application")


def rq_works(client: Any) -> None:
    """RQ 3.0.0: dead workers leave entries in `wip`; a job on its way is in `intermediate` and in `wip`."""
    client.sadd("rq:queues", "rq:queue:q")
    client.rpush("rq:queue:q", "j1", "j2")
    client.hset("rq:job:j1", "enqueued_at", "2026-09-21T14:13:10.250000Z")
    client.rpush("rq:queue:q:intermediate", "j3")
    client.zadd("rq:wip:q", {"j3:e": NOW + 90, "j4:e": NOW + 1, "dead:e": NOW - 1})
    client.zadd("rq:scheduled:q", {"j5": NOW + 60, "j6": NOW - 60})
    client.zadd("rq:failed:q", {"j7": NOW + 10**7, "expired": NOW - 5})
    client.zadd("rq:finished:q", {"j8": NOW + 500, "expired": NOW - 5})
    client.set("rq:suspended", 1)


def sidekiq_6(client: Any) -> None:
    """Sidekiq 6.4.1: seconds with a fraction; the oldest is at the right end."""
    client.sadd("queues", "q")
    client.lpush("queue:q", json.dumps({"enqueued_at": NOW - 7.5}), json.dumps({"enqueued_at": NOW}))


def sidekiq_8_alone(client: Any) -> None:
    """Sidekiq 8.1.7 (read): milliseconds. Scheduled, retried, dead and busy jobs are those of all queues."""
    client.sadd("queues", "q")
    client.lpush("queue:q", json.dumps({"created_at": int((NOW - 7.5) * MS)}))
    client.zadd("schedule", {"s1": NOW + 5})
    client.zadd("retry", {"r1": NOW + 5, "r2": NOW + 5})
    client.zadd("dead", {"d1": NOW})
    client.sadd("processes", "host:1:abc", "host:2:def")
    client.hset("host:1:abc", mapping={"busy": 3, "beat": NOW})
    client.hset("host:2:def", mapping={"busy": 1, "beat": NOW})


def arq_runs(client: Any) -> None:
    """arq 0.28.0: running jobs stay in the set, by the time they were due, with the deferred ones and the waiting."""
    due = {"r1": NOW - 9, "r2": NOW - 8, "w1": NOW - 2, "w2": NOW - 1, "later": NOW + 60}
    client.zadd("arq:queue", {job: int(at * MS) for job, at in due.items()})
    client.set("arq:in-progress:r1", 1, ex=310)
    client.set("arq:in-progress:r2", 1, ex=310)
    client.set("arq:queue:health-check", "Nov-29 20:02:59 j_complete=1 j_failed=1 j_retried=0 j_ongoing=3 queued=8")


def dramatiq_holds(client: Any) -> None:
    """dramatiq 2.2.1: held messages are in the hash only; all delayed ones are in memory, so their list is empty."""
    message = json.dumps({"message_timestamp": int((NOW - 20) * MS)})
    client.rpush("dramatiq:q", "m1", "m2")
    client.hset("dramatiq:q.msgs", mapping={"m1": message, "m2": "{}", "held1": "{}", "held2": "{}"})
    client.hset("dramatiq:q.DQ.msgs", mapping={"d1": "{}"})
    client.zadd("dramatiq:q.XQ", {"x1": NOW * MS})
    client.sadd("dramatiq:__acks__.worker.q", "held1", "held2")


def huey_list(client: Any) -> None:
    """huey 3.5.4: the name loses what is no letter, digit or underscore, and keeps its case."""
    client.lpush("huey.redis.MyShopOrders1", b"\x80\x05", b"\x80\x05")
    client.zadd("huey.schedule.MyShopOrders1", {"s1": NOW})
    client.hset("huey.results.MyShopOrders1", "r1", "x")


def huey_priority(client: Any) -> None:
    """huey 3.5.4, PriorityRedisHuey: a sorted set at the same key."""
    client.zadd("huey.redis.q", {"t1": -5, "t2": 0, "t3": 0})


def taskiq_list(client: Any) -> None:
    """taskiq-redis 1.2.4, ListQueueBroker."""
    client.lpush("taskiq", "t1", "t2")


def taskiq_stream(client: Any) -> None:
    """taskiq-redis 1.2.4, RedisStreamBroker: a worker takes up to 100, done ones stay in the stream."""
    for number in range(1, 8):
        client.xadd("taskiq", {"data": "x"}, id=f"{int((NOW - 10 + number) * MS)}-0")
    client.xgroup_create("taskiq", "taskiq", "0")
    client.xreadgroup("taskiq", "worker", {"taskiq": ">"}, count=4)
    client.xack("taskiq", "taskiq", f"{int((NOW - 9) * MS)}-0")


def stream_trimmed(client: Any) -> None:
    """Redis 7.0 counts what was trimmed as unread (redis/redis#13337): in an empty stream nothing waits."""
    client.xadd("q", {"e": "x"})
    client.xgroup_create("q", "other", "0")
    client.xgroup_create("q", "workers", "0")
    client.xtrim("q", maxlen=0)


def asynq_states(client: Any) -> None:
    """asynq 0.26.0: `processed` counts attempts; `unique` are locks."""
    key = "asynq:{q}:"
    client.sadd("asynq:queues", "q")
    client.lpush(f"{key}pending", "t1", "t2")
    client.hset(f"{key}t:t1", mapping={"state": "pending", "pending_since": int((NOW - 1.5) * 1e9)})
    client.lpush(f"{key}active", "t3")
    client.zadd(f"{key}lease", {"t3": NOW + 30})
    client.zadd(f"{key}scheduled", {"t4": NOW + 30})
    client.zadd(f"{key}retry", {"t5": NOW + 30, "t6": NOW + 30})
    client.zadd(f"{key}archived", {"t7": NOW})
    client.zadd(f"{key}completed", {"t8": NOW})
    client.set(f"{key}paused", int(NOW))
    client.set(f"{key}processed", 8)
    client.set(f"{key}failed", 2)
    client.set(f"{key}unique:task:abc", "t1", ex=60)


def laravel_waits(client: Any) -> None:
    """illuminate 8.83: the oldest is at the left; `notify` has a 1 for each job. `createdAt` came with 12.x (read)."""
    key = "laravel-database-queues:q"
    client.rpush(key, json.dumps({"createdAt": int(NOW - 30)}), json.dumps({"createdAt": int(NOW)}))
    client.rpush(f"{key}:notify", 1, 1)
    client.zadd(f"{key}:delayed", {"d1": NOW + 60})
    client.zadd(f"{key}:reserved", {"r1": NOW + 90, "r2": NOW + 90})


def bullmq_counts(client: Any) -> None:
    """BullMQ 5.81.5 with the option `metrics`: finished jobs are counted, whether they are kept or not."""
    bullmq_waits(client)
    client.hset("bull:q:metrics:completed", mapping={"count": 90, "prevTS": 1, "prevCount": 80})
    client.hset("bull:q:metrics:failed", mapping={"count": 7})


def sidekiq_counts(client: Any) -> None:
    """Sidekiq 6.4.1: both count attempts, written every 10 s; a job that died failed each time."""
    sidekiq_8_alone(client)
    client.set("stat:processed", 50)
    client.set("stat:failed", 20)


def own_list(client: Any) -> None:
    """A list of your own."""
    client.rpush("q", "x", "y")


def own_set(client: Any) -> None:
    """A sorted set of your own."""
    client.zadd("q", {"x": 1, "y": 2, "z": 3})


BULLMQ = {"system": "bullmq", "prefix": "bull"}
BULL = {"system": "bull", "prefix": "bull"}
LAYOUTS = [
    Layout("bullmq", BULLMQ, bullmq_waits, {"waiting": 5, **KEPT, "oldest_waiting_s": 12.5, "paused": False}),
    Layout("bullmq 5 paused", BULLMQ, bullmq_5_paused, {"waiting": 2, **KEPT, "oldest_waiting_s": 3.0, "paused": True}),
    Layout("bullmq 6 paused", BULLMQ, bullmq_6_paused, {"waiting": 3, **KEPT, "oldest_waiting_s": 3.0, "paused": True}),
    Layout(
        "bullmq by flows",
        BULLMQ,
        bullmq_by_flows,
        {"waiting": 1, "active": 0, "delayed": 0, "failed": 0, "completed": 0, "paused": False},
    ),
    Layout(
        "bull",
        BULL,
        bull_waits,
        {
            **{"waiting": 3, "active": 1, "delayed": 1, "failed": 0, "completed": 0},
            **{"oldest_waiting_s": 4.0, "paused": False},
        },
    ),
    Layout(
        "bull paused",
        BULL,
        bull_paused,
        {"waiting": 2, "active": 0, "delayed": 0, "failed": 0, "completed": 0, "paused": True},
    ),
    Layout("celery", {"system": "celery"}, celery_priorities, {"waiting": 4}),
    Layout("celery alone", {"system": "celery", "only_queue": True}, celery_priorities, {"waiting": 4, "active": 2}),
    Layout(
        "celery prefix",
        {"system": "celery", "prefix": "app:", "priority_steps": (0, 5), "separator": ":"},
        celery_prefix,
        {"waiting": 2},
    ),
    Layout(
        "rq",
        {"system": "rq"},
        rq_works,
        {
            **{"waiting": 2, "active": 2, "delayed": 2, "failed": 1, "completed": 1},
            **{"oldest_waiting_s": 10.0, "paused": True},
        },
    ),
    Layout("sidekiq 6", {"system": "sidekiq"}, sidekiq_6, {"waiting": 2, "oldest_waiting_s": 7.5}),
    Layout(
        "sidekiq 8 alone",
        {"system": "sidekiq", "only_queue": True},
        sidekiq_8_alone,
        {"waiting": 1, "active": 4, "delayed": 3, "failed": 1, "oldest_waiting_s": 7.5},
    ),
    Layout(
        "arq",
        {"system": "arq", "queue": "arq:queue"},
        arq_runs,
        {"waiting": 2, "active": 2, "delayed": 1, "oldest_waiting_s": 2.0},
    ),
    Layout(
        "dramatiq",
        {"system": "dramatiq", "prefix": "dramatiq"},
        dramatiq_holds,
        {"waiting": 2, "active": 2, "delayed": 1, "failed": 1, "oldest_waiting_s": 20.0},
    ),
    Layout("huey", {"system": "huey", "queue": "My-Shop.Orders 1"}, huey_list, {"waiting": 2, "delayed": 1}),
    Layout("huey by priority", {"system": "huey"}, huey_priority, {"waiting": 3, "delayed": 0}),
    Layout("taskiq", {"system": "taskiq", "queue": "taskiq"}, taskiq_list, {"waiting": 2}),
    Layout(
        "taskiq stream",
        {"system": "taskiq_stream", "queue": "taskiq", "group": "taskiq"},
        taskiq_stream,
        {"waiting": 3, "active": 3, "oldest_waiting_s": 5.0, "finished": 1},
    ),
    Layout(
        "trimmed stream", {"system": "stream_group", "group": "workers"}, stream_trimmed, {"waiting": 0, "active": 0}
    ),
    Layout(
        "asynq",
        {"system": "asynq"},
        asynq_states,
        {
            **{"waiting": 2, "active": 1, "delayed": 3, "failed": 1, "completed": 1},
            **{"oldest_waiting_s": 1.5, "paused": True},
        },
    ),
    Layout(
        "laravel",
        {"system": "laravel", "prefix": "laravel-database-"},
        laravel_waits,
        {"waiting": 2, "active": 2, "delayed": 1, "oldest_waiting_s": 30.25},
    ),
    Layout(
        "bullmq compared",
        {**BULLMQ, "job_per_order": True},
        bullmq_counts,
        {"waiting": 5, **KEPT, "oldest_waiting_s": 12.5, "paused": False, "finished": 97},
    ),
    Layout(
        "sidekiq compared",
        {"system": "sidekiq", "only_queue": True, "job_per_order": True},
        sidekiq_counts,
        {"waiting": 1, "active": 4, "delayed": 3, "failed": 1, "oldest_waiting_s": 7.5, "finished": 31},
    ),
    Layout(
        "asynq compared",
        {"system": "asynq", "job_per_order": True},
        asynq_states,
        {
            **{"waiting": 2, "active": 1, "delayed": 3, "failed": 1, "completed": 1},
            **{"oldest_waiting_s": 1.5, "paused": True, "finished": 7},
        },
    ),
    Layout("list", {"system": "list"}, own_list, {"waiting": 2}),
    Layout("sorted set", {"system": "sorted_set"}, own_set, {"waiting": 3}),
]
