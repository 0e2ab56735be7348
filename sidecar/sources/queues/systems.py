"""The table of all systems."""

from collections.abc import Callable

from msgspec import Struct

from sidecar.config.structs import QueueConfig, SystemName
from sidecar.sources.queues import asynq, celery, rq, sidekiq
from sidecar.sources.queues.arq import Arq
from sidecar.sources.queues.bull import Bull
from sidecar.sources.queues.bullmq import BullMQ
from sidecar.sources.queues.dramatiq import Dramatiq
from sidecar.sources.queues.huey import Huey
from sidecar.sources.queues.laravel import Laravel
from sidecar.sources.queues.plain import List, SortedSet
from sidecar.sources.queues.stream_group import StreamGroup
from sidecar.sources.queues.system import QueueSystem, ReadCommand, text


class QueueListing(Struct, frozen=True):
    """How a system lists its queues: a command for a set, and the queue that a member of it names."""

    command: Callable[[QueueConfig], ReadCommand]
    queue: Callable[[bytes], str] = text


SYSTEMS: dict[SystemName, type[QueueSystem]] = {
    "arq": Arq,
    "asynq": asynq.Asynq,
    "bull": Bull,
    "bullmq": BullMQ,
    "celery": celery.Celery,
    "dramatiq": Dramatiq,
    "huey": Huey,
    "laravel": Laravel,
    "list": List,
    "rq": rq.Rq,
    "sidekiq": sidekiq.Sidekiq,
    "sorted_set": SortedSet,
    "stream_group": StreamGroup,
    "taskiq": List,
    "taskiq_stream": StreamGroup,
}
LISTINGS: dict[SystemName, QueueListing] = {
    "asynq": QueueListing(asynq.listing),
    "celery": QueueListing(celery.listing, celery.listed),
    "rq": QueueListing(rq.listing, rq.listed),
    "sidekiq": QueueListing(sidekiq.listing),
}
