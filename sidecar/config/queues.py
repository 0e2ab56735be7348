"""The list `queues`: queues that the sidecar reads itself, and which settings each system has."""

from collections.abc import Iterator
from typing import Any

from msgspec.structs import replace

from sidecar.config.checks import redis_target
from sidecar.config.structs import QueueConfig, RedisConfig, SystemName
from sidecar.config.tree import Tree, YamlList, YamlSection, build, fail
from sidecar.core.counts.rules import OTHER, Rules
from sidecar.core.events.event import MAX_ID_BYTES

ALL = "*"
LISTED: tuple[SystemName, ...] = ("asynq", "celery", "rq", "sidekiq")  # their queues can be listed
NEEDED = {"laravel": "prefix", "stream_group": "group"}
WHY = {
    "prefix": "that of the Redis connection in config/database.php, such as laravel-database- or laravel_database_",
    "group": "the consumer group that works on the stream",
}
COMMON = ("system", "name", "queue", "job_per_order")
# The settings of each system beyond those, with their defaults there.
SETTINGS: dict[SystemName, dict[str, Any]] = {
    "arq": {"max_jobs": 10},
    "asynq": {},
    "bull": {"prefix": "bull"},
    "bullmq": {"prefix": "bull"},
    "celery": {
        "prefix": "",
        "exchange": "",
        "priority_steps": (0, 3, 6, 9),
        "separator": "\x06\x16",
        "only_queue": False,
    },
    "dramatiq": {"prefix": "dramatiq"},
    "huey": {},
    "laravel": {"prefix": ""},
    "list": {},
    "rq": {},
    "sidekiq": {"prefix": "", "only_queue": False},
    "sorted_set": {},
    "stream_group": {"group": ""},
    "taskiq": {},
    "taskiq_stream": {"group": "taskiq"},
}
QUEUES = {"arq": "arq:queue", "taskiq": "taskiq", "taskiq_stream": "taskiq"}  # the names by default
MOST_JOBS = 1000
COUNTING: tuple[SystemName, ...] = ("asynq", "bull", "bullmq", "sidekiq", "stream_group", "taskiq_stream")


def queues(found: Tree) -> tuple[QueueConfig, ...]:
    """Return the queues of a configuration. Raises ConfigError for the first thing that is wrong."""
    if not isinstance(found, YamlList):
        raise fail(found, "queues", "is a list: write `- system: NAME` below it")
    result: list[QueueConfig] = []
    for at, one in enumerate(found):
        where = f"queues[{at}]"
        if not isinstance(one, YamlSection) or "system" not in one:
            raise fail(one, where, f"needs a `system`: one of {', '.join(SETTINGS)}")
        queue: QueueConfig = build(QueueConfig, one, where)
        queue = replace(queue, **{name: value for name, value in SETTINGS[queue.system].items() if name not in one})
        queue = replace(queue, queue=queue.queue or queue.name or QUEUES.get(queue.system, ""))
        if queue.queue != ALL:
            queue = replace(queue, name=queue.name or queue.queue)
        for setting, problem in _problems(queue, one):
            raise fail(one.get(setting, one), f"{where}.{setting}", problem)
        if queue.name and queue.name in (other.name for other in result):
            raise fail(one, where, f'has the name "{queue.name}" a second time: set another `name`')
        if queue.job_per_order and any(other.job_per_order for other in result):
            raise fail(one, f"{where}.job_per_order", "is set a second time: an order is decided by one job")
        result.append(queue)
        if len(result) > Rules().max_queues:
            raise fail(one, where, f"is one too many: {Rules().max_queues} queues at most")
    return tuple(result)


def _problems(queue: QueueConfig, section: YamlSection) -> Iterator[tuple[str, str]]:
    known = (*COMMON, *SETTINGS[queue.system])
    for name in section:
        if name not in known and not name.startswith("redis_"):
            yield name, f"is no setting of {queue.system}, which has {', '.join(known)}"
    if not queue.queue:
        yield "queue", f"is missing: the name of the queue in {queue.system}"
    for name in ("name", "queue"):
        if len(getattr(queue, name).encode()) > MAX_ID_BYTES:
            yield name, f"must have at most {MAX_ID_BYTES} bytes"
    if queue.name == OTHER:
        yield "name", "is what names beyond the limit are shown under"
    if queue.queue == ALL and queue.system not in LISTED:
        yield "queue", f"must be a name: {queue.system} keeps no list of its queues"
    if queue.queue == ALL and queue.name:
        yield "name", "is not used with `queue: *`: each queue has its own name"
    if (needed := NEEDED.get(queue.system)) and not getattr(queue, needed):
        yield needed, f"is missing: {WHY[needed]}"
    if not 1 <= queue.max_jobs <= MOST_JOBS:
        yield "max_jobs", f"must be from 1 to {MOST_JOBS}"
    if queue.only_queue and queue.queue == ALL:
        yield "only_queue", "is not for all queues: what they share belongs to none of them alone"
    if queue.job_per_order:
        yield from _compared(queue)
    yield from _redis(queue)


def _compared(queue: QueueConfig) -> Iterator[tuple[str, str]]:
    """Check that finished jobs are counted, and of this queue alone."""
    if queue.system not in COUNTING:
        yield "job_per_order", f"is not for {queue.system}, which counts no finished jobs"
    if queue.queue == ALL:
        yield "job_per_order", "is for one queue, not for all"
    if queue.system == "sidekiq" and not queue.only_queue:
        yield "job_per_order", "needs `only_queue`: Sidekiq counts the jobs of all queues together"


def _redis(queue: QueueConfig) -> Iterator[tuple[str, str]]:
    if queue.redis_url:
        found = redis_target(queue.redis(RedisConfig()))
        yield from ((name.removeprefix("queues."), problem) for name, problem in found)
        return
    for name in QueueConfig.__struct_fields__:
        if name.startswith("redis_") and getattr(queue, name):
            yield name, "is only used with `redis_url`: this queue is in the Redis of redis.url"
