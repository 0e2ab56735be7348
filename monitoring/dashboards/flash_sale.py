"""*Flash Sale*: the sale as the people who run it see it."""

from grafana_foundation_sdk.builders import common
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.models import units

from monitoring.dashboards.board import Panels, arranged, board, products, sidecars
from monitoring.dashboards.panels import (
    PER_MINUTE,
    PER_SECOND,
    alerts,
    bars,
    coloured,
    dial,
    grid,
    lines,
    named,
    number,
    pie,
    stacked,
    steps,
    verdict,
)
from monitoring.dashboards.queries import STOCK, Query, firing

# If nothing finished, no share is known, and none is shown.
FINISHED = "(sum(rate(flash_sale_orders_total{SCOPE}[$__rate_interval])) > 0)"
FAILED = 'sum(rate(flash_sale_orders_total{SCOPE,status="failed"}[$__rate_interval]))'
# Not by reason: the series of a new reason starts at 0 for a while.
FAULTS = "sum(rate(flash_sale_sidecar_order_faults_total{SCOPE}[$__rate_interval]))"
# A kind that never occurred has no series, but counts as 0.
REFUSALS = '(sum(rate(flash_sale_order_failures_total{SCOPE,kind="refusal"}[$__rate_interval])) or vector(0))'

# Nobody can distinguish more than 20 curves. The best sellers of the whole time range, so that none comes and goes.
BEST_SELLING = "topk(20, sum by (product_id) (increase(flash_sale_units_sold_total{PRODUCT}[$__range] @ end())))"


def dashboard() -> build.Dashboard:
    """Build it."""
    description = "Orders, latency, queue and stock of the sale. Totals count since the start, or the last clear."
    empty = board("flash-sale", "Flash Sale", description).with_variable(sidecars()).with_variable(products())
    rows = {
        "Now": _now(),
        "Orders": _orders(),
        "Latency": _latency(),
        "Failures": _failures(),
        "Stock": _stock(),
        "Money and customers": _money(),
    }
    return arranged(empty, rows)


def _now() -> Panels:
    return [
        number(
            "Orders per second",
            "Orders finished, successful or failed. Look for a drop while customers are there: orders stopped flowing.",
            PER_SECOND,
            Query("sum(rate(flash_sale_orders_total{SCOPE}[$__rate_interval]))", "orders"),
        ).decimals(1),
        verdict(
            "Error rate",
            "Share of finished orders that failed because of a fault. Sold-out and declined orders are no faults: "
            "see *Failures* below. Orange and red start at the thresholds of OrderFaultRateHigh.",
            units.PercentUnit,
            steps("green", (0.02, "orange"), (0.1, "red")),
            Query(f"{FAULTS} / {FINISHED}", "faults"),
        )
        .decimals(1)
        .no_value("no orders"),
        verdict(
            "Completeness",
            "Share of the published events that was counted. Below 100 %, events are missing and totals are too low.",
            units.PercentUnit,
            steps("red", (1, "green")),
            Query("min(flash_sale_completeness_ratio{SCOPE})", "seen"),
        )
        .decimals(3)
        .no_value("unknown"),
        alerts(),
    ]


def _orders() -> Panels:
    by_status = "sum by (status) (flash_sale_orders_total{SCOPE})"
    throughput = lines(
        "Order throughput",
        "Orders finished per second, by outcome, and orders accepted. "
        "If more are accepted than finished, the queue grows by the difference.",
        PER_SECOND,
        Query("sum by (status) (rate(flash_sale_orders_total{SCOPE}[$__rate_interval]))", "{{status}}"),
        Query("sum(rate(flash_sale_orders_cancelled_total{SCOPE}[$__rate_interval]))", "cancelled"),
        Query("sum(rate(flash_sale_orders_pending_total{SCOPE}[$__rate_interval]))", "pending"),
    )
    waiting = "sum by (queue) (flash_sale_queue_length{SCOPE})"
    return [
        coloured(
            pie(
                "Order status distribution",
                "All orders by outcome. A growing share in flight means that orders arrive faster than decisions.",
                units.Short,
                Query(by_status, "{{status}}", instant=True),
                Query("sum(flash_sale_orders_cancelled_total{SCOPE})", "cancelled", instant=True),
                Query("sum(flash_sale_orders_in_flight{SCOPE}) or vector(0)", "in flight", instant=True),
            ),
            *("success", "failed", "cancelled", "in flight"),
        ),
        coloured(throughput, "success", "failed", "cancelled", "pending"),
        dial(
            "Current queue length",
            "Jobs that wait now, by queue. The coloured zones are rough: what matters is that the number falls again.",
            units.Short,
            Query(waiting, "{{queue}}"),
        ).thresholds(steps("green", (100, "orange"), (1000, "red"))),
        dial(
            "Time to drain the queue",
            "How long the waiting jobs will take at the rate of the last minute. A new order waits that long.",
            units.Seconds,
            Query(
                "sum(flash_sale_queue_length{SCOPE}) / (sum(rate(flash_sale_orders_total{SCOPE}[1m])) > 0)"
                f" unless on () {firing('critical', 'ThroughputCollapsed')}",
                "to drain",
            ),
        )
        .thresholds(steps("green", (10, "orange"), (60, "red")))
        .no_value("no orders"),
        lines(
            "Queues",
            "Jobs waiting and in progress. If waiting jobs grow while all workers are busy, there are too few workers.",
            units.Short,
            Query(waiting, "{{queue}} waiting"),
            Query("sum by (queue) (flash_sale_queue_active_jobs{SCOPE})", "{{queue}} active"),
        ),
    ]


def _latency() -> Panels:
    return [
        lines(
            "Order latency: average, p95, p99",
            "Time from acceptance to decision, which customers wait. If the average stays low while p99 rises, a few "
            "customers wait very long. Percentiles are estimated between the bounds of metrics.buckets and end at the "
            "last one (10 s); the tiles *Latency now* below are exact.",
            units.Seconds,
            *_durations("flash_sale_order_latency_seconds"),
        ),
        lines(
            "Processing latency: average, p95, p99",
            "Time the worker spent on an order. If it is flat while the order latency rises, orders wait in the queue; "
            "if both rise, the work itself became slow.",
            units.Seconds,
            *_durations("flash_sale_order_processing_seconds"),
        ),
        *(
            verdict(
                f"Latency now, {name}",
                f"{meaning}, over the last minute. Exact to 1 %, for the slowest of the chosen sidecars. Orange and "
                "red start at the thresholds of OrderLatencyHigh.",
                units.Seconds,
                steps("green", (1, "orange"), (2.5, "red")),
                Query(f'max(flash_sale_order_latency_percentile_seconds{{SCOPE,percentile="{q}",window="1m"}})', name),
            ).no_value("no orders")
            for name, q, meaning in (
                ("median", "50", "Half of the orders were decided faster"),
                ("p95", "95", "One order in 20 took longer"),
                ("p99", "99", "One order in 100 took longer"),
                ("p99.9", "99.9", "One order in 1,000 took longer"),
            )
        ),
    ]


def _durations(name: str) -> list[Query]:
    """Average and percentiles of a histogram, over all chosen sidecars."""
    rate = f"rate({name}_%s{{SCOPE}}[$__rate_interval])"
    average = f"sum({rate % 'sum'}) / (sum({rate % 'count'}) > 0)"
    buckets = f"sum by (le) ({rate % 'bucket'})"
    return [
        Query(average, "average"),
        Query(f"histogram_quantile(0.95, {buckets})", "p95"),
        Query(f"histogram_quantile(0.99, {buckets})", "p99", exemplars=True),
    ]


def _failures() -> Panels:
    by_reason = "sum by (kind, reason) (%s)"
    rates = "rate(flash_sale_order_failures_total{SCOPE}[$__rate_interval])"
    return [
        coloured(
            lines(
                "Error rate: faults and refusals",
                "Shares of finished orders. A refusal means that the business declined the order (sold out, declined "
                "payment); a fault means that something is broken. Look at faults first.",
                units.PercentUnit,
                Query(f"{FAULTS} / {FINISHED}", "faults"),
                Query(f"{REFUSALS} / {FINISHED}", "refusals"),
                Query(f"{FAILED} / {FINISHED}", "failed"),
            ),
            *("faults", "refusals"),
        ),
        bars(
            "Failure reasons",
            "All failed orders by reason. If a fault is high on this list, look into the backend's log.",
            units.Short,
            Query(
                f"sort_desc({by_reason % 'flash_sale_order_failures_total{SCOPE}'})",
                "{{reason}} ({{kind}})",
                instant=True,
            ),
        ).no_value("none"),
        stacked(
            lines(
                "Failures over time",
                "Failed orders per second, by reason. A step up in one reason shows which part broke, and when.",
                PER_SECOND,
                Query(by_reason % rates, "{{reason}} ({{kind}})"),
            )
        ).span(24),
    ]


def _stock() -> Panels:
    columns = {
        "Stock": (Query(STOCK), units.Short),
        "Sold": (Query("sum by (product_id) (flash_sale_units_sold_total{PRODUCT})"), units.Short),
        "Sold per second": (
            Query("sum by (product_id) (flash_sale_inventory_depletion_units_per_second{PRODUCT})"),
            PER_SECOND,
        ),
        "Sold out in": (
            Query("min by (product_id) (flash_sale_time_to_sell_out_seconds{PRODUCT})"),
            units.DurationSeconds,
        ),
    }
    return [
        lines(
            "Inventory per product",
            "Units left of the 20 best-selling products. A curve below 0 is oversold: more was sold than existed.",
            units.Short,
            Query(f"{STOCK} and on (product_id) {BEST_SELLING}", "{{product_id}}"),
        ),
        grid(
            "Sell-out times",
            "Every product: its stock, how fast it sells, and when it sells out at this rate. "
            "An empty time means that it hardly sells.",
            columns,
            ("product_id", "Product"),
        ).sort_by([common.TableSortByFieldState().display_name("Sold per second").desc(True)]),
        number(
            "Sold out",
            "Products without stock. Their orders fail with the reason sold_out, which is no fault.",
            units.Short,
            Query(f"count({STOCK} <= 0) or vector(0)", "products"),
        ).height(8),
        verdict(
            "Oversold",
            "Products with a stock below 0. Anything but 0 means a broken reservation, and customers to apologise to.",
            units.Short,
            steps("green", (1, "red")),
            Query(f"count({STOCK} < 0) or vector(0)", "products"),
        ).height(8),
        lines(
            "Units sold per second",
            "The 20 best-selling products. A curve at 0 with stock left: customers cannot buy it, or nobody wants it.",
            PER_SECOND,
            Query(
                "sum by (product_id) (rate(flash_sale_units_sold_total{PRODUCT}[$__rate_interval])) "
                f"and on (product_id) {BEST_SELLING}",
                "{{product_id}}",
            ),
        ),
    ]


def _money() -> Panels:
    return [
        named(
            number(
                "Revenue",
                "Amounts of all successful orders, by currency. XXX: the backend sent no currency.",
                units.LocaleFormat,
                Query("sum by (currency) (flash_sale_revenue_total{SCOPE})", "{{currency}}"),
            )
        )
        .decimals(2)
        .span(12)
        .height(8),
        lines(
            "Revenue per minute",
            "By currency. It should follow the successful orders; if not, amounts are missing from events.",
            PER_MINUTE,
            Query("sum by (currency) (rate(flash_sale_revenue_total{SCOPE}[$__rate_interval])) * 60", "{{currency}}"),
        ),
        lines(
            "Open connections",
            "Connected customers, as the backend reports them. Many connections and few orders: they cannot check out.",
            units.Short,
            Query("sum by (instance) (flash_sale_active_connections{SCOPE})", "{{instance}}"),
        ),
        lines(
            "Orders in flight",
            "Orders accepted but not decided. They rise in a rush; if they do not fall afterwards, decisions get lost.",
            units.Short,
            Query("sum by (instance) (flash_sale_orders_in_flight{SCOPE})", "{{instance}}"),
        ),
    ]
