"""The channel to the sidecar: one Redis command per event is the whole integration."""

from collections.abc import Iterable

from redis.asyncio import Redis

from .settings import Settings

# About 200 MB. It must cover the longest time that the sidecar may be down.
MAX_ENTRIES = 1_000_000


class Channel:
    """A stream, or pub/sub if so set. Never both: the sidecar would count everything twice."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self._redis = redis
        self._settings = settings

    async def send(self, events: Iterable[str]) -> None:
        """Publish events in one round trip, in order."""
        name = self._settings.events
        pipe = self._redis.pipeline(transaction=False)
        for event in events:
            if self._settings.transport == "stream":
                pipe.xadd(name, {"e": event}, maxlen=MAX_ENTRIES, approximate=True)
            else:
                pipe.publish(name, event)
        await pipe.execute()
