"""Write the newest numbers to InfluxDB once per interval, to keep them longer than Redis does.

Two tasks never wait for each other, and nothing waits for them. One renders the newest Snapshot into batches; the
other sends them, oldest first, until each is written or refused. A batch may arrive twice if an answer was lost: the
same point at the same time stays one point. During an outage batches wait, up to a bound; beyond it the oldest are
dropped and counted.
"""

import asyncio
import random
import ssl
import zlib
from collections import deque
from collections.abc import AsyncIterator
from contextlib import suppress

import aiohttp
import structlog
from msgspec import UNSET, Struct
from msgspec.structs import replace

from sidecar.config import InfluxConfig, Secret
from sidecar.core.snapshot.snapshot import Snapshot
from sidecar.errors import ConfigError
from sidecar.exposition.influx.api import WriteAnswer, endpoint, headers, judge, secrets
from sidecar.exposition.influx.lines import lines
from sidecar.exposition.published import Component, Latest
from sidecar.process.logs import RateLimit
from sidecar.process.telemetry import Telemetry
from sidecar.redis.secret import read_secret

# Points in one request, as InfluxDB's documentation advises.
BATCH_POINTS = 5000
# A line takes 10 us: this blocks the loop for 2 to 3 ms.
LINES_BEFORE_YIELD = 250
# Compression to a quarter. The window size selects gzip, not bare zlib.
GZIP_LEVEL = 1
GZIP_WINDOW = 16 + zlib.MAX_WBITS
# Compressed: an hour of 700 products every 10 s. After a longer outage only the newest points are left.
BACKLOG_BYTES = 16 * 2**20
# InfluxDB gives up a write after 10 s, too.
ANSWER_SECONDS = 10.0
BACKOFF_SECONDS = (1.0, 30.0)
# For the last numbers on shutdown, which takes 2 s at most.
LAST_SECONDS = 0.5
LOG_SECONDS = 60.0
# The answer of InfluxDB 3 to a comment from a user that may write.
NOTHING_WRITTEN = "incoming write was empty"
# Of an error answer; the message is at its beginning.
SHOWN_BYTES = 4096


class LineBatch(Struct, frozen=True):
    """Compressed lines, and how many points they are."""

    body: bytes
    points: int


class Backlog:
    """Batches that wait, oldest first, up to `most` bytes in all."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._bytes = 0
        self._batches: deque[LineBatch] = deque()

    @property
    def oldest(self) -> LineBatch | None:
        """The one to send next."""
        return self._batches[0] if self._batches else None

    @property
    def points(self) -> int:
        """How many points wait."""
        return sum(batch.points for batch in self._batches)

    def add(self, batch: LineBatch) -> int:
        """Add a batch; return how many points were dropped for it."""
        self._batches.append(batch)
        self._bytes += len(batch.body)
        dropped = 0
        while self._bytes > self._most:
            dropped += self._pop().points
        return dropped

    def remove(self, batch: LineBatch) -> bool:
        """Remove a finished batch; False if it was dropped meanwhile."""
        if self.oldest is not batch:
            return False
        self._pop()
        return True

    def _pop(self) -> LineBatch:
        batch = self._batches.popleft()
        self._bytes -= len(batch.body)
        return batch


class InfluxOutput:
    """Write what `latest` exposes to the configured InfluxDB."""

    def __init__(self, config: InfluxConfig, *, environment: str, latest: Latest, telemetry: Telemetry) -> None:
        """Open nothing before `run`. Raises ConfigError for an unusable `ca_file`."""
        self._config = config
        self._environment = environment
        self._latest = latest
        self._counter = telemetry.influx_points
        self._tls = _tls(config.ca_file)
        self._backlog = Backlog(BACKLOG_BYTES)
        self._filled = asyncio.Event()
        self._taken_ts = 0.0
        self._problem = ""
        self._away = False
        self._limit = RateLimit(LOG_SECONDS)
        self._log = structlog.get_logger("sidecar")

    @property
    def component(self) -> Component:
        """Its state, for `/monitoring/health`."""
        if not self._problem:
            return Component("ok")
        waiting = f"; {points} points wait" if (points := self._backlog.points) else ""
        return Component("degraded", self._problem + waiting)

    async def run(self) -> None:
        """Take and send until cancelled; then send the last numbers, if that is quick."""
        async with _session(self._tls) as session:
            try:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._keep_taking())
                    tasks.create_task(self._keep_sending(session))
            finally:
                await self._finish(session)

    async def _finish(self, session: aiohttp.ClientSession) -> None:
        if not self._away:  # do not wait for an InfluxDB in an outage
            # Not asyncio.timeout: this task is already cancelled, and before Python 3.11.3 a timeout in such a task
            # raises CancelledError.
            last = asyncio.create_task(self._send_last(session))
            done, _ = await asyncio.wait([last], timeout=LAST_SECONDS)
            last.cancel()
            await asyncio.gather(last, return_exceptions=True)
            for finished in done:
                finished.result()
        if points := self._backlog.points:
            self._log.warning("stopped with points not written to InfluxDB", points=points)

    async def _send_last(self, session: aiohttp.ClientSession) -> None:
        await self._take()
        await self._send_waiting(session)

    # Taking

    async def _keep_taking(self) -> None:
        """Take the newest numbers every interval, the first as soon as there are any."""
        await self._latest.newest()
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            await self._take()
            due = max(due + self._config.interval, loop.time())
            await asyncio.sleep(due - loop.time())

    async def _take(self) -> None:
        """Render the newest Snapshot, if there is a new one: a standby has none."""
        published = self._latest.published
        if published is None or published.exposed.ts == self._taken_ts:
            return
        self._taken_ts = published.exposed.ts
        async for batch in batches(published.exposed, self._environment):
            if dropped := self._backlog.add(batch):
                self._counter.labels("dropped").inc(dropped)
                self._warn("points dropped", points=dropped, detail="the oldest, since InfluxDB has been away so long")
            self._filled.set()

    # Sending

    async def _keep_sending(self, session: aiohttp.ClientSession) -> None:
        """Send what waits; wait longer after each failure, up to a bound."""
        failures = 0
        while True:
            await self._filled.wait()
            failures = 0 if await self._send_waiting(session) else failures + 1
            if failures:
                first, longest = BACKOFF_SECONDS
                await asyncio.sleep(min(first * 2 ** min(failures - 1, 10), longest) * random.uniform(0.5, 1))

    async def _send_waiting(self, session: aiohttp.ClientSession) -> bool:
        """Send everything that waits; return False if it must be retried later."""
        while (batch := self._backlog.oldest) is not None:
            answer = await _send(session, self._config, batch.body)
            self._note(answer, batch)
            if answer.outcome == "again":
                return False
            if self._backlog.remove(batch):
                self._counter.labels(answer.outcome).inc(batch.points)
        self._filled.clear()
        return True

    def _note(self, answer: WriteAnswer, batch: LineBatch) -> None:
        """Remember the outcome, and log when it changes."""
        self._problem = answer.problem and f"{self._config.url}: {answer.problem}"
        before, self._away = self._away, answer.outcome == "again"
        if self._away and not before:
            self._log.warning("InfluxDB is away", detail=f"{self._problem}; points wait for it")
        elif before and not self._away:
            self._log.info("InfluxDB is back", points=self._backlog.points)
        if answer.outcome == "refused":
            self._warn("InfluxDB refused points", points=batch.points, detail=self._problem)

    def _warn(self, event: str, **details: object) -> None:
        """Log one warning of a kind per minute."""
        suppressed = self._limit.allow(event, asyncio.get_running_loop().time())
        if suppressed is not None:
            self._log.warning(event, **details, suppressed=suppressed)


async def attempt(config: InfluxConfig) -> WriteAnswer:
    """Write a comment, which succeeds or fails like a point. Raises ConfigError for an unusable `ca_file`."""
    async with _session(_tls(config.ca_file)) as session:
        answer = await _send(session, config, zlib.compress(b"# sidecar check\n", wbits=GZIP_WINDOW))
    return WriteAnswer("written") if NOTHING_WRITTEN in answer.problem else answer


def _session(tls: ssl.SSLContext | bool) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=tls, limit=1),
        timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS),
        cookie_jar=aiohttp.DummyCookieJar(),  # InfluxDB sets no cookies; something else could fill the memory with them
    )


def _fresh(config: InfluxConfig) -> InfluxConfig:
    """Return the configuration with the current content of secret files; an unreadable one keeps its last value."""
    for name in ("token", "password"):
        if file := getattr(config, f"{name}_file"):
            with suppress(ValueError):
                config = replace(config, **{name: Secret(read_secret(file))})
    return config


async def _send(session: aiohttp.ClientSession, config: InfluxConfig, body: bytes) -> WriteAnswer:
    """Send compressed lines."""
    config = _fresh(config)
    url, parameters = endpoint(config)
    try:
        async with session.post(
            url, params=parameters, data=body, headers=headers(config), allow_redirects=False
        ) as answer:
            reply = b"" if answer.ok else await answer.content.read(SHOWN_BYTES)
            return judge(answer.status, reply, hidden=secrets(config))
    except TimeoutError:
        return WriteAnswer("again", f"no answer within {ANSWER_SECONDS:g} s")
    except (aiohttp.ClientError, OSError) as exc:
        return WriteAnswer("again", str(exc) or type(exc).__name__)


async def batches(snapshot: Snapshot, environment: str) -> AsyncIterator[LineBatch]:
    """Yield the lines of a Snapshot in batches, without blocking the loop for long."""
    text: list[str] = []
    if snapshot.series is not UNSET:
        for line in lines(snapshot, snapshot.series, environment):
            text.append(line)
            if len(text) % LINES_BEFORE_YIELD == 0:
                await asyncio.sleep(0)
            if len(text) == BATCH_POINTS:
                yield await _packed(text)
                text = []
    if text:
        yield await _packed(text)


async def _packed(text: list[str]) -> LineBatch:
    whole = "".join(text).encode(errors="replace")  # the instance name from the environment may be no UTF-8
    return LineBatch(await asyncio.to_thread(zlib.compress, whole, level=GZIP_LEVEL, wbits=GZIP_WINDOW), len(text))


def _tls(ca_file: str) -> ssl.SSLContext | bool:
    """Return which authorities to trust: the system's, or those of a file."""
    if not ca_file:
        return True
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as exc:
        raise ConfigError(f"influx.ca_file: cannot use {ca_file}: {getattr(exc, 'reason', None) or exc}") from exc
