"""What the page can be told: snapshots and health as the sidecar sends them, for each state of the page."""

import copy
import json
from typing import Any, NamedTuple

from msgspec.structs import replace

from sidecar.core.counts.sale import Sale
from sidecar.core.snapshot.snapshot import Inventory, LastMinute, ProductOrders, SellOut, Windows
from sidecar.exposition import documents
from tests.exposition import snapshots
from tests.exposition.snapshots import BUDGET, TS, completeness, orders, snapshot

Json = dict[str, Any]
HOSTILE = "<img src=x onerror=alert(1)>"
SOURCES = ("pubsub:flash_sale:events", "stream:flash_sale:events")
RUNNING = Sale(None, "running", TS - 192, None, "orders")
WELL: Json = {
    "status": "ok",
    "role": "active",
    "components": {
        "redis": {"status": "ok", "detail": "127.0.0.1:6379, database 0, Redis 7.0.15"},
        "commit": {"status": "ok"},
        **{name: {"status": "ok", "received": 15, "last_event_at": TS - 1} for name in SOURCES},
    },
}


class Scene(NamedTuple):
    """What is known, and what the page makes of it: its state, its mark, and words of its verdict."""

    snapshot: Json | None
    health: Json | None
    state: str
    mark: str
    words: str
    feed: Json = {"status": "open"}  # noqa: RUF012
    age: float = 0.4
    silent: float = 0.2


def known(**changes: Any) -> Json:
    """Return the JSON of a snapshot in a running sale, with other fields."""
    document: Json = json.loads(documents.full(snapshot(**{"sale": RUNNING, **changes})))
    return document


def health(status: str, **components: Json) -> Json:
    """Return the health of a sidecar in which these parts are not well."""
    changed = copy.deepcopy(WELL)
    changed["status"] = status
    changed["components"] |= components
    return changed


def stocked(**left: int) -> Json:
    """Return fields of a snapshot in which these products have so many units left."""
    gone = SellOut("sold_out", None, None, None, TS - 5, None, 7)
    return {
        "orders": orders(by_product={name: ProductOrders(success=7, units=7) for name in left}),
        "inventory": {
            name: Inventory(stock, 0.7, 132.8, snapshots.SELL_OUT) if stock > 0 else Inventory(stock, None, 0.0, gone)
            for name, stock in left.items()
        },
    }


def rates(share: float) -> Windows[float | None]:
    """Return the same share in each window."""
    return Windows(last_10s=share, last_1m=share, last_5m=share, total=share)


NOT_STARTED = json.loads(documents.full(snapshots.empty()))
REFUSED_ALL = json.loads(documents.full(snapshots.empty(completeness=completeness(ratio=None, received=4, invalid=4))))
QUIET = replace(orders().per_second, now=0, last_10s=0.0)
REDIS_AWAY = health("down", redis={"status": "down", "detail": "Redis at 127.0.0.1:6379 does not answer: TimeoutError"})
STANDBY: Json = {
    "status": "standby",
    "role": "standby",
    "components": {"commit": {"status": "standby", "detail": "host-2 counts; waiting for its lease to end"}},
}
SELLING = "Selling well: 0.9 orders/s, 0.00 % faults, sku-1 sells out in about 2.2 min."
MISSED = {"ratio": 0.9, "missed": 3, "last_minute": LastMinute(0.9, 27, 3)}
LIMIT = known(orders=orders(faults=1, fault_rate=rates(0.043), failed_by_reason={"sold_out": 2, "timeout": 1}))

SCENES = {
    "loading": Scene(None, None, "loading", "unknown", "Connecting", {"status": "connecting"}),
    "no sidecar": Scene(None, None, "loading", "critical", "Nothing answers", {"status": "closed"}, silent=6),
    "token": Scene(None, None, "token", "attention", "wants a token", {"status": "closed", "wantsToken": True}),
    "standby": Scene(None, STANDBY, "standby", "unknown", "host-2 counts"),
    "starting": Scene(None, REDIS_AWAY, "starting", "attention", "does not answer"),
    "waiting": Scene(NOT_STARTED, WELL, "waiting", "unknown", "listens on 2 sources and has heard nothing in 12 s"),
    "all rejected": Scene(REFUSED_ALL, WELL, "waiting", "unknown", "4 events have come, and none could be counted"),
    "live": Scene(known(), WELL, "live", "ok", SELLING),
    "quiet": Scene(known(orders=orders(per_second=QUIET)), WELL, "quiet", "attention", "No orders for 10 s"),
    "degraded": Scene(
        known(completeness=completeness(**MISSED)), WELL, "degraded", "attention", "At least 0.9 orders/s: 3 events are"
    ),
    "part not well": Scene(
        known(),
        health("degraded", producers={"status": "degraded", "detail": "1 of 3 silent"}),
        "degraded",
        "attention",
        "1 of 3 silent",
    ),
    "faults": Scene(LIMIT, WELL, "live", "attention", "4.30 % of orders fail because of us (limit 2 %)."),
    "frozen": Scene(
        known(stale=True), REDIS_AWAY, "frozen", "critical", "Redis at 127.0.0.1:6379 does not answer.", age=9
    ),
    "lost": Scene(known(), WELL, "lost", "critical", "Disconnected for 6 s", {"status": "closed"}, 6.4, 6),
    "refused": Scene(
        known(), WELL, "lost", "critical", "no more clients", {"status": "closed", "refusal": 503}, 6.4, 6
    ),
    "locked": Scene(
        known(), WELL, "token", "critical", "wants a token", {"status": "closed", "wantsToken": True}, 6.4, 6
    ),
    "sold out": Scene(
        known(**stocked(a=0, b=0)), WELL, "soldout", "done", "Sold out in 3 min 7 s. 14 units sold, 70 EUR."
    ),
    "oversold": Scene(known(**stocked(a=0, b=-3)), WELL, "live", "critical", "Oversold: b by 3 units."),
    "ended": Scene(
        known(sale=Sale(None, "ended", TS - 99, TS - 9, "orders", "orders")), WELL, "ended", "done", "The sale ended at"
    ),
    "planned": Scene(NOT_STARTED | {"sale": {"starts_at": TS + 75}}, WELL, "planned", "unknown", "in 1 min 15 s"),
    "alert": Scene(
        known(slo={"faults": replace(BUDGET, state="page")}),
        WELL,
        "live",
        "critical",
        'The error budget "faults" burns too fast: 90 % of it is left.',
    ),
    "budget spent": Scene(
        known(slo={"faults": BUDGET, "latency": replace(BUDGET, left=0.0, remaining_ratio=0.0)}),
        WELL,
        "live",
        "critical",
        "The error budget is spent",
    ),
}
