"""Commands about sales, as they wait in Redis."""

from itertools import count
from typing import Any

import msgspec

from sidecar.core.commit.aggregator import Aggregator
from sidecar.core.counts.sale import Announcement, Details
from tests.core.counted import NOW

_numbers = count()


def say(
    aggregate: Aggregator,
    action: Any,
    id: str | None = None,
    *,
    at: float = NOW,
    details_at: float | None = None,
    **details: Any,
) -> None:
    """Leave a command for the next commit."""
    said = Announcement(
        action=action,
        id=id,
        at=at,
        by="command",
        unique_id=f"w{next(_numbers)}",
        details=Details(at=details_at, **details),
    )
    aggregate.following.hear(msgspec.json.encode(said).decode())
