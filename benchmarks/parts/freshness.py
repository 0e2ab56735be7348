"""Freshness: from PUBLISH to visible, at half the rate it can hold.

A probe is a queue snapshot whose length counts up; it is visible once an answer shows that length or a higher one.
"""

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable

import aiohttp
from redis.asyncio import Redis
from websockets.asyncio.client import connect

from benchmarks.capacity import held_rate
from benchmarks.events import CHANNEL
from benchmarks.lab import Sidecar, lab
from benchmarks.results import Report, Row, Sample, number
from benchmarks.subjects import watched_sidecar

TITLE = "Freshness: published to visible"
ROUNDS, SECONDS = 3, 6.0
PROBE_SECONDS = 0.04
POLL_SECONDS = 0.02  # adds as much to what is measured
INTERVAL_MS = 100
COMMIT_MS, ALLOWED_MS = 500, 50
IN_JSON = re.compile(rb'"probe":\{"waiting":(\d+)')
IN_METRICS = re.compile(rb'flash_sale_queue_length\{queue="probe"\} (\d+)')
Seen = list[tuple[float, int]]


def run(say: Callable[[str], None], full: bool) -> Report:
    """Measure over JSON, `/metrics` and WebSocket at the same time."""
    report = Report(TITLE)
    say("the rate it can hold ...")
    rate = held_rate("pubsub") / 2
    with lab() as place, watched_sidecar(place) as sidecar:
        publisher = place.start_publishing(int(rate * (ROUNDS * (SECONDS + 1) + 1)), rate=int(rate))
        time.sleep(1.0)
        found: dict[str, list[float]] = {}
        for turn in range(ROUNDS):
            for name, late in asyncio.run(_round(sidecar, place.port, turn * 1000)).items():
                found.setdefault(name, []).append(late)
                say(f"round {turn + 1} of {ROUNDS}, {name}: p99 {late:.0f} ms")
        publisher.stop()
    for name, values in found.items():
        limit = COMMIT_MS + ALLOWED_MS + (INTERVAL_MS if name == "WebSocket" else 0)
        report.rows.append(Row(f"p99 to visible, {name}", Sample(values, "ms"), limit, f"<= {limit} ms"))
    polled = f"polled every {POLL_SECONDS * 1000:.0f} ms, updates every {INTERVAL_MS} ms"
    report.note(f"At {number(rate)} events a second; {polled}.")
    return report


async def _round(sidecar: Sidecar, port: int, first: int) -> dict[str, float]:
    """Probe for a while with numbers above `first`; return the 99th percentile of each way to look, in ms."""
    base = f"http://127.0.0.1:{sidecar.daemon.http}"
    seen: dict[str, Seen] = {"JSON": [], "/metrics": [], "WebSocket": []}
    async with aiohttp.ClientSession() as session, Redis(port=port) as client:
        looking = [
            asyncio.create_task(_poll(session, f"{base}/monitoring/metrics", IN_JSON, seen["JSON"])),
            asyncio.create_task(_poll(session, f"{base}/metrics", IN_METRICS, seen["/metrics"])),
            asyncio.create_task(_listen(sidecar.daemon.ws, seen["WebSocket"])),
        ]
        sent = await _probe(client.publish, first + 1)
        await asyncio.sleep(1.0)
        for task in looking:
            task.cancel()
        await asyncio.gather(*looking, return_exceptions=True)
    return {name: _p99_ms(sent, found) for name, found in seen.items()}


async def _probe(publish: Callable[[str, str], Awaitable[int]], first: int) -> Seen:
    sent: Seen = []
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        number = first + len(sent)
        sent.append((time.monotonic(), number))
        await publish(CHANNEL, json.dumps({"type": "queue", "queue": "probe", "waiting": number, "ts": time.time()}))
        await asyncio.sleep(PROBE_SECONDS)
    return sent


async def _poll(session: aiohttp.ClientSession, url: str, pattern: re.Pattern[bytes], seen: Seen) -> None:
    while True:
        async with session.get(url) as answer:
            found = pattern.search(await answer.read())
        if found:
            seen.append((time.monotonic(), int(found[1])))
        await asyncio.sleep(POLL_SECONDS)


async def _listen(port: int, seen: Seen) -> None:
    async with connect(f"ws://127.0.0.1:{port}/", compression=None) as connection:
        asked = {"event": "subscribe-metrics", "data": {"interval_ms": INTERVAL_MS, "topics": ["queues"]}}
        await connection.send(json.dumps(asked))
        async for message in connection:
            if found := IN_JSON.search(message if isinstance(message, bytes) else message.encode()):
                seen.append((time.monotonic(), int(found[1])))


def _p99_ms(sent: Seen, seen: Seen) -> float:
    """Return the 99th percentile of the time to the first look that showed a probe; never seen is infinitely late."""
    late = sorted(next((at - when for at, shown in seen if shown >= number), float("inf")) for when, number in sent)
    return late[int(len(late) * 0.99)] * 1000
