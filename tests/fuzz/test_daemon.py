"""A whole daemon under nonsense from all sides: it counts on, exactly, answers, and grows no larger."""

import asyncio
import contextlib
import os
import re
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
import redis
from msgspec import Struct

from tests.e2e.conftest import MakeDaemon, make_daemon  # noqa: F401  # a fixture
from tests.e2e.daemon import Daemon
from tests.fuzz.mutations import SEED, corpus, payload
from tests.fuzz.oracle import Unknowable, judge
from tests.fuzz.requests import http, websocket
from tests.redis_server import RedisServer
from tests.waiting import wait_until

STREAM = "flash_sale:events"
SCALE = int(os.environ.get("FUZZ_SCALE", "200_000"))
TOGETHER = 16
ANSWER_SECONDS, SILENCE_SECONDS = 0.3, 0.03  # who neither answers nor ends by then waits for more, as it may
LONG_ENOUGH = 1 << 17  # a subscriber is answered for ever
MORE_MEMORY = 1.05
Make = Callable[[Random, list[bytes]], list[bytes]]


class Seen(Struct):
    """What the answers to raw sequences were."""

    sent: int
    statuses: Counter[str]


async def storm(make: Make, port: int, kind: str, number: int, start: int = 0) -> Seen:
    """Send raw sequences, each on a connection of its own, and read what is answered."""
    seeds, statuses = corpus(kind), Counter[str]()
    numbers = iter(range(start, start + number))

    async def send() -> None:
        for one in numbers:
            random = Random(f"{SEED}-{kind}-{one}")
            parts = make(random, seeds)
            answer = await exchange(port, parts, half_close=random.random() < 0.2)
            found = re.findall(rb"^HTTP/1\.[01] (\d\d\d)", answer, re.MULTILINE)
            statuses.update(status.decode() for status in found or [b"none"])
            assert b"500" not in found, f"FUZZ_SEED={SEED} {kind} {one}: {parts!r} {answer[:300]!r}"

    await asyncio.gather(*(send() for _ in range(TOGETHER)))
    return Seen(number, statuses)


async def exchange(port: int, parts: list[bytes], *, half_close: bool) -> bytes:
    """Send one part after the other, each when the one before is answered; return all that is answered."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer = b""
    try:
        for part in parts:
            writer.write(part)
            if half_close and part is parts[-1]:
                writer.write_eof()
            answer += await until_silence(reader)
    except ConnectionError:
        pass
    finally:
        writer.transport.abort()
    return answer


async def until_silence(reader: asyncio.StreamReader) -> bytes:
    """Return what comes until the end, or until no more comes."""
    answer = b""
    with contextlib.suppress(TimeoutError):
        while len(answer) < LONG_ENOUGH:
            async with asyncio.timeout(SILENCE_SECONDS if answer else ANSWER_SECONDS):
                part = await reader.read(1 << 16)
            if not part:
                break
            answer += part
    return answer


def flood(server: RedisServer, number: int, start: int = 0) -> tuple[int, int]:
    """Write payloads to the stream; return how many events were accepted and refused, by the oracle."""
    client, seeds = redis.Redis(port=server.port), corpus("events")
    accepted = refused = 0
    pipe = client.pipeline(transaction=False)
    for one in range(start, start + number):
        text = payload(Random(f"{SEED}-daemon-{one}"), seeds)
        try:
            verdicts = judge(text, time.time())
        except Unknowable:
            continue
        if b"producer" in text or b"\\u" in text or b"heartbeat" in text.lower():
            continue  # a repeated number counts nowhere, and neither does a heartbeat
        accepted += sum(not verdict for verdict in verdicts)
        refused += sum(bool(verdict) for verdict in verdicts)
        pipe.xadd(STREAM, {"e": text}, maxlen=50_000, approximate=True)
        if one % 1000 == 0:
            pipe.execute()
    pipe.execute()
    return accepted, refused


def resident(daemon: Daemon) -> int:
    """Return the daemon's memory in bytes."""
    assert daemon.process is not None
    status = Path(f"/proc/{daemon.process.pid}/status").read_text()
    return int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) * 1024


async def attack(daemon: Daemon, server: RedisServer, number: int, start: int = 0) -> tuple[int, int]:
    """Send a share of everything."""
    counts = await asyncio.to_thread(flood, server, number, start)
    for make, port, kind in ((http, daemon.http, "http"), (websocket, daemon.ws, "websocket")):
        seen = await storm(make, port, kind, number, start)
        print(f"{kind}: {seen.sent} sequences, answers {dict(seen.statuses)}")
    return counts


async def campaign(server: RedisServer, daemon: Daemon, number: int) -> None:
    """Attack a daemon and check that it is none the worse."""
    print(f"FUZZ_SEED={SEED} runs this again")
    daemon.start()
    accepted = refused = 0
    warm = number // 5
    for start, share in ((0, warm), (warm, number - warm)):
        counts = await attack(daemon, server, share, start)
        accepted, refused = accepted + counts[0], refused + counts[1]
        wait_until(lambda: daemon.received() == accepted + refused, 60, f"{accepted + refused} events")  # noqa: B023
        memory, before = resident(daemon), memory if start else resident(daemon)  # noqa: F821
    completeness = daemon.snapshot()["completeness"]
    assert (completeness["invalid"], completeness["received"]) == (refused, accepted + refused)
    assert daemon.ask("/monitoring/health")[1]["status"] in ("ok", "degraded")
    text = daemon.text("/metrics")
    assert set(re.findall(r"^flash_sale_sidecar_task_failures_total\{.*\} (\S+)$", text, re.MULTILINE)) == {"0.0"}
    assert not re.search("Traceback|fault of the sidecar", daemon.log.read_text())
    print(f"{accepted} accepted, {refused} refused; memory {before >> 10} KiB, then {memory >> 10} KiB")
    assert memory <= MORE_MEMORY * before + (4 << 20 if number < 10_000 else 0)
    assert daemon.stop() == 0


async def test_a_daemon_under_nonsense_from_all_sides_counts_on_exactly(
    redis_server: RedisServer,
    make_daemon: MakeDaemon,  # noqa: F811
) -> None:
    await campaign(redis_server, make_daemon(redis_server.url), 400)


@pytest.mark.long
async def test_hundreds_of_thousands_of_raw_sequences_harm_nobody(
    redis_server: RedisServer,
    make_daemon: MakeDaemon,  # noqa: F811
) -> None:
    """FUZZ_SCALE says how many of each kind."""
    await campaign(redis_server, make_daemon(redis_server.url), SCALE)
