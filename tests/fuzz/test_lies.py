"""A Redis whose answers cannot be trusted: the sidecar takes each for an outage, and counts again when they end."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import hiredis
import pytest
import redis

from tests.conftest import Guarantee
from tests.e2e.conftest import MakeDaemon
from tests.e2e.daemon import PAST, START_SECONDS, Daemon
from tests.e2e.recount import STREAM
from tests.fake_redis import packed
from tests.guarantees import sizes
from tests.ledgers import order
from tests.redis_server import RedisServer
from tests.waiting import eventually

SHARE = 0.1  # of the answers
LIES: list[Any] = [
    *(None, 0, 1, -1, 2**63 - 1, b"", b"\xff\xfe", b"OK", b"0-0", b"99999999999999999999-1", b"message", "OK"),
    *(
        [],
        [[]],
        [[[[[[[1]]]]]]],
        [b"OK", b"OK"],
        [None],
        {1: 2},
        ValueError("ERR no"),
        ValueError("MOVED 1 127.0.0.1:1"),
    ),
    *(ValueError("NOSCRIPT no"), ValueError("LOADING"), ValueError("\x1b[2J"), b"9" * 5000, b"role:master\r\n"),
    # Of the form of an answer to a commit.
    *([b"CONFLICT", b"1", b"a b c", b"", b"r", b"", b"{"], [b"RESET", b"1", b"a b c", b"", b"r", b"other", b""]),
    *([b"CLEARED", b"1", b"a b c", b"g", b"r", b"", b""], [b"REREAD", b"1", b"a b c", b"", b"r", b"", b"[]"]),
]


class Liar:
    """Pass on what a server says, and change some of it while `lying`."""

    def __init__(self, target: int, seed: int) -> None:
        self.port = 0
        self.lying = False
        self.lies = 0
        self._target = target
        self._random = Random(seed)
        self._tasks: set[asyncio.Task[None]] = set()

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Stand between a client and the server."""
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def end(self) -> None:
        """Leave every client."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream, to_server = await asyncio.open_connection("127.0.0.1", self._target)
        tasks = [
            asyncio.create_task(self._asked(reader, to_server)),
            asyncio.create_task(self._answered(upstream, writer)),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            to_server.transport.abort()
            writer.transport.abort()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _asked(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            writer.write(data)

    async def _answered(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        parser = hiredis.Reader()
        while data := await reader.read(1 << 16):
            parser.feed(data)
            while (answer := parser.gets()) is not False:
                if self.lying and self._random.random() < SHARE:
                    self.lies += 1
                    answer = self._lie(answer)
                writer.write(packed(answer))

    def _lie(self, answer: Any) -> Any:
        """Return something else, or the answer with a part that is something else, gone, or there twice."""
        if not isinstance(answer, list) or not answer or self._random.random() < 0.2:
            return self._random.choice(LIES)
        place = self._random.randrange(len(answer))
        before, after = answer[:place], answer[place + 1 :]
        match self._random.randrange(4):
            case 0:
                return before + after
            case 1:
                return [*before, answer[place], answer[place], *after]
            case _:
                return [*before, self._lie(answer[place]), *after]


@asynccontextmanager
async def liar(target: int, seed: int) -> AsyncIterator[Liar]:
    """Stand before a server."""
    one = Liar(target, seed)
    server = await asyncio.start_server(one.accept, "127.0.0.1", 0)
    one.port = server.sockets[0].getsockname()[1]
    try:
        yield one
    finally:
        server.close()
        await one.end()


@pytest.mark.parametrize("number", sizes(40, 2_000, 20_000))
async def test_a_redis_that_lies_is_an_outage(
    number: int, redis_server: RedisServer, make_daemon: MakeDaemon, seed: int, guarantee: Guarantee
) -> None:
    async with liar(redis_server.port, seed) as between:
        url = redis_server.url.replace(f":{redis_server.port}/", f":{between.port}/")
        daemon = make_daemon(url).start(ready=False)
        # The liar runs in this loop: whatever asks the daemon and waits must be elsewhere.
        await eventually(lambda: asyncio.to_thread(daemon.is_ready), START_SECONDS, "a ready daemon")
        between.lying = True
        published = await asyncio.to_thread(use, daemon, redis_server, lambda: between.lies < number)
        between.lying = False
        await eventually(lambda: asyncio.to_thread(check_well, daemon), 60, "a daemon that is well")
        redis.Redis(port=redis_server.port).xadd(STREAM, {"e": order(product_id="after")})
        await eventually(lambda: asyncio.to_thread(counts, daemon, "after"), 20, "what came after the lies")
        text = daemon.log.read_text()
        assert not re.search("Traceback|fault of the sidecar", text), text
        guarantee("G5", f"{between.lies:,} lies of a Redis, {published:,} events meanwhile: it lived and counted on")
        assert await asyncio.to_thread(daemon.stop) == 0


def check_well(daemon: Daemon) -> bool:
    """Find nothing wrong but with what is past; a lie about the stored state is taken for damage, and told of."""
    _, answer = daemon.ask("/monitoring/health")
    assert answer is not None, "no answer"
    components = answer["components"]
    past = {*PAST, "checkpoint"}
    assert {name: one for name, one in components.items() if one["status"] != "ok" and name not in past} == {}
    return True


def counts(daemon: Daemon, product: str) -> bool:
    """Tell whether an order of the product was counted."""
    return product in daemon.snapshot()["orders"]["by_product"]


def use(daemon: Daemon, server: RedisServer, more: Callable[[], bool]) -> int:
    """Publish and read while there is more to come; return how many events were published."""
    client = redis.Redis(port=server.port)
    published = 0
    while more():
        client.publish(STREAM, order())
        client.xadd(STREAM, {"e": order()}, maxlen=1000)
        published += 2
        for path in ("/monitoring/history", "/monitoring/rejected", "/monitoring/health"):
            daemon.ask(path)
        assert daemon.process is not None
        assert daemon.process.poll() is None, daemon.log.read_text()[-2000:]
    return published
