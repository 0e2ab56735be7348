"""What every system offers: the commands of a read, and the reading that their replies are."""

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from sidecar.config.structs import QueueConfig
from sidecar.core.counts.queue_read import QueueReading
from sidecar.errors import CommandError

ReadCommand = tuple[str | int | float, ...]
Asked = Mapping[str, ReadCommand]
Replies = Mapping[str, Any]


class NoSuchQueueError(CommandError):
    """Nothing in Redis shows that there is such a queue."""


class QueueSystem:
    """One queue. The replies have the names of their commands; none of them is an error."""

    def __init__(self, config: QueueConfig) -> None:
        self.config = config

    def ask(self, now: float) -> Asked:
        """Return the commands of one read at `now` (Unix seconds), which Redis answers together."""
        raise NotImplementedError

    def then(self, replies: Replies) -> Asked:
        """Return further commands, which depend on the replies to the first ones."""
        return {}

    def reading(self, replies: Replies, now: float) -> QueueReading:
        """Return the reading; `replies` are those to all commands.

        Raises CommandError if the keys are of another system or version, or not there.
        """
        raise NotImplementedError

    def note(self, replies: Replies) -> str:
        """Say what is worth knowing about a queue that can be read, "" if nothing is."""
        return ""


def key_of(command: ReadCommand) -> str:
    """Return the first key of a command."""
    key = command[2] if command[0] == "XINFO" else command[1]
    return str(key)


def text(reply: bytes | None) -> str:
    """Return a reply as text, "" for none."""
    return "" if reply is None else reply.decode("utf-8", "replace")


def whole(reply: bytes | None) -> int:
    """Return a counter, 0 if nobody has counted yet."""
    return int(reply) if reply is not None else 0


def attempts(processed: str, failed: str) -> dict[str, ReadCommand]:
    """Return the commands for the counters of a system that counts attempts; `finished` reads the replies."""
    return {"processed": ("GET", processed), "attempts_failed": ("GET", failed)}


def finished(replies: Replies, given_up: int) -> int | None:
    """Return the jobs done or given up, for a system that counts attempts, and failed ones among them."""
    if "processed" not in replies:
        return None
    return whole(replies["processed"]) - whole(replies["attempts_failed"]) + given_up


def age(now: float, since: float | None) -> float | None:
    """Return the time since a moment, in seconds; `None` if that is unknown."""
    return None if since is None else max(now - since, 0.0)


def seconds(value: Any) -> float | None:
    """Return a time in Unix seconds: by its size it is in seconds, milli- or nanoseconds; `None` if it is no time."""
    with suppress(TypeError, ValueError):
        found = float(value)
        unit = 1e9 if found > 1e17 else 1e3 if found > 1e11 else 1.0
        return found / unit if found > 0 else None
    return None


def fields(payload: bytes | None) -> dict[str, Any]:
    """Return the fields of a job that is a JSON object, none for any other."""
    with suppress(ValueError, RecursionError):
        found = json.loads(payload or b"")
        return found if isinstance(found, dict) else {}
    return {}
