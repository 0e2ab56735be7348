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

# Nothing finished: no share of it is known, and none is shown.
FINISHED = "(sum(rate(flash_sale_orders_total{SCOPE}[$__rate_interval])) > 0)"
FAILED = 'sum(rate(flash_sale_orders_total{SCOPE,status="failed"}[$__rate_interval]))'
# Not by reason, of which a new one is shown at 0 for a while.
FAULTS = "sum(rate(flash_sale_sidecar_order_faults_total{SCOPE}[$__rate_interval]))"
# A kind that never occurred has no series, and is 0 all the same.
REFUSALS = '(sum(rate(flash_sale_order_failures_total{SCOPE,kind="refusal"}[$__rate_interval])) or vector(0))'

# More curves than 20 cannot be told apart. Those that sold best over all the time shown, so that none comes and goes.
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
            "Share of finished orders that failed because something is broken. Being sold out or declined is no error: "
            "see *Failures* below. Orange and red begin where OrderFaultRateHigh does.",
            units.PercentUnit,
            steps("green", (0.02, "orange"), (0.1, "red")),
            Query(f"{FAULTS} / {FINISHED}", "faults"),
        )
        .decimals(1)
        .no_value("no orders"),
        verdict(
            "Completeness",
            "Share of the published events that was counted. Below 100 % events are missing and totals too low.",
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
        "Orders finished per second, by outcome, and those that came in. "
        "Look for more coming in than finishing: the queue grows by the difference.",
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
                "All orders by what became of them. Look for a growing share in flight: orders come in undecided.",
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
            "Jobs that wait now, by queue. The zones are a guess: what matters is that the number falls again.",
            units.Short,
            Query(waiting, "{{queue}}"),
        ).thresholds(steps("green", (100, "orange"), (1000, "red"))),
        dial(
            "Time to drain the queue",
            "How long the jobs that wait now will take, at the pace of the last minute. It is the wait of a new order.",
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
            "Jobs waiting and being worked on. Waiting that grows while the workers are all busy: too few workers.",
            units.Short,
            Query(waiting, "{{queue}} waiting"),
            Query("sum by (queue) (flash_sale_queue_active_jobs{SCOPE})", "{{queue}} active"),
        ),
    ]


def _latency() -> Panels:
    return [
        lines(
            "Order latency: average, p95, p99",
            "From accepted to decided, as customers wait for it. An average that stays low under a rising p99: "
            "a few customers wait very long. Percentiles are estimated between the bounds of metrics.buckets and end "
            "at the last one (10 s); the tiles *Latency now* below are exact.",
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
                f"{meaning}, over the last minute. Exact to 1 %, of the slowest of the sidecars chosen. Orange and red "
                "begin where OrderLatencyHigh does.",
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
    """Average and percentiles of a histogram, over all the sidecars chosen."""
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
                "Shares of finished orders. A refusal is the business saying no (sold out, declined); "
                "a fault is something broken. Look at faults first.",
                units.PercentUnit,
                Query(f"{FAULTS} / {FINISHED}", "faults"),
                Query(f"{REFUSALS} / {FINISHED}", "refusals"),
                Query(f"{FAILED} / {FINISHED}", "failed"),
            ),
            *("faults", "refusals"),
        ),
        bars(
            "Failure reasons",
            "All failed orders by reason. Any fault high on this list is worth a look into the backend's log.",
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
                "Failed orders per second, by reason. A step up in one reason names the part that broke, and when.",
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
            "Units left of the 20 products that sold best. A curve below 0 is oversold: more was sold than there was.",
            units.Short,
            Query(f"{STOCK} and on (product_id) {BEST_SELLING}", "{{product_id}}"),
        ),
        grid(
            "Sell-out times",
            "Every product: what is left, how fast it sells, and when it is gone at this pace. "
            "An empty time means it hardly sells.",
            columns,
            ("product_id", "Product"),
        ).sort_by([common.TableSortByFieldState().display_name("Sold per second").desc(True)]),
        number(
            "Sold out",
            "Products without stock. Their orders fail as sold_out, which is no fault.",
            units.Short,
            Query(f"count({STOCK} <= 0) or vector(0)", "products"),
        ).height(8),
        verdict(
            "Oversold",
            "Products with a stock below 0. Anything but 0 is a broken reservation, and customers to apologise to.",
            units.Short,
            steps("green", (1, "red")),
            Query(f"count({STOCK} < 0) or vector(0)", "products"),
        ).height(8),
        lines(
            "Units sold per second",
            "The 20 products that sold best. A curve at 0 with stock left: it cannot be bought, or nobody wants it.",
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
            "By currency. It follows the successful orders; if it does not, amounts are missing from events.",
            PER_MINUTE,
            Query("sum by (currency) (rate(flash_sale_revenue_total{SCOPE}[$__rate_interval])) * 60", "{{currency}}"),
        ),
        lines(
            "Open connections",
            "Customers connected, as the backend reports it. Many connections and few orders: they cannot check out.",
            units.Short,
            Query("sum by (instance) (flash_sale_active_connections{SCOPE})", "{{instance}}"),
        ),
        lines(
            "Orders in flight",
            "Accepted and not yet decided. It rises in a rush; if it does not fall afterwards, decisions get lost.",
            units.Short,
            Query("sum by (instance) (flash_sale_orders_in_flight{SCOPE})", "{{instance}}"),
        ),
    ]
