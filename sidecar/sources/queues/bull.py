"""Bull 4: `wait` holds the prioritized jobs, too; `delayed` also those that a rate limit holds back."""

from sidecar.core.counts.queue_read import QueueReading
from sidecar.errors import CommandError
from sidecar.sources.queues.bullmq import BullKeys
from sidecar.sources.queues.system import NoSuchQueueError, Replies


class Bull(BullKeys):
    """`id`, the number of jobs ever added, is there as soon as one was."""

    def reading(self, replies: Replies, now: float) -> QueueReading:
        if replies["meta"][0] is not None:
            raise CommandError(f"{self.key('meta')} is that of a queue of BullMQ: `system: bullmq`")
        if replies.get("id", b"") is None:
            raise NoSuchQueueError(f"there is no {self.key('id')}: check `queue` and `prefix`")
        return super().reading(replies, now)
