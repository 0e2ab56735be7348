"""huey: a list, or with PriorityRedisHuey a sorted set at the same key. Running tasks are in no key."""

import re

from sidecar.config.structs import QueueConfig
from sidecar.core.counts.queue_read import QueueReading
from sidecar.sources.queues.system import Asked, QueueSystem, ReadCommand, Replies

LENGTH = {b"list": "LLEN", b"zset": "ZCARD"}


class Huey(QueueSystem):
    """huey drops from its name what is no letter, digit or underscore."""

    def __init__(self, config: QueueConfig) -> None:
        super().__init__(config)
        name = re.sub(r"[^A-Za-z0-9_]", "", config.queue)
        self._key = f"huey.redis.{name}"
        self._asked: dict[str, ReadCommand] = {
            "type": ("TYPE", self._key),
            "schedule": ("ZCARD", f"huey.schedule.{name}"),
        }

    def ask(self, now: float) -> Asked:
        return self._asked

    def then(self, replies: Replies) -> Asked:
        return {} if replies["type"] == b"none" else {"pending": (LENGTH.get(replies["type"], "LLEN"), self._key)}

    def reading(self, replies: Replies, now: float) -> QueueReading:
        return QueueReading(at=now, waiting=replies.get("pending", 0), delayed=replies["schedule"])
