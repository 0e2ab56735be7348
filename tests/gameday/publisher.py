"""Publish what a shop says, in its order. What Redis did not take is kept and sent again, as a careful backend does."""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.gameday.shop import STREAM, Message

NAME = "flash_sale:events"
BATCH = 200
PAUSE_SECONDS = 0.05
PATIENCE_SECONDS = 2.0

Address = tuple[str, int]


class Publisher(threading.Thread):
    """A connection to whoever is the primary; `put` never waits.

    One that stays goes back to the server that it knew until that says itself to be a replica, as clients do that ask
    the Sentinels only once.
    """

    def __init__(self, primary: Callable[[], Address], user: str, password: str, *, stays: bool = False) -> None:
        """Prepare; `primary` is asked for at each new connection, and may raise `OSError` or `RedisError`."""
        super().__init__(daemon=True)
        self._primary = primary
        self._login: dict[str, Any] = {"username": user, "password": password}
        self._stays = stays
        self._address: Address | None = None
        self._client: Any = None
        self._outbox: deque[tuple[str, bytes]] = deque()
        self._done = threading.Event()

    def put(self, messages: Sequence[Message]) -> None:
        """Leave messages to be published."""
        for message in messages:
            payload = msgspec.json.encode(message.event)
            self._outbox.extend((transport, payload) for transport in message.transports)

    @property
    def is_idle(self) -> bool:
        """Whether all of them were published."""
        return not self._outbox

    def run(self) -> None:
        """Publish until `finish`."""
        while not self._done.wait(PAUSE_SECONDS):
            while self._outbox and not self._done.is_set():
                try:
                    self._send([self._outbox[place] for place in range(min(BATCH, len(self._outbox)))])
                except (redis.RedisError, OSError) as error:
                    self._close(forget=not self._stays or isinstance(error, redis.ReadOnlyError))
                    self._done.wait(PAUSE_SECONDS)
        self._close(forget=True)

    def finish(self) -> None:
        """End; what was not published stays so."""
        self._done.set()
        self.join()

    def _send(self, batch: Sequence[tuple[str, bytes]]) -> None:
        self._client = self._client or self._connected()
        pipe = self._client.pipeline(transaction=False)
        for transport, payload in batch:
            pipe.xadd(NAME, {"e": payload}) if transport == STREAM else pipe.publish(NAME, payload)
        replies = pipe.execute(raise_on_error=False)
        refused = [one for one, reply in zip(batch, replies, strict=True) if isinstance(reply, Exception)]
        for _ in batch:
            self._outbox.popleft()
        self._outbox.extendleft(reversed(refused))
        if refused:
            raise next(reply for reply in replies if isinstance(reply, Exception))

    def _connected(self) -> Any:
        self._address = self._address or self._primary()
        host, port = self._address
        patience: dict[str, Any] = {"socket_timeout": PATIENCE_SECONDS, "socket_connect_timeout": PATIENCE_SECONDS}
        return redis.Redis(host=host, port=port, retry=Retry(NoBackoff(), 0), **patience, **self._login)

    def _close(self, *, forget: bool) -> None:
        if self._client is not None:
            self._client.close()
        self._client = None
        if forget:
            self._address = None
