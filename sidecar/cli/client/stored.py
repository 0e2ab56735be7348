"""The state in Redis, for commands that read or change it without a daemon."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from sidecar.cli.client.access import connected, with_advice
from sidecar.cli.client.answers import Points
from sidecar.config import Config
from sidecar.core.counts.pending import RejectedEvent
from sidecar.core.counts.sale import NO_DETAILS, Announcement, Details, Sale, SaleCommand
from sidecar.core.counts.sale_record import SaleRecord
from sidecar.core.counts.state import State
from sidecar.core.sale.listing import ListedSale, listing
from sidecar.core.sale.records import refusal
from sidecar.core.snapshot.snapshot import Snapshot
from sidecar.daemon import build
from sidecar.errors import CommandError, SidecarError, UnavailableError
from sidecar.exposition.history import IN_REDIS, draw, parse_query
from sidecar.store.redis import RedisStore, cleared_report

# How long to wait for the next commit of the owner; the lease of a dead one ends about then.
OWNER_SECONDS = 5.0
POLL_SECONDS = 0.05
T = TypeVar("T")


async def read(config: Config, *, at_commit: bool = False) -> Snapshot:
    """Return the committed state as a Snapshot, now or as of its last commit.

    Raises `SidecarError` if there is none.
    """
    with with_advice():
        return await build.read(config, time.time(), at_commit=at_commit)


async def history(config: Config, grid: Mapping[str, str]) -> dict[str, Points]:
    """Return the last hour, every metric by name. Raises `SidecarError` if nothing is stored."""
    now = int(time.time())
    query = parse_query(grid, now)
    async with _store(config) as store:
        await _require_state(config, store)
        return {name: Points((await draw(name, query, now, store.history)).points) for name in IN_REDIS}


async def clear(config: Config) -> dict[str, Any]:
    """Clear the metrics, wait for the next commit of the owner, if there is one, and return the report."""
    id = secrets.token_hex(8)
    async with _store(config) as store:
        await _require_state(config, store)
        totals = await _twice(lambda: store.clear(id))
    await _owner_has_committed(config)
    return cleared_report(totals)


async def clear_metric(config: Config, name: str) -> None:
    """Clear one custom metric, and wait for the next commit of the owner. Raises `SidecarError` if there is none."""
    id = secrets.token_hex(8)
    async with _store(config) as store:
        await _require_state(config, store)
        if not await _twice(lambda: store.clear_metric(name, id)):
            raise SidecarError(f"nothing is stored of a custom metric {name!r} under {config.redis.prefix!r}")
    await _owner_has_committed(config)


async def sales(config: Config) -> list[ListedSale]:
    """Return all sales, the newest first."""
    async with _store(config) as store:
        await _require_state(config, store)
        return listing(*await _sales(config, store))


async def _sales(config: Config, store: RedisStore) -> tuple[dict[str, SaleRecord], Sale]:
    """Return the records of sales, and the present one."""
    state = await store.state(config.redis.prefix) or State()
    return {id: part.record for id, part in state.sales.items()}, (await store.sale())[0]


async def announce(config: Config, action: SaleCommand, id: str | None, details: Details = NO_DETAILS) -> Sale | None:
    """Say something of a sale, and wait until the owner has committed it; `None` if there is no owner.

    Raises SidecarError if it does not apply to the present sale.
    """
    announcement = Announcement(
        action=action, id=id, at=time.time(), by="command", unique_id=secrets.token_hex(8), details=details
    )
    async with _store(config) as store:
        await _require_state(config, store)
        records, sale = await _sales(config, store)
        if problem := refusal(sale, records, announcement):
            raise SidecarError(problem)
        await _twice(lambda: store.announce(announcement))
        return await _await_owner(config, store, announcement)


async def _twice(request: Callable[[], Awaitable[T]]) -> T:
    """Send a request again if its answer was lost: with the same random id it has one effect."""
    try:
        return await request()
    except CommandError:
        raise
    except UnavailableError:
        return await request()


async def _await_owner(config: Config, store: RedisStore, announcement: Announcement) -> Sale | None:
    deadline = time.monotonic() + OWNER_SECONDS
    while True:
        sale, announced = await store.sale()
        if announced == announcement.unique_id:
            return sale
        if not await store.is_owned():
            return None
        if time.monotonic() > deadline:
            raise UnavailableError(
                f"the sale was announced, but the sidecar has not committed for {OWNER_SECONDS:g} s: look at its "
                "health. It applies with the next commit"
            )
        await asyncio.sleep(POLL_SECONDS)


async def rejected(config: Config, limit: int) -> list[RejectedEvent]:
    """Return the newest rejected payloads. Raises `SidecarError` if nothing is stored."""
    async with _store(config) as store:
        found = await store.rejected(limit)
        if not found:
            await _require_state(config, store)
        return found


async def _require_state(config: Config, store: RedisStore) -> None:
    if not await store.exists():
        raise SidecarError(
            f"nothing is stored under {config.redis.prefix!r}: check redis.url and redis.prefix, or start `sidecar run`"
        )


@asynccontextmanager
async def _store(config: Config) -> AsyncIterator[RedisStore]:
    store = build.store(config)
    try:
        with with_advice():
            yield store
    finally:
        await store.close()


async def _owner_has_committed(config: Config) -> None:
    """Wait until the commit number has grown, or there is no owner."""
    checkpoint, lease = f"{config.redis.prefix}checkpoint", f"{config.redis.prefix}lease"
    deadline = time.monotonic() + OWNER_SECONDS
    async with connected(config.redis, key=checkpoint) as link:
        number = await link.call("HGET", checkpoint, "n")
        while time.monotonic() < deadline and await link.call("EXISTS", lease):
            if await link.call("HGET", checkpoint, "n") != number:
                return
            await asyncio.sleep(POLL_SECONDS)
