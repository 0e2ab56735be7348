"""Sidekiq 6 to 8. A job that runs is in no list; scheduled, retried and dead jobs of all queues are together."""

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
    fields,
    finished,
    seconds,
    text,
)


class Sidekiq(QueueSystem):
    """With `only_queue`, everything that all queues share is of this one."""

    def __init__(self, config: QueueConfig) -> None:
        super().__init__(config)
        prefix, queue = config.prefix, f"{config.prefix}queue:{config.queue}"
        self._asked: dict[str, ReadCommand] = {"list": ("LLEN", queue), "next": ("LINDEX", queue, -1)}
        if config.only_queue:
            self._asked |= {
                "schedule": ("ZCARD", f"{prefix}schedule"),
                "retry": ("ZCARD", f"{prefix}retry"),
                "dead": ("ZCARD", f"{prefix}dead"),
                "processes": ("SMEMBERS", f"{prefix}processes"),
            }
        if config.job_per_order:
            self._asked |= attempts(f"{prefix}stat:processed", f"{prefix}stat:failed")

    def ask(self, now: float) -> Asked:
        return self._asked

    def then(self, replies: Replies) -> Asked:
        prefix, queue = self.config.prefix, self.config.queue
        found: dict[str, ReadCommand] = {
            f"busy {process}": ("HGET", f"{prefix}{text(process)}", "busy") for process in replies.get("processes", ())
        }
        return found if replies["list"] else found | {"listed": ("SISMEMBER", f"{prefix}queues", queue)}

    def reading(self, replies: Replies, now: float) -> QueueReading:
        if not replies.get("listed", True):
            raise NoSuchQueueError(f"{self.config.prefix}queues has no {self.config.queue}: check `queue` and `prefix`")
        job = fields(replies["next"])
        since = seconds(job.get("enqueued_at") or job.get("created_at"))  # 8 counts milliseconds
        found = QueueReading(at=now, waiting=replies["list"], oldest_waiting_s=age(now, since))
        if not self.config.only_queue:
            return found
        busy = [int(count or 0) for name, count in replies.items() if name.startswith("busy ")]
        return QueueReading(
            at=now,
            waiting=found.waiting,
            active=sum(busy),
            delayed=replies["schedule"] + replies["retry"],
            failed=replies["dead"],
            oldest_waiting_s=found.oldest_waiting_s,
            finished=finished(replies, replies["dead"]),
        )


def listing(config: QueueConfig) -> ReadCommand:
    """Return the command for all queues."""
    return ("SMEMBERS", f"{config.prefix}queues")
