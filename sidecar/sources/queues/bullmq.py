"""BullMQ 5 and 6, and what Bull 4 has in common with them.

5.x renames `wait` to `paused` while the queue is paused, 6.x does not; after an upgrade both may hold jobs.
"""

from msgspec.structs import replace

from sidecar.config.structs import QueueConfig
from sidecar.core.counts.queue_read import QueueReading
from sidecar.errors import CommandError
from sidecar.sources.queues.system import Asked, NoSuchQueueError, QueueSystem, ReadCommand, Replies, age, seconds, text

KNOWN = ("bullmq:5.", "bullmq:6.")
FINISHED = {"done": "completed", "given_up": "failed"}  # counted by workers that keep metrics
MARKER = b"0:"  # of BullMQ 4, in the list of ids


class BullKeys(QueueSystem):
    """The keys that both have. The next job is at the right end of its list."""

    def __init__(self, config: QueueConfig) -> None:
        super().__init__(config)
        self._prefix = f"{config.prefix}:{config.queue}:"
        self._some_paused = False  # whether jobs were in `paused`, which is rare, when it was read last
        self._asked: dict[str, ReadCommand] = {
            "wait": ("LLEN", self.key("wait")),
            "paused": ("LLEN", self.key("paused")),
            "active": ("LLEN", self.key("active")),
            "delayed": ("ZCARD", self.key("delayed")),
            "failed": ("ZCARD", self.key("failed")),
            "completed": ("ZCARD", self.key("completed")),
            "next": ("LINDEX", self.key("wait"), -1),
            "meta": ("HMGET", self.key("meta"), "opts.maxLenEvents", "paused", "version"),
        }
        if config.job_per_order:
            self._asked |= {name: ("HGET", self.key(f"metrics:{kept}"), "count") for name, kept in FINISHED.items()}

    def key(self, name: str) -> str:
        """Return a key of this queue."""
        return self._prefix + name

    def ask(self, now: float) -> Asked:
        if not self._some_paused:
            return self._asked
        return {**self._asked, "next_paused": ("LINDEX", self.key("paused"), -1)}

    def then(self, replies: Replies) -> Asked:
        jobs = {name: replies[name] for name in ("next", "next_paused") if replies.get(name)}
        found: dict[str, ReadCommand] = {
            f"{name}_at": ("HGET", self.key(text(job)), "timestamp")
            for name, job in jobs.items()
            if not job.startswith(MARKER)
        }
        return found or {"id": ("GET", self.key("id"))}

    def reading(self, replies: Replies, now: float) -> QueueReading:
        self._some_paused = replies["paused"] > 0
        times = [since for name in ("next_at", "next_paused_at") if (since := seconds(replies.get(name))) is not None]
        return QueueReading(
            at=now,
            waiting=replies["wait"] + replies["paused"],
            active=replies["active"],
            delayed=replies["delayed"],
            failed=replies["failed"],
            completed=replies["completed"],
            oldest_waiting_s=age(now, min(times, default=None)),
            paused=bool(replies["meta"][1]),
            finished=self._finished(replies),
        )

    def note(self, replies: Replies) -> str:
        lacking = self.config.job_per_order and self._finished(replies) is None
        return "its workers count no finished jobs: give them the option `metrics`" if lacking else ""

    def _finished(self, replies: Replies) -> int | None:
        counts = [count for name in FINISHED if (count := replies.get(name)) is not None]
        return sum(map(int, counts)) if counts else None


class BullMQ(BullKeys):
    """`meta` is written with the first job, and by every `new Queue`."""

    def __init__(self, config: QueueConfig) -> None:
        super().__init__(config)
        self._asked["prioritized"] = ("ZCARD", self.key("prioritized"))

    def reading(self, replies: Replies, now: float) -> QueueReading:
        found = super().reading(replies, now)
        if replies["meta"][0] is None:
            if replies.get("id", b"") is not None:
                raise CommandError(f"{self.key('meta')} is not that of BullMQ: is this a queue of Bull? `system: bull`")
            raise NoSuchQueueError(f"there is no {self.key('meta')}: check `queue` and `prefix`")
        assert found.waiting is not None
        return replace(found, waiting=found.waiting + replies["prioritized"])

    def note(self, replies: Replies) -> str:
        version = text(replies["meta"][2])
        if version and not version.startswith(KNOWN):
            return f"{version} may lie differently in Redis"
        return super().note(replies)
