"""What other systems publish counts as the events that it is, over a real Redis and through kills."""

import random
import time
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis

from sidecar.daemon.build import mappings
from tests.conftest import Guarantee, StartRedis
from tests.core.mapping import corpus
from tests.core.mapping.made import NOW
from tests.e2e.conftest import MakeDaemon
from tests.e2e.daemon import START_SECONDS, Daemon
from tests.guarantees import sizes
from tests.redis_server import DURABLE, RedisServer
from tests.waiting import wait_until

# Repeated states count, since events.json does not tell which files are of one order.
CORPUS = Path("tests/corpus/mappings.yml").read_text() + "\ncommit_interval: 50ms\norders: {repeats: count}\n"
FILES = sorted(corpus.INDEX)


def publish(client: redis.Redis, file: str) -> None:
    """Publish a file of the corpus as its system does, byte for byte."""
    one = corpus.INDEX[file]
    if one["transport"] == "pubsub":
        client.publish(one["where"], (corpus.FOLDER / file).read_bytes())
    else:
        pairs = corpus.fields_of(file)
        client.xadd(one["where"], dict(zip(pairs[::2], pairs[1::2], strict=True)))


def first_deliveries() -> tuple[list[dict[str, Any]], int, int]:
    """Return the events of events.json without those that another file delivered before, how many those are, and how
    many payloads are rejected."""
    config, names, events, duplicates, invalid = corpus.configuration(), set(), [], 0, 0
    chains = mappings(config)
    for file in FILES:
        chain = chains[corpus.source_of(config, file)]
        for outcome, event in zip(chain.outcomes(corpus.payload(config, file), NOW), corpus.EVENTS[file], strict=True):
            invalid += event == "rejected"
            if isinstance(event, dict) and outcome.repeats in names:
                duplicates += 1
            elif isinstance(event, dict):
                events.append(event)
                names |= {outcome.repeats} - {""}
    return events, duplicates, invalid


def worth(event: dict[str, Any]) -> Decimal | None:
    """Return what an order is worth: its own amount, or that of its items."""
    amounts = [Decimal(item["amount"]) for item in event.get("items", ()) if item.get("amount")]
    return Decimal(event["amount"]) if "amount" in event else sum(amounts, Decimal(0)) if amounts else None


def test_the_whole_corpus_counts_as_its_events(redis_server: RedisServer, make_daemon: MakeDaemon) -> None:
    url = f"redis://127.0.0.1:{redis_server.port}/0"  # the shipped user may read the shipped channels only
    daemon = make_daemon(url, settings=CORPUS).start()
    client = redis.Redis(port=redis_server.port)
    events, duplicates, invalid = first_deliveries()
    for file in FILES:
        publish(client, file)

    def counted() -> tuple[int, int]:
        completeness = daemon.snapshot()["completeness"]
        return completeness["received"], completeness["duplicates"]

    wait_until(
        lambda: counted() == (len(events) + invalid, duplicates), 10, f"{len(events)} events, {invalid} rejected"
    )
    snapshot = daemon.snapshot()
    assert snapshot["completeness"]["invalid"] == invalid
    by_status = Counter(event["status"] for event in events)
    assert {name: number for name, number in snapshot["orders"]["by_status"].items() if number} == by_status
    paid = [
        (event.get("currency", "XXX"), amount)
        for event in events
        if event["status"] == "success" and (amount := worth(event))
    ]
    expected = {code: sum(amount for other, amount in paid if other == code) for code, _ in paid}
    assert {code: Decimal(amount) for code, amount in snapshot["orders"]["revenue"].items()} == expected


# An hour of a shop that knows nothing of the sidecar: nested, its own words, in seconds, one stream in MessagePack

OWN = "sources: {pubsub: [], streams: [own]}\ncommit_interval: 10ms\nlease: 500ms\nredis: {prefix: 'own:'}\n"
THEIRS = """
custom_metrics:
  - {name: shop_states_total, type: counter, labels: {status: status, host: host}}
  - {name: shop_slow, type: histogram, value: latency_ms, when: {latency_ms: {above: 100}}, buckets: [500]}
sources: {pubsub: [], streams: []}
commit_interval: 10ms
lease: 500ms
redis: {prefix: 'theirs:'}
mappings:
  - name: shop
    sources: [stream:shop, stream:packed]
    entry: message
    repeats: delivery
    rules:
      - {name: visit, when: {kind: visit}, drop: true}
      - name: order
        when: {kind: bestellung}
        event:
          status: {path: order.state, words: {Offen: pending, Bezahlt: success, Versandt: success, Abgelehnt: failed}}
          order_id: {path: order.ref, after: /}
          ts: order.at
          latency_ms: {path: took, unit: s}
          reason: {path: order.why, words: {karte: payment_declined, weg: sold_out}}
          currency: order.money
          items:
            path: order.cart
            when: {qty: {above: 0}}
            item: {product_id: article.sku, quantity: qty, amount: {path: cents, times: qty, minor_units: true}}
      - {name: rest, drop: true}
"""
SECONDS = 3600
DIGITS = {"EUR": 2, "JPY": 0, "KWD": 3}
WHY = {"payment_declined": "karte", "sold_out": "weg"}


def an_hour(moments: random.Random, orders: int) -> list[dict[str, Any]]:
    """Return the events of a sale in our own format, in the order of their times."""
    start, found = time.time() - SECONDS - 60, []
    for number in range(orders):
        at = start + round(moments.uniform(0, SECONDS), 3)
        opened: dict[str, Any] = {
            "status": "pending",
            "order_id": str(number),
            "ts": at,
            "currency": moments.choice(sorted(DIGITS)),
        }
        digits = DIGITS[opened["currency"]]
        items = [
            {
                "product_id": f"sku-{moments.randrange(5)}",
                "quantity": (units := moments.randrange(1, 4)),
                "amount": str(units * Decimal(moments.randrange(1, 5000)).scaleb(-digits)),
            }
            for _ in range(moments.randrange(1, 3))
        ]
        ended = {**opened, "ts": at + 0.5, "latency_ms": moments.randrange(1, 10_000) / 10, "items": items}
        if moments.random() < 0.3:
            ended |= {"status": "failed", "reason": moments.choice(sorted(WHY))}
        else:
            ended["status"] = "success"
        found += [opened, ended] if moments.random() < 0.95 else [opened]
    return sorted(found, key=lambda event: float(event["ts"]))


def as_the_shop_says(event: dict[str, Any], number: int, *, again: bool) -> dict[str, Any]:
    """Return an event as the shop publishes it; `again`: as a state that says nothing new."""
    states = {"pending": "Offen", "success": "Versandt" if again else "Bezahlt", "failed": "Abgelehnt"}
    digits = DIGITS[event["currency"]]
    cart = [
        {
            "article": {"sku": item["product_id"], "name": "Schuh"},
            "qty": item["quantity"],
            "cents": int(Decimal(item["amount"]).scaleb(digits)) // item["quantity"],
        }
        for item in event.get("items", ())
    ]
    order = {
        "state": states[event["status"]],
        "ref": f"shop/orders/{event['order_id']}",
        "at": event["ts"],
        "money": event["currency"],
        "cart": [*cart, {"article": {"sku": "gift"}, "qty": 0}],
        "why": WHY.get(event.get("reason", "")),
    }
    took = {"took": event["latency_ms"] / 1000} if "latency_ms" in event else {}
    return {"kind": "bestellung", "delivery": f"d{number}{'-again' * again}", "order": order, "host": "web-1", **took}


def told(daemon: Daemon) -> dict[str, Any]:
    """Return the report without what is of this daemon and this moment."""
    status, report = daemon.ask("/monitoring/report")
    assert status == 200
    orders = {name: value for name, value in report["orders"].items() if name != "per_second"}
    return {"orders": orders, "latency_ms": report["latency_ms"]}


def publish_both(client: redis.Redis, event: dict[str, Any], number: int, chances: random.Random) -> int:
    """Publish an event in both formats; the shop repeats some deliveries and states, and publishes other things.

    Return how many deliveries differ.
    """
    client.xadd("own", {"e": msgspec.json.encode(event)})
    published = [as_the_shop_says(event, number, again=False)]
    again = chances.random() < 0.1
    if chances.random() < 0.1:
        published.append(published[0])
    if again:
        published.append(as_the_shop_says(event, number, again=True))
    if chances.random() < 0.1:
        published.append({"kind": "visit"})
    packed = int(event["order_id"]) % 2  # of one order all events come the same way
    for one in published:
        if packed and "order" in one:
            one = {**one, "order": {**one["order"], "at": datetime.fromtimestamp(event["ts"], UTC)}}
        encode = msgspec.msgpack.encode if packed else msgspec.json.encode
        client.xadd("packed" if packed else "shop", {"key": b"k", "message": encode(one)})
    return 1 + again


@pytest.mark.parametrize("kills", sizes(5, 50, 500))
def test_an_hour_of_a_foreign_shop_is_reported_like_the_same_hour_in_our_own_words(
    kills: int, start_redis: StartRedis, make_daemon: MakeDaemon, seed: int, guarantee: Guarantee
) -> None:
    server = start_redis(*DURABLE)
    url = f"redis://127.0.0.1:{server.port}/0"
    client, chances = redis.Redis(port=server.port), random.Random(seed)
    events = an_hour(chances, 25 * kills)
    own, theirs = make_daemon(url, settings=OWN), make_daemon(url, settings=THEIRS)
    own.start()
    theirs.start()
    states: Counter[str] = Counter()
    slow: list[float] = []
    for number, event in enumerate(events):
        told_to_be = publish_both(client, event, number, chances)
        states[event["status"]] += told_to_be
        slow += [event.get("latency_ms", 0)] * told_to_be
        if number % (len(events) // kills) == 0:
            theirs.end()
            theirs.start(ready=number % 2 == 0)
    theirs.wait_ready()
    wait_until(lambda: own.received() == len(events), START_SECONDS, "the sale in our own words")
    wait_until(lambda: told(theirs) == told(own), START_SECONDS, f"{told(theirs)} to become {told(own)}")
    snapshot = theirs.snapshot()
    completeness, custom = snapshot["completeness"], snapshot["custom"]
    assert (completeness["invalid"], completeness["missed"]) == (0, 0)
    assert completeness["duplicates"] > 0
    labels = [{"status": status, "host": "web-1"} for status in sorted(states)]
    shown = [{"labels": one, "value": states[one["status"]]} for one in labels]
    assert custom["shop_states_total"]["series"] == shown
    slow = [one for one in slow if one > 100]
    (histogram,) = custom["shop_slow"]["series"]
    assert histogram["buckets"] == {"500.0": sum(one <= 500 for one in slow), "+Inf": len(slow)}
    assert histogram["sum"] == pytest.approx(sum(slow), abs=1e-6)
    guarantee("G1", f"{kills} kills of a sidecar with mappings, {len(events):,} foreign events, difference 0")
