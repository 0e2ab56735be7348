"""dramatiq: messages lie in a hash until they are done, and the ids of those that nobody holds in a list."""

from sidecar.config.structs import QueueConfig
from sidecar.core.counts.queue_read import QueueReading
from sidecar.sources.queues.system import Asked, QueueSystem, Replies, age, fields, seconds, text


class Dramatiq(QueueSystem):
    """Workers take all delayed messages into memory, so that their list is empty; the hash has them."""

    def __init__(self, config: QueueConfig) -> None:
        super().__init__(config)
        self._key = f"{config.prefix}:{config.queue}"
        self._asked = {
            "list": ("LLEN", self._key),
            "messages": ("HLEN", f"{self._key}.msgs"),
            "delayed": ("HLEN", f"{self._key}.DQ.msgs"),
            "dead": ("ZCARD", f"{self._key}.XQ"),
            "next": ("LINDEX", self._key, 0),
        }

    def ask(self, now: float) -> Asked:
        return self._asked

    def then(self, replies: Replies) -> Asked:
        return {"message": ("HGET", f"{self._key}.msgs", text(replies["next"]))} if replies["next"] else {}

    def reading(self, replies: Replies, now: float) -> QueueReading:
        return QueueReading(
            at=now,
            waiting=replies["list"],
            active=max(replies["messages"] - replies["list"], 0),
            delayed=replies["delayed"],
            failed=replies["dead"],
            oldest_waiting_s=age(now, seconds(fields(replies.get("message")).get("message_timestamp"))),
        )
