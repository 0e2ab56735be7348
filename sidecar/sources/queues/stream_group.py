"""A consumer group of a stream: what it has not read yet, and what it has not acknowledged. taskiq has one."""

from typing import Any

from sidecar.config.structs import QueueConfig
from sidecar.core.counts.queue_read import QueueReading
from sidecar.sources.queues.system import Asked, NoSuchQueueError, QueueSystem, ReadCommand, Replies, age, seconds, text


class StreamGroup(QueueSystem):
    """Redis does not know how much is unread before 7.0, and after entries in the middle were deleted."""

    def __init__(self, config: QueueConfig) -> None:
        super().__init__(config)
        self._asked: dict[str, ReadCommand] = {
            "groups": ("XINFO", "GROUPS", config.queue),
            "length": ("XLEN", config.queue),
        }

    def ask(self, now: float) -> Asked:
        return self._asked

    def then(self, replies: Replies) -> Asked:
        group = self._group(replies)
        if not replies["length"] or group.get(b"lag") == 0:
            return {}
        return {"next": ("XRANGE", self.config.queue, f"({text(group[b'last-delivered-id'])}", "+", "COUNT", 1)}

    def reading(self, replies: Replies, now: float) -> QueueReading:
        group, length = self._group(replies), replies["length"]
        lag = group.get(b"lag")
        waiting = 0 if not length else None if lag is None else min(lag, length)  # 7.0 counts trimmed entries, too
        unread = replies.get("next")
        since = seconds(text(unread[0][0]).partition("-")[0]) if unread else None
        taken, pending = group.get(b"entries-read"), group[b"pending"]
        return QueueReading(
            at=now,
            waiting=waiting,
            active=pending,
            oldest_waiting_s=age(now, since),
            finished=None if taken is None else taken - pending,
        )

    def _group(self, replies: Replies) -> dict[bytes, Any]:
        for reply in replies["groups"]:
            found = dict(zip(reply[::2], reply[1::2], strict=True))
            if found[b"name"] == self.config.group.encode():
                return found
        raise NoSuchQueueError(f"the stream {self.config.queue} has no group {self.config.group}: check `group`")
