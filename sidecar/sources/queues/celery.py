"""Celery with the Redis transport of kombu: a list for each step of priority.

A message that a worker holds is in `unacked`, with those of all queues, and in no key once it runs (early
acknowledgement, the default). None has a time.
"""

from sidecar.config.structs import QueueConfig
from sidecar.core.counts.queue_read import QueueReading
from sidecar.sources.queues.system import Asked, QueueSystem, ReadCommand, Replies, text

SEPARATOR = "\x06\x16"


class Celery(QueueSystem):
    """With `only_queue`, all of `unacked` is of this queue."""

    def __init__(self, config: QueueConfig) -> None:
        super().__init__(config)
        name = config.prefix + config.queue
        lists = [f"{name}{config.separator}{step}" if step else name for step in config.priority_steps]
        self._lists = [f"list{number}" for number in range(len(lists))]
        self._asked: dict[str, ReadCommand] = {
            slot: ("LLEN", key) for slot, key in zip(self._lists, lists, strict=True)
        }
        if config.only_queue:
            self._asked["unacked"] = ("HLEN", f"{config.prefix}unacked")
        self._binding = f"{config.prefix}_kombu.binding.{config.exchange or config.queue}"

    def ask(self, now: float) -> Asked:
        return self._asked

    def then(self, replies: Replies) -> Asked:
        return {} if any(replies[slot] for slot in self._lists) else {"binding": ("EXISTS", self._binding)}

    def reading(self, replies: Replies, now: float) -> QueueReading:
        waiting = sum(replies[slot] for slot in self._lists)
        return QueueReading(at=now, waiting=waiting, active=replies.get("unacked"))

    def note(self, replies: Replies) -> str:
        return (
            "" if replies.get("binding", True) else f"it is empty, and there is no {self._binding}: is the name right?"
        )


def listing(config: QueueConfig) -> ReadCommand:
    """Return the command for the queues of an exchange."""
    return ("SMEMBERS", f"{config.prefix}_kombu.binding.{config.exchange or 'celery'}")


def listed(member: bytes) -> str:
    """Return the queue in a binding: routing key, pattern, queue."""
    return text(member).rpartition(SEPARATOR)[2]
