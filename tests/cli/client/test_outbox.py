"""An outbox waits for a Redis that was there, but not for ever, and not for one that never was."""

import pytest

from sidecar.cli.client import outbox
from sidecar.cli.client.publishing import Destination
from sidecar.config import RedisConfig
from sidecar.errors import UnavailableError
from tests.redis_server import RedisServer

EVENTS = [b"{}", b"{}"]


async def test_a_redis_that_is_gone_for_good_is_an_error_and_said_once(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "PATIENCE_SECONDS", 0.5)
    monkeypatch.setattr(outbox, "RETRY_SECONDS", 0.1)
    said: list[str] = []
    to = Destination("stream", "flash_sale:events")
    async with outbox.outbox(RedisConfig(url=redis_server.url), to, say=said.append) as opened:
        assert await opened.send(EVENTS) == 1
        redis_server.kill()
        with pytest.raises(UnavailableError):
            await opened.send(EVENTS)
    assert len(said) == 1


async def test_a_redis_that_takes_nothing_from_the_beginning_is_not_waited_for(redis_server: RedisServer) -> None:
    redis_server.ask("CONFIG SET maxmemory 1")
    said: list[str] = []
    to = Destination("stream", "flash_sale:events")
    async with outbox.outbox(RedisConfig(url=redis_server.url), to, say=said.append) as opened:
        with pytest.raises(UnavailableError, match="OOM|maxmemory"):
            await opened.send(EVENTS)
    assert said == []
