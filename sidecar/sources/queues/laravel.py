"""Laravel's Redis queues. The prefix of the connection is part of every key."""

from sidecar.config.structs import QueueConfig
from sidecar.core.counts.queue_read import QueueReading
from sidecar.sources.queues.system import Asked, QueueSystem, Replies, age, fields, seconds


class Laravel(QueueSystem):
    """On a Redis Cluster, Laravel puts the queue's name in braces: so does `queue` here."""

    def __init__(self, config: QueueConfig) -> None:
        super().__init__(config)
        key = f"{config.prefix}queues:{config.queue}"
        self._asked = {
            "list": ("LLEN", key),
            "delayed": ("ZCARD", f"{key}:delayed"),
            "reserved": ("ZCARD", f"{key}:reserved"),
            "next": ("LINDEX", key, 0),
        }

    def ask(self, now: float) -> Asked:
        return self._asked

    def reading(self, replies: Replies, now: float) -> QueueReading:
        job = fields(replies["next"])
        return QueueReading(
            at=now,
            waiting=replies["list"],
            active=replies["reserved"],
            delayed=replies["delayed"],
            oldest_waiting_s=age(now, seconds(job.get("pushedAt") or job.get("createdAt"))),  # Horizon; Laravel 12
        )
