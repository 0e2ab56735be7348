"""RQ 2 and 3. A score in a registry is the second at which the entry expires, and some worker removes it later."""

from datetime import UTC, datetime

from sidecar.config.structs import QueueConfig
from sidecar.core.counts.queue_read import QueueReading
from sidecar.sources.queues.system import Asked, NoSuchQueueError, QueueSystem, ReadCommand, Replies, age, text


class Rq(QueueSystem):
    """A job on its way to a worker is in `intermediate`, and at the same time in the registry of started jobs."""

    def __init__(self, config: QueueConfig) -> None:
        super().__init__(config)
        self._list = f"rq:queue:{config.queue}"

    def ask(self, now: float) -> Asked:
        name = self.config.queue
        return {
            "queued": ("LLEN", self._list),
            "started": ("ZCOUNT", f"rq:wip:{name}", int(now), "+inf"),
            "scheduled": ("ZCARD", f"rq:scheduled:{name}"),
            "failed": ("ZCOUNT", f"rq:failed:{name}", int(now), "+inf"),
            "finished": ("ZCOUNT", f"rq:finished:{name}", int(now), "+inf"),
            "suspended": ("EXISTS", "rq:suspended"),
            "next": ("LINDEX", self._list, 0),
        }

    def then(self, replies: Replies) -> Asked:
        if replies["next"]:
            return {"next_at": ("HGET", f"rq:job:{text(replies['next'])}", "enqueued_at")}
        return {"listed": ("SISMEMBER", "rq:queues", self._list)}

    def reading(self, replies: Replies, now: float) -> QueueReading:
        found = QueueReading(
            at=now,
            waiting=replies["queued"],
            active=replies["started"],
            delayed=replies["scheduled"],
            failed=replies["failed"],
            completed=replies["finished"],
            oldest_waiting_s=age(now, _time(text(replies.get("next_at")))),
            paused=bool(replies["suspended"]),
        )
        if not replies.get("listed", True) and not any(found.numbers):
            raise NoSuchQueueError(f"rq:queues has no {self._list}: check `queue`")
        return found


def _time(written: str) -> float | None:
    """Return a time as RQ writes it, in Unix seconds: UTC, perhaps without saying so."""
    try:
        found = datetime.fromisoformat(written)
    except ValueError:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def listing(config: QueueConfig) -> ReadCommand:
    """Return the command for all queues."""
    return ("SMEMBERS", "rq:queues")


def listed(member: bytes) -> str:
    """Return the queue that a member names."""
    return text(member).removeprefix("rq:queue:")
