"""Seeds and what becomes of them: bytes, JSON values and whole messages, changed at random from a seed."""

import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

HERE = Path(__file__).parent
TOKENS = [
    *(
        b"null",
        b"true",
        b"-1",
        b"0",
        b"1e999",
        b"1e99999999999999999999",
        b"1.5",
        b"NaN",
        b"-0",
        b"1" * 50,
        b"[]",
        b"{}",
    ),
    *(
        b'""',
        b"[[",
        b"]]",
        b"{",
        b"}",
        b",",
        b":",
        b'"',
        b"\\",
        b'"\\ud800"',
        b"\\u0000",
        b"\xff",
        b"\xc3\xa9",
        b"\x00",
    ),
    *(
        b"\r\n",
        b"\r\n\r\n",
        b" ",
        b"\t",
        b"\x0b",
        b"\xef\xbb\xbf",
        b"\xf0\x9f\x98\x80",
        b'"status":"success"',
        b"=",
        b"%00",
    ),
]
VALUES: list[Any] = [
    *(None, True, False, 0, 1, -1, 2, 1.0, 1.5, 10**6, 10**6 + 1, 10**12, 10**12 + 1, 2**63 - 1, 2**63, 2**64, 10**130),
    *(-(10**12) - 1, 1e-9, 1e308, 129_600_000, 129_600_001, 946_684_800, 946_684_799, 1_790_000_000, 1_790_000_000_000),
    *(
        1_790_086_400,
        1_790_086_401,
        4e9,
        1e18,
        "",
        " ",
        "x",
        "success",
        "PAID",
        "Failed",
        "shipped",
        "é" * 64,
        "é" * 65,
    ),
    *(
        "x" * 128,
        "x" * 129,
        "1",
        "1.0",
        "-1",
        "+1",
        "1e3",
        "1e999",
        "0x1",
        "٣",
        "NaN",
        "EUR",
        "eur",
        "EURO",
        "ÉUR",
        "\u2028",
    ),
    *(
        "2026-09-21T14:13:20Z",
        "2026-09-21 14:13:20.5+02:00",
        "2026-09-21T14:13:60Z",
        "2026-09-21",
        "2026-09-21T14:13Z",
        "2026-09-21 14:13:20,5 UTC",
        "2026-09-21T14:13+01",
        "order.paid",
        "UserLogin",
        '{"status":"paid"}',
        "eyJzdGF0dXMiOiJwYWlkIn0=",
        "0001-01-01T00:00:00+23:59",
    ),
    *(
        "9999-12-31T23:59:59-23:59",
        [],
        {},
        [[]],
        [1],
        [{"product_id": "a"}],
        [{"productId": 1, "quantity": 0}],
        [{}],
        {"a": 1},
    ),
]
NAMES = [
    "type",
    "ts",
    "producer",
    "epoch",
    "seq",
    "status",
    "order_id",
    "product_id",
    "quantity",
    "items",
    "latency_ms",
    "processing_ms",
    "reason",
    "amount",
    "currency",
    "trace_id",
    "queue",
    "waiting",
    "active",
    "delayed",
    "failed",
    "completed",
    "stock",
    "orderId",
    "productId",
    "latencyMs",
    "processingMs",
    "traceId",
    "specversion",
    "data",
    "time",
    "id",
    "source",
    "Status",
    "OrderId",
    "ITEMS",
    "event",
    "event_type",
    "eventType",
    "kind",
    "service",
    "data_base64",
    "x",
]
TYPES = (
    "order",
    "queue",
    "inventory",
    "connections",
    "heartbeat",
    "page_view",
    "Order",
    "INVENTORY",
    "com.shop.order.v1",
)


def corpus(kind: str) -> list[bytes]:
    """Return the seeds of a kind, and what ever failed, in a fixed order."""
    files = sorted((HERE / "corpus" / kind).iterdir()) + sorted((HERE / "failed").glob(f"{kind}-*"))
    return [file.read_bytes() for file in files]


def mutated(random: Random, seed: bytes, others: list[bytes]) -> bytes:
    """Return bytes that were changed in one to four places."""
    data = bytearray(seed)
    for _ in range(random.choice((1, 1, 2, 4))):
        random.choice(_CHANGES)(random, data, others)
    return bytes(data)


def _flip(random: Random, data: bytearray, others: list[bytes]) -> None:
    if data:
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)


def _overwrite(random: Random, data: bytearray, others: list[bytes]) -> None:
    if data:
        data[random.randrange(len(data))] = random.randrange(256)


def _cut(random: Random, data: bytearray, others: list[bytes]) -> None:
    at = random.randrange(len(data) + 1)
    del data[at : at + random.choice((1, 2, 8, len(data)))]


def _insert(random: Random, data: bytearray, others: list[bytes]) -> None:
    at = random.randrange(len(data) + 1)
    data[at:at] = random.choice(TOKENS)


def _repeat(random: Random, data: bytearray, others: list[bytes]) -> None:
    at = random.randrange(len(data) + 1)
    part = bytes(data[at : at + random.choice((1, 4, 40))])
    data[at:at] = part * random.choice((1, 2, 20))


def _splice(random: Random, data: bytearray, others: list[bytes]) -> None:
    other = random.choice(others)
    data[random.randrange(len(data) + 1) :] = other[random.randrange(len(other) + 1) :]


_CHANGES: list[Callable[[Random, bytearray, list[bytes]], None]] = [_flip, _overwrite, _cut, _insert, _repeat, _splice]


def event(random: Random) -> Any:
    """Return an event that is right, or nearly so."""
    found: dict[str, Any] = {"status": random.choice(("success", "failed", "Paid"))}
    if random.random() < 0.4:
        found = {"type": random.choice(TYPES)}
    for _ in range(random.choice((0, 1, 2, 4))):
        found[random.choice(NAMES)] = random.choice(VALUES)
    if random.random() < 0.1:
        found = {"specversion": "1.0", "type": random.choice(TYPES), "data": found, "time": random.choice(VALUES)}
    return random.choice(VALUES) if random.random() < 0.02 else found


def payload(random: Random, seeds: list[bytes]) -> bytes:
    """Return one payload: a seed, a seed with its bytes changed, or events made up and perhaps changed."""
    chance = random.random()
    if chance < 0.1:
        return random.choice(seeds)
    if chance < 0.45:
        return mutated(random, random.choice(seeds), seeds)
    number = random.choice((1, 1, 1, 2, 5))
    events = [event(random) for _ in range(number)]
    text = json.dumps(events if number > 1 or random.random() < 0.1 else events[0], ensure_ascii=random.random() < 0.5)
    made = text.encode("utf-8", "surrogatepass")
    return mutated(random, made, seeds) if random.random() < 0.3 else made
