"""The sidecar's numbers equal what the example backend's Postgres holds, whatever happens to the backend."""

import json
import secrets
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import redis

from examples.flash_sale_backend.__main__ import SCHEMA
from tests.e2e.daemon import PREFIX, Daemon
from tests.examples.backend import Backend
from tests.examples.postgres import Url, running_postgres
from tests.proxy import Proxy
from tests.redis_server import RedisServer
from tests.waiting import eventually

ORDERS, RATE = 150, 300  # of each life; more a second than are settled, so that some always wait
ENOUGH = 80  # of these, for the backend to be ended while they still come
EVENTS = "flash_sale:events"
# Each kind of fault and refusal often enough to be there.
SETTINGS = {
    "workers": "3",
    "payment_seconds": "0.08",
    "payment_declined": "0.1",
    "payment_silent": "0.1",
    "payment_patience_seconds": "0.15",
}
REASONS = {"sold_out", "payment_declined", "payment_timeout"}
REFUSALS = REASONS - {"payment_timeout"}

MakeBackend = Callable[..., Backend]


@pytest.fixture(scope="module")
def postgres() -> Iterator[Url]:
    """One Postgres for all tests here."""
    with running_postgres() as url:
        yield url


@pytest.fixture
async def database(postgres: Url) -> str:
    """The URL of an empty database."""
    name = f"sale_{secrets.token_hex(4)}"
    admin = await asyncpg.connect(postgres("postgres"))
    await admin.execute(f"CREATE DATABASE {name}")
    await admin.close()
    return postgres(name)


@pytest.fixture
async def db(database: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection to it."""
    connection = await asyncpg.connect(database)
    yield connection
    await connection.close()


@pytest.fixture
def make_backend(redis_server: RedisServer, proxy: Proxy, database: str, tmp_path: Path) -> Iterator[MakeBackend]:
    """Prepare a backend on that database; it ends with the test."""
    made: list[Backend] = []

    def make(**settings: str) -> Backend:
        urls = {"redis_url": proxy.instead_of(redis_server.url), "database_url": database}
        made.append(Backend(tmp_path / "backend.log", **urls, **settings))
        return made[-1]

    yield make
    for backend in made:
        backend.dispose()


@pytest.fixture
def daemon(redis_server: RedisServer, tmp_path: Path) -> Iterator[Daemon]:
    """A sidecar on the backend's Redis."""
    started = Daemon(tmp_path, redis_server.url)
    try:
        yield started.start()
    finally:
        started.end()


@pytest.mark.parametrize(
    ("transport", "endings"),
    [
        pytest.param(
            "stream", (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM), id="killed", marks=pytest.mark.campaign
        ),
        pytest.param("pubsub", (signal.SIGTERM, signal.SIGTERM), id="stopped", marks=pytest.mark.campaign),
    ],
)
async def test_the_numbers_equal_what_postgres_holds(
    transport: str,
    endings: tuple[signal.Signals, ...],
    make_backend: MakeBackend,
    proxy: Proxy,
    daemon: Daemon,
    db: asyncpg.Connection,
    client: redis.Redis,
    seed: int,
) -> None:
    """A sale whose backend ends again and again with orders waiting: all are settled, and counted once."""
    backend = make_backend(transport=transport, **SETTINGS)
    await db.execute(SCHEMA)
    await db.execute("UPDATE products SET stock = 20 WHERE id = 'sku-3'")  # sold out, whatever the seed
    for life, how in enumerate(endings, 1):
        backend.start()
        with backend.buy(ORDERS, RATE, seed + life) as shoppers:
            await eventually(lambda: orders_wait(db, life * ENOUGH), 20, "orders that wait")  # noqa: B023
            if how == signal.SIGKILL:
                await cut_short(proxy, db, client)
            assert backend.end(how) == (0 if how == signal.SIGTERM else -how)
            shoppers.communicate(timeout=30)
        proxy.heal()
    assert await db.fetchval("SELECT count(*) FROM orders WHERE status = 'pending'") == 0
    assert await db.fetchval("SELECT count(*) FROM outbox") == 0
    assert client.exists("sale:jobs", "sale:active") == 0

    snapshot = await eventually(lambda: when_counted(daemon, db), 15, "every order counted")
    assert snapshot is not None
    await check_orders(snapshot, db)
    await check_products(snapshot, db, client)
    await check_seconds(db, client)
    completeness = snapshot["completeness"]
    assert (completeness["missed"], completeness["invalid"], completeness["ratio"]) == (0, 0, 1.0)
    assert completeness["duplicates"] > 0 or signal.SIGKILL not in endings


async def test_what_is_no_order_is_no_event(make_backend: MakeBackend, client: redis.Redis) -> None:
    backend = make_backend()
    backend.start()
    wishes: list[Any] = [{}, [], "sku-1", {"product_id": 1}, {"product_id": "sku-1", "quantity": 0}]
    for wish in wishes:
        assert backend.ask("POST", "/orders", wish) == 400
    assert backend.ask("POST", "/orders", {"product_id": "sku-9"}) == 404
    assert backend.ask("DELETE", "/orders/1") == backend.ask("GET", "/orders/1") == 404
    assert backend.end(signal.SIGTERM) == 0
    entries: Any = client.xrange(EVENTS)
    assert {json.loads(fields[b"e"])["type"] for _, fields in entries} == {"queue", "inventory", "connections"}


async def orders_wait(db: asyncpg.Connection, placed: int) -> bool:
    """Tell whether so many orders were placed, and some of them are not decided."""
    counts = await db.fetchrow("SELECT count(*), count(*) FILTER (WHERE status = 'pending') FROM orders")
    return bool(counts[0] >= placed and counts[1] > 5)


async def cut_short(proxy: Proxy, db: asyncpg.Connection, client: redis.Redis) -> None:
    """Wait for the worst moment: events are sent, and the outbox still holds them, since the answer is lost."""

    async def sent_and_kept() -> bool:
        kept = {tuple(row) for row in await db.fetch("SELECT event->>'order_id', event->>'status' FROM outbox")}
        newest: Any = client.xrevrange(EVENTS, count=100)
        events = [json.loads(fields[b"e"]) for _, fields in newest]
        return not kept.isdisjoint((event.get("order_id"), event.get("status")) for event in events)

    proxy.misbehave("delay")
    await eventually(sent_and_kept, 20, "an event whose answer is on its way")
    proxy.misbehave("deaf")


async def when_counted(daemon: Daemon, db: asyncpg.Connection) -> dict[str, Any] | None:
    """Return the snapshot once it has as many orders, and the last readings of the queue and the stock."""
    decided = await db.fetchval("SELECT count(*) FROM orders WHERE status IN ('success', 'failed')")
    snapshot = daemon.snapshot()
    queue = snapshot["queues"].get("orders", {})
    idle = (queue.get("waiting"), queue.get("active")) == (0, 0)
    counted = snapshot["orders"]["total"] >= decided and snapshot["orders"]["in_flight"] == 0
    return snapshot if counted and idle and stock_shown(snapshot) == await stock_left(db) else None


def stock_shown(snapshot: dict[str, Any]) -> dict[str, int]:
    """Return the stock by product, as the sidecar shows it."""
    return {name: one["stock"] for name, one in snapshot["inventory"].items()}


async def stock_left(db: asyncpg.Connection) -> dict[str, int]:
    """Return the stock by product, as Postgres has it."""
    sold = "coalesce(sum(quantity) FILTER (WHERE status = 'success'), 0)"
    left = f"SELECT p.id, p.stock - {sold} FROM products p LEFT JOIN orders ON product_id = p.id GROUP BY p.id"
    return dict(await db.fetch(left))


async def check_orders(snapshot: dict[str, Any], db: asyncpg.Connection) -> None:
    """Compare what the sidecar knows of orders with what SQL says."""
    orders = snapshot["orders"]
    statuses = dict(await db.fetch("SELECT status, count(*) FROM orders GROUP BY status"))
    assert statuses.keys() == {"success", "failed", "cancelled"}
    assert orders["by_status"] == statuses | {"pending": sum(statuses.values())}
    reasons = dict(await db.fetch("SELECT reason, count(*) FROM orders WHERE status = 'failed' GROUP BY reason"))
    assert reasons.keys() >= REASONS
    assert orders["failed_by_reason"] == reasons
    refusals = sum(reasons[one] for one in REFUSALS)
    assert (orders["refusals"], orders["faults"]) == (refusals, statuses["failed"] - refusals)
    sold = "FROM orders JOIN products p ON p.id = product_id WHERE status = 'success'"
    revenue = f"SELECT p.currency, sum(price * quantity) {sold} GROUP BY 1"
    assert {currency: Decimal(text) for currency, text in orders["revenue"].items()} == dict(await db.fetch(revenue))
    took = "SELECT avg(extract(epoch FROM decided_at - created_at)) * 1000 FROM orders WHERE status <> 'cancelled'"
    latency = snapshot["latency_ms"]["total"]
    assert latency["count"] == statuses["success"] + statuses["failed"]
    assert latency["avg"] == pytest.approx(float(await db.fetchval(took)), rel=1e-6)


async def check_products(snapshot: dict[str, Any], db: asyncpg.Connection, client: redis.Redis) -> None:
    """Compare products, units and stock: of the sidecar, of Postgres, and of the backend in Redis."""
    sold = "coalesce(sum(quantity) FILTER (WHERE status = 'success'), 0)"
    counts = ", ".join(
        f"count(*) FILTER (WHERE status = '{one}') AS {one}" for one in ("success", "failed", "cancelled")
    )
    rows = await db.fetch(f"SELECT product_id, count(*) AS pending, {counts}, {sold} AS units FROM orders GROUP BY 1")
    assert snapshot["orders"]["by_product"] == {row["product_id"]: dict(list(row.items())[1:]) for row in rows}
    stock = await stock_left(db)
    assert stock_shown(snapshot) == stock
    assert {name: int(client.hget("sale:stock", name) or -1) for name in stock} == stock
    assert {name: int(client.get(f"{PREFIX}inventory:{name}") or 0) for name in stock} == stock


async def check_seconds(db: asyncpg.Connection, client: redis.Redis) -> None:
    """Compare the orders finished in each second."""
    finished = "SELECT floor(extract(epoch FROM decided_at))::bigint, count(*) FROM orders"
    seconds = dict(await db.fetch(f"{finished} WHERE status IN ('success', 'failed') GROUP BY 1"))
    assert {second: int(client.get(f"{PREFIX}throughput:{second}") or 0) for second in seconds} == seconds
