"""A queue of your own: a list or a sorted set, whose length is what waits. taskiq's ListQueueBroker is a list."""

from sidecar.core.counts.queue_read import QueueReading
from sidecar.sources.queues.system import Asked, QueueSystem, Replies


class List(QueueSystem):
    """`queue` is the key."""

    def ask(self, now: float) -> Asked:
        return {"length": ("LLEN", self.config.queue)}

    def reading(self, replies: Replies, now: float) -> QueueReading:
        return QueueReading(at=now, waiting=replies["length"])


class SortedSet(List):
    """`queue` is the key."""

    def ask(self, now: float) -> Asked:
        return {"length": ("ZCARD", self.config.queue)}
