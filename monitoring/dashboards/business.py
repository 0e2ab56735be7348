"""*Business*: the sale for people who do not read percentiles."""

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.models import units

from monitoring.dashboards.board import Panels, arranged, board, products, sidecars
from monitoring.dashboards.panels import (
    NEUTRAL,
    PER_MINUTE,
    bars,
    coloured,
    light,
    lines,
    named,
    number,
    stacked,
    steps,
)
from monitoring.dashboards.queries import COMMIT_AGE, STOCK, Query, firing

FINISHED = "sum(rate(flash_sale_orders_total{SCOPE}[1m]))"

# Each light has a query, and the values above which it is orange and red: a share of orders, then seconds.
# Not by reason: the series of a new reason starts at 0 for a while.
FAULTS = f"sum(rate(flash_sale_sidecar_order_faults_total{{SCOPE}}[1m])) / ({FINISHED} > 0) or vector(0)"
WAIT = 'max(flash_sale_order_latency_percentile_seconds{SCOPE,percentile="95",window="1m"}) or vector(0)'
# If not a single order a minute is decided, a queue with jobs is stuck: one job then counts as 100 s.
QUEUE = f"sum(flash_sale_queue_length{{SCOPE}}) / clamp_min({FINISHED}, 0.01) or vector(0)"
# Without an active sidecar the numbers count as an hour old.
AGE = f"{COMMIT_AGE} or vector(3600)"
# The alerts that make a light red. The values above need orders, which stop when every backend is dead, and no light
# may be green while its alert fires.
STOPPED = "ThroughputCollapsed|HalfOfProducersSilent"
BLIND = "SidecarDown|NoSidecarCounting|NumbersStale|SourceDisconnected|RedisDown|RedisRefusesWrites"
UNTRUE = f"{BLIND}|RedisMemoryHigh|CompletenessBelowOne|EventsCountedTwice"
LIGHTS = {
    "orders": (FAULTS, 0.01, 0.05, f"OrderFaultRateHigh|Oversold|{STOPPED}"),
    "customers": (WAIT, 2, 10, f"OrderLatencyHigh|{STOPPED}"),
    "queue": (QUEUE, 10, 60, "ThroughputCollapsed"),
    "numbers": (AGE, 3, 30, UNTRUE),
    "alarms": ("vector(0)", 0, 0, ".*"),
}


def dashboard() -> build.Dashboard:
    """Build it."""
    description = "How the sale is going. Totals count since the start of the sale, or since the numbers were cleared."
    empty = board("flash-sale-business", "Business", description).with_variable(sidecars()).with_variable(products())
    rows = {
        "Is the system keeping up?": _lights(),
        "The sale so far": _totals(),
        "What is left": _stock(),
        "How it went": _history(),
    }
    return arranged(empty, rows)


def _level(name: str) -> str:
    """Return a query that is 0, 1 or 2: a light is green, orange or red."""
    value, orange, red, alerts = LIGHTS[name]
    pages = f"count({firing('critical', alerts)}) * 2 or vector(0)"
    level = f"clamp_max((({value}) > bool {orange}) + (({value}) > bool {red}) + ({pages}), 2)"
    if name in ("numbers", "alarms"):
        return level
    # While its numbers are gone, the state of the sale is unknown.
    return f"{level} unless on () (({AGE}) > 30 or count({firing('critical', BLIND)}))"


def _words(green: str, orange: str, red: str) -> dict[int, tuple[str, str]]:
    return {0: (green, "green"), 1: (orange, "orange"), 2: (red, "red")}


def _lights() -> Panels:
    worst = " or ".join(f'label_replace({_level(name)}, "light", "{name}", "", "")' for name in LIGHTS)
    return [
        light(
            "Is the system keeping up?",
            "The worst of the five lights below. Orange: watch it. Red: call the people who run the shop.",
            _words("YES", "BARELY", "NO"),
            Query(f"max({worst})", "all", instant=True),
        ).span(24),
        light(
            "Orders",
            "Do orders fail because something is broken? Red from one in 20. Sold-out orders do not count.",
            _words("work", "some fail", "fail"),
            Query(_level("orders"), "orders", instant=True),
        ).no_value("unknown"),
        light(
            "Customers wait",
            "How long nearly all customers (19 of 20) wait for an answer: short is below 2 seconds, too long above 10.",
            _words("briefly", "a while", "too long"),
            Query(_level("customers"), "customers", instant=True),
        ).no_value("unknown"),
        light(
            "Queue",
            "Will the waiting orders be done within 10 seconds (moving), within a minute (filling), or later (stuck)?",
            _words("moving", "filling", "stuck"),
            Query(_level("queue"), "queue", instant=True),
        ).no_value("unknown"),
        light(
            "These numbers",
            "Live: from the last seconds. Old or gone: do not base decisions on this page; ask the people who run it.",
            _words("are live", "are old", "are gone"),
            Query(_level("numbers"), "numbers", instant=True),
        ),
        light(
            "Alarms",
            "Has somebody been called because customers cannot buy or pay wrongly, or nothing is counted? Red: yes.",
            _words("none", "", "somebody is called"),
            Query(_level("alarms"), "alarms", instant=True),
        ).span(24),
    ]


def _totals() -> Panels:
    return [
        number(
            "Units sold",
            "Pieces in successful orders, of the products chosen above.",
            units.LocaleFormat,
            Query("sum(flash_sale_units_sold_total{PRODUCT})", "units"),
        )
        .decimals(0)
        .no_value("none yet"),
        named(
            number(
                "Revenue",
                "The value of successful orders, by currency; for all products, whatever is chosen above.",
                units.LocaleFormat,
                Query("sum by (currency) (flash_sale_revenue_total{SCOPE})", "{{currency}}"),
            )
        )
        .decimals(2)
        .no_value("none yet"),
        number(
            "Orders per minute",
            "Successful orders, at the rate of the last minute.",
            PER_MINUTE,
            Query('sum(rate(flash_sale_orders_total{SCOPE,status="success"}[1m])) * 60', "orders"),
        ).decimals(0),
        number(
            "Stock left",
            "Pieces that can still be bought, of the products chosen above.",
            units.LocaleFormat,
            Query(f"sum(clamp_min({STOCK}, 0))", "units"),
        )
        .decimals(0)
        .no_value("unknown"),
    ]


def _stock() -> Panels:
    countdown = "min by (product_id) (flash_sale_time_to_sell_out_seconds{PRODUCT} > 0)"
    return [
        bars(
            "Sell-out countdown",
            "The ten products that will sell out first at the current rate. A restock resets the countdown.",
            units.DurationSeconds,
            Query(f"sort(bottomk(10, {countdown}))", "{{product_id}}", instant=True),
        )
        .thresholds(steps("orange", (60, NEUTRAL)))
        .no_value("nothing is about to sell out"),
        bars(
            "Stock left by product",
            "Pieces left of the 20 products with the lowest stock. Empty bars are sold out.",
            units.Short,
            Query(f"sort(bottomk(20, clamp_min({STOCK}, 0)))", "{{product_id}}", instant=True),
        ).thresholds(steps("orange", (20, NEUTRAL))),
        number(
            "Sold out",
            "Products without stock.",
            units.Short,
            Query(f"count({STOCK} <= 0) or vector(0)", "products"),
        ).span(12),
        number(
            "Still on sale",
            "Products that can be bought.",
            units.Short,
            Query(f"count({STOCK} > 0) or vector(0)", "products"),
        ).span(12),
    ]


def _history() -> Panels:
    failures = 'sum(rate(flash_sale_order_failures_total{SCOPE,kind="%s"}[1m])) * 60 or vector(0)'
    orders = lines(
        "Customers served",
        "Per minute. Bought: a successful order. Turned away: sold out, or the card was declined. "
        "Went wrong: our fault, and money lost.",
        PER_MINUTE,
        Query('sum(rate(flash_sale_orders_total{SCOPE,status="success"}[1m])) * 60', "bought"),
        Query(failures % "refusal", "turned away"),
        Query(failures % "fault", "went wrong"),
    )
    return [
        stacked(coloured(orders, "bought", "turned away", "went wrong")),
        lines(
            "Revenue over time",
            "The value of successful orders so far, by currency. The steeper the curve, the better the sale.",
            units.LocaleFormat,
            Query("sum by (currency) (flash_sale_revenue_total{SCOPE})", "{{currency}}"),
        ),
        bars(
            "Best sellers",
            "The ten products with the most pieces sold.",
            units.Short,
            Query(
                "sort_desc(topk(10, sum by (product_id) (flash_sale_units_sold_total{PRODUCT})))",
                "{{product_id}}",
                instant=True,
            ),
        ).span(24),
    ]
