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
        return {f"runs {at}": ("EXISTS", f"arq:in-progress:{text(job)}") for at, job in enumerate(ids)}

    def reading(self, replies: Replies, now: float) -> QueueReading:
        due = [float(score) / MS for score in replies["first"][1::2]]
        running = [bool(replies[f"runs {at}"]) for at in range(len(due))]
        free = [since for since, runs in zip(due, running, strict=True) if not runs and since <= now]
        late = sum(since > now for since, runs in zip(due, running, strict=True) if runs)  # a retry that was deferred
        return QueueReading(
            at=now,
            waiting=max(replies["all"] - replies["deferred"] - sum(running) + late, 0),
            active=sum(running),
            delayed=max(replies["deferred"] - late, 0),
            oldest_waiting_s=age(now, min(free, default=None)),
        )
