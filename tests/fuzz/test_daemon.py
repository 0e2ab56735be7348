"""A whole daemon under nonsense from all sides: it counts on, exactly, answers, and grows no larger."""

import asyncio
import contextlib
import json
import re
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
import redis
from msgspec import Struct

from tests.conftest import Guarantee
from tests.e2e.conftest import MakeDaemon
from tests.e2e.daemon import Daemon
from tests.fuzz.mutations import corpus, payload
from tests.fuzz.oracle import Unknowable, judge
from tests.fuzz.requests import http, websocket
from tests.guarantees import sizes
from tests.redis_server import RedisServer
from tests.waiting import eventually

STREAM = "flash_sale:events"
TOGETHER = 16
ANSWER_SECONDS, SILENCE_SECONDS = 0.3, 0.03  # who neither answers nor ends by then waits for more, as it may
LONG_ENOUGH = 1 << 17  # a subscriber is answered for ever
MORE_MEMORY = 0.05
LARGE = 100_000  # below, what a process allocates once is more than that
Make = Callable[[Random, list[bytes]], list[bytes]]


class Seen(Struct):
    """What the answers to raw sequences were."""

    sent: int
    statuses: Counter[str]


async def storm(make: Make, port: int, kind: str, seed: int, numbers: range) -> Seen:
    """Send raw sequences, each on a connection of its own, and read what is answered."""
    seeds, statuses = corpus(kind), Counter[str]()
    waiting = iter(numbers)

    async def send() -> None:
        for one in waiting:
            random = Random(f"{seed}-{kind}-{one}")
            parts = make(random, seeds)
            answer = await exchange(port, parts, half_close=random.random() < 0.2)
            found = re.findall(rb"^HTTP/1\.[01] (\d\d\d)", answer, re.MULTILINE)
            statuses.update(status.decode() for status in found or [b"none"])
            assert b"500" not in found, f"{kind} {one}: {parts!r} {answer[:300]!r}"

    await asyncio.gather(*(send() for _ in range(TOGETHER)))
    return Seen(len(numbers), statuses)


async def exchange(port: int, parts: list[bytes], *, half_close: bool) -> bytes:
    """Send one part after the other, each when the one before is answered; return all that is answered."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer = b""
    try:
        for number, part in enumerate(parts, 1):
            writer.write(part)
            if half_close and number == len(parts):
                with contextlib.suppress(OSError):  # the daemon may have gone first
                    writer.write_eof()
            answer += await until_silence(reader)
    except OSError:  # it may be cut at any moment
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


def flood(server: RedisServer, seed: int, numbers: range) -> tuple[int, int]:
    """Write payloads to the stream; return how many events were accepted and refused, by the oracle."""
    client, seeds = redis.Redis(port=server.port), corpus("events")
    accepted = refused = 0
    pipe = client.pipeline(transaction=False)
    for one in numbers:
        text = payload(Random(f"{seed}-daemon-{one}"), seeds)
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


def fill(server: RedisServer) -> int:
    """Bring every name that is kept, and an order for each second that is; return how many events that is.

    Both may take memory (G7, G8), so neither is to come among the nonsense for the first time.
    """
    client, now = redis.Redis(port=server.port), time.time()
    orders = [
        {
            **{"status": status, "product_id": f"p{i}", "quantity": 1 + i % 9, "order_id": f"o{i}"},
            **{"amount": 1, "currency": f"A{chr(65 + i % 26)}X", "reason": f"r{i}"},
            **{"latency_ms": i / 7, "processing_ms": i / 9, "producer": f"n{i}", "seq": seq},
        }
        for i in range(1000)
        for seq, status in enumerate(("success", "failed", "pending", "cancelled"), 1)
    ]
    stock = [{"type": "inventory", "product_id": f"p{i}", "stock": i} for i in range(1000)]
    queues = [{"type": "queue", "queue": f"q{i}", "waiting": i} for i in range(100)]
    hour = [{"status": "success", "ts": now - second, "latency_ms": second / 10} for second in range(3600)]
    events = [*orders, *stock, *queues, *hour]
    for start in range(0, len(events), 500):
        client.xadd(STREAM, {"e": json.dumps(events[start : start + 500])})
    return len(events)


def resident(daemon: Daemon) -> int:
    """Return the daemon's memory in bytes."""
    assert daemon.process is not None
    status = Path(f"/proc/{daemon.process.pid}/status").read_text()
    return int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) * 1024


async def attack(daemon: Daemon, server: RedisServer, seed: int, numbers: range) -> tuple[int, int]:
    """Send a share of everything."""
    counts = await asyncio.to_thread(flood, server, seed, numbers)
    for make, port, kind in ((http, daemon.http, "http"), (websocket, daemon.ws, "websocket")):
        seen = await storm(make, port, kind, seed, numbers)
        print(f"{kind}: {seen.sent} sequences, answers {dict(seen.statuses)}")
    return counts


@pytest.mark.parametrize("number", sizes(200, 4_000, 200_000))
async def test_a_daemon_under_nonsense_from_all_sides_counts_on_exactly(
    number: int,
    redis_server: RedisServer,
    make_daemon: MakeDaemon,
    seed: int,
    guarantee: Guarantee,
) -> None:
    daemon = make_daemon(redis_server.url).start()
    accepted, refused = fill(redis_server), 0
    memory = []
    for numbers in (range(number // 4), range(number // 4, number)):  # warm, then for the measure
        counts = await attack(daemon, redis_server, seed, numbers)
        accepted, refused = accepted + counts[0], refused + counts[1]
        await eventually(lambda total=accepted + refused: daemon.received() == total, 60, "all events")  # type: ignore[misc]
        memory.append(resident(daemon))
    check_sound(daemon, accepted, refused)
    grown = memory[1] / memory[0] - 1
    guarantee(
        "G5",
        f"{number:,} payloads, HTTP and WebSocket sequences each: {accepted:,} events accepted, {refused:,} refused, "
        f"exact; memory {100 * grown:+.1f} % ({memory[0] / 1e6:.1f} to {memory[1] / 1e6:.1f} MB)",
    )
    assert grown <= MORE_MEMORY or number < LARGE
    assert daemon.stop() == 0


def check_sound(daemon: Daemon, accepted: int, refused: int) -> None:
    """Nothing is miscounted, no task has failed, nothing was a fault of the sidecar."""
    completeness = daemon.snapshot()["completeness"]
    assert (completeness["invalid"], completeness["received"]) == (refused, accepted + refused)
    assert daemon.ask("/monitoring/health")[1]["status"] in ("ok", "degraded")
    failures = r"^flash_sale_sidecar_task_failures_total\{.*\} (\S+)$"
    assert set(re.findall(failures, daemon.text("/metrics"), re.MULTILINE)) == {"0.0"}
    assert not re.search("Traceback|fault of the sidecar", daemon.log.read_text())
