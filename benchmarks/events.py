"""The event of the benchmark: every common field, 300 products, 5 % other types, made in chunks of a hundred.

A chunk is a template with the commands' lengths in place: only sequence numbers and times are put in when it is sent,
so that the publisher costs a third of a microsecond per event and Redis, not the publisher, is the limit.
"""

import json
import random
from typing import NamedTuple

CHANNEL = "flash_sale:events"
CHUNK = 100
OTHERS = 5  # of a chunk
OVERTAKES = 8  # how many places an event of a thread may be late
CHUNKS = 40  # of a producer, then again from the first
FIRST_SEQ = 100_000_001  # nine digits whatever is added, so that lengths stay as they are
_SEQ = 999_999_999
_TS = "1111111111.111"
_ROUND = "RRRRRRR"  # in the ids of orders: another one each time a chunk is sent, so that no order is met twice
_STATUSES = ("success", "failed", "pending", "cancelled")
_WEIGHTS = (60, 15, 20, 5)
_BROKEN = (b'{"status":"success","product_id":"sku-1"', b'{"status":"teleported"}', b'[1,{"status":7}', b'{"ts":1}')


def overtaken() -> list[int]:
    """Return the places of a chunk in the order in which threads send them: each a few places early or late."""
    rng = random.Random(1)
    return [place for _, place in sorted((place + rng.random() * OVERTAKES, place) for place in range(CHUNK))]


OVERTAKEN = overtaken()


class Chunk(NamedTuple):
    """A hundred commands; `counted` of them take a sequence number, `orders` are valid orders."""

    template: bytes
    counted: int
    orders: int

    def render(self, seq: int, now: float, *, threads: bool = False) -> bytes:
        """Return the commands, with numbers from `seq` on and `now` (Unix seconds) as event time.

        `threads`: numbers are slightly out of order, as from threads that share them.
        """
        numbers = range(seq, seq + self.counted)
        order = [numbers[at] for at in OVERTAKEN if at < self.counted] if threads else numbers
        numbered = self.template % tuple(order)
        return numbered.replace(_TS.encode(), b"%.3f" % now).replace(_ROUND.encode(), b"%07d" % (seq % 10**7))


class Wanted(NamedTuple):
    """What to publish: `transport` is pubsub or stream, `invalid` a share of all events, `plain` is orders alone."""

    transport: str = "pubsub"
    channel: str = CHANNEL
    products: int = 300
    invalid: float = 0.0
    maxlen: int = 2_000_000
    plain: bool = False


def chunks(producer: str, wanted: Wanted) -> list[Chunk]:
    """Return the chunks of one producer, the same ones for the same name."""
    rng = random.Random(producer)
    every = round(1 / wanted.invalid) if wanted.invalid else 0
    return [_chunk(producer, wanted, rng, number, every) for number in range(CHUNKS)]


def _chunk(producer: str, wanted: Wanted, rng: random.Random, number: int, every: int) -> Chunk:
    commands, orders, broken = [], 0, 0
    for place in range(CHUNK):
        if every and (number * CHUNK + place) % every == 7:
            payload, broken = _BROKEN[number % len(_BROKEN)], broken + 1
        elif place % (CHUNK // OTHERS) == 3 and not wanted.plain:
            payload = _json(producer, _other(rng, place, wanted.products))
        else:
            orders += 1
            order_id = f"{producer}-{_ROUND}{place:02}"
            payload = _json(producer, _order(rng, order_id, (number * CHUNK + place) % wanted.products))
        commands.append(command(wanted, payload))
    return Chunk(b"".join(commands).replace(b"%d" % _SEQ, b"%d"), CHUNK - broken, orders)


def _order(rng: random.Random, order_id: str, product: int) -> dict[str, object]:
    return {
        "type": "order",
        "status": rng.choices(_STATUSES, _WEIGHTS)[0],
        "order_id": order_id,
        "product_id": f"sku-{product:04}",
        "quantity": rng.randint(1, 3),
        "latency_ms": round(rng.lognormvariate(3, 0.7), 3),
        "processing_ms": round(rng.lognormvariate(2.5, 0.7), 3),
    }


def _other(rng: random.Random, place: int, products: int) -> dict[str, object]:
    if place < CHUNK // OTHERS:
        return {"type": "queue", "queue": "orders", "waiting": rng.randrange(1000), "active": rng.randrange(50)}
    if place < 2 * CHUNK // OTHERS:
        return {"type": "connections", "active": rng.randrange(1000)}
    return {"type": "inventory", "product_id": f"sku-{rng.randrange(products):04}", "stock": rng.randrange(10**5)}


def _json(producer: str, fields: dict[str, object]) -> bytes:
    head = {"ts": 0, "producer": producer, "epoch": 1_790_000_000, "seq": _SEQ}
    text = json.dumps({"type": fields.pop("type"), **head, **fields}, separators=(",", ":"))
    return text.replace('"ts":0', f'"ts":{_TS}').encode()


def command(wanted: Wanted, payload: bytes) -> bytes:
    """Return the RESP command that publishes a payload."""
    channel = wanted.channel.encode()
    if wanted.transport == "pubsub":
        return resp(b"PUBLISH", channel, payload)
    return resp(b"XADD", channel, b"MAXLEN", b"~", b"%d" % wanted.maxlen, b"*", b"e", payload)


def resp(*words: bytes) -> bytes:
    """Return a command as Redis reads it."""
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)
