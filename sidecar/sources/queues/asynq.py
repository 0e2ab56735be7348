"""asynq. Grouped tasks are in none of its states."""

from sidecar.config.structs import QueueConfig
from sidecar.core.counts.queue_read import QueueReading
from sidecar.sources.queues.system import (
    Asked,
    NoSuchQueueError,
    QueueSystem,
    ReadCommand,
    Replies,
    age,
    attempts,
    finished,
    seconds,
    text,
)


class Asynq(QueueSystem):
    """The list of pending tasks has the oldest at its right end."""

    def __init__(self, config: QueueConfig) -> None:
        super().__init__(config)
        self._prefix = f"asynq:{{{config.queue}}}:"
        self._asked: dict[str, ReadCommand] = {
            "pending": ("LLEN", f"{self._prefix}pending"),
            "active": ("LLEN", f"{self._prefix}active"),
            "scheduled": ("ZCARD", f"{self._prefix}scheduled"),
            "retry": ("ZCARD", f"{self._prefix}retry"),
            "archived": ("ZCARD", f"{self._prefix}archived"),
            "completed": ("ZCARD", f"{self._prefix}completed"),
            "paused": ("EXISTS", f"{self._prefix}paused"),
            "groups": ("SCARD", f"{self._prefix}groups"),
            "next": ("LINDEX", f"{self._prefix}pending", -1),
        }
        if config.job_per_order:
            self._asked |= attempts(f"{self._prefix}processed", f"{self._prefix}failed")

    def ask(self, now: float) -> Asked:
        return self._asked

    def then(self, replies: Replies) -> Asked:
        if replies["next"]:
            return {"next_at": ("HGET", f"{self._prefix}t:{text(replies['next'])}", "pending_since")}
        return {"listed": ("SISMEMBER", "asynq:queues", self.config.queue)}

    def reading(self, replies: Replies, now: float) -> QueueReading:
        if not replies.get("listed", True):
            raise NoSuchQueueError(f"asynq:queues has no {self.config.queue}: check `queue`")
        return QueueReading(
            at=now,
            waiting=replies["pending"],
            active=replies["active"],
            delayed=replies["scheduled"] + replies["retry"],
            failed=replies["archived"],
            completed=replies["completed"],
            oldest_waiting_s=age(now, seconds(replies.get("next_at"))),
            paused=bool(replies["paused"]),
            finished=finished(replies, replies["archived"]),
        )

    def note(self, replies: Replies) -> str:
        return "tasks that wait in groups are not counted" if replies["groups"] else ""


def listing(config: QueueConfig) -> ReadCommand:
    """Return the command for all queues."""
    return ("SMEMBERS", "asynq:queues")
