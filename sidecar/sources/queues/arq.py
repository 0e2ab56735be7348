"""arq: one sorted set by the time to run (ms), which holds running jobs, too, until they are done.

Running jobs are the first ones of it, and each has a key of its own, so looking at the first `max_jobs` is enough.
"""

from sidecar.core.counts.queue_read import QueueReading
from sidecar.sources.queues.system import Asked, QueueSystem, Replies, age, text

MS = 1000


class Arq(QueueSystem):
    """`queue` is the whole key, as in arq itself."""

    def ask(self, now: float) -> Asked:
        key = self.config.queue
        return {
            "all": ("ZCARD", key),
            "deferred": ("ZCOUNT", key, f"({int(now * MS)}", "+inf"),
            "first": ("ZRANGE", key, 0, self.config.max_jobs, "WITHSCORES"),
        }

    def then(self, replies: Replies) -> Asked:
        ids = replies["first"][::2]
        return {"running": ("MGET", *(f"arq:in-progress:{text(job)}" for job in ids))} if ids else {}

    def reading(self, replies: Replies, now: float) -> QueueReading:
        running = [one is not None for one in replies.get("running", ())]
        due = [float(score) / MS for score in replies["first"][1::2]]
        free = [since for since, runs in zip(due, running, strict=True) if not runs and since <= now]
        late = sum(since > now for since, runs in zip(due, running, strict=True) if runs)  # a retry that was deferred
        return QueueReading(
            at=now,
            waiting=max(replies["all"] - replies["deferred"] - sum(running) + late, 0),
            active=sum(running),
            delayed=max(replies["deferred"] - late, 0),
            oldest_waiting_s=age(now, min(free, default=None)),
        )
