"""*Sidecar*: is the daemon healthy, and are its numbers correct?"""

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.models import units

from monitoring.dashboards.board import Panels, arranged, board, sidecars
from monitoring.dashboards.panels import PER_SECOND, UP, alerts, bars, light, lines, stacked, steps, verdict
from monitoring.dashboards.queries import COMMIT_AGE, Query

# The process metrics have the same names in every exporter, so select those of sidecars.
OF_SIDECARS = "and on (job, instance) flash_sale_sidecar_build_info{SCOPE}"
ROLES = {1: ("active", "green"), 0: ("standby", "blue"), -1: ("down", "red")}


def dashboard() -> build.Dashboard:
    """Build it."""
    description = (
        "Is the sidecar healthy, and are its numbers complete and fresh? One sidecar is active; the others stand by."
    )
    empty = board("flash-sale-sidecar", "Sidecar", description).with_variable(sidecars())
    rows = {
        "State": _state(),
        "What comes in": _events(),
        "What is wrong with it": _oddities(),
        "Commits to Redis": _commits(),
        "Who reads it": _readers(),
        "Process": _process(),
    }
    return arranged(empty, rows)


def _state() -> Panels:
    role = """
        sum by (instance) (
          flash_sale_info{SCOPE}
          or flash_sale_sidecar_build_info{SCOPE} * 0
          or (up{SCOPE} == 0) - 1 and on (job, instance) last_over_time(flash_sale_sidecar_build_info{SCOPE}[1h])
        )
    """
    return [
        light(
            "Role",
            "The active sidecar counts; a standby waits to take over; down: Prometheus gets no answer from it.",
            ROLES,
            Query(role, "{{instance}}", instant=True),
        ),
        light(
            "Redis",
            "Does Redis answer the sidecar, and accept its writes? While it does not, the sidecar keeps what it reads "
            "in memory and shows nothing new.",
            UP | {-1: ("refuses", "red")},
            Query(
                "min by (instance) (flash_sale_sidecar_redis_up{SCOPE}"
                " or -(flash_sale_sidecar_redis_refuses_writes{SCOPE} == 1))",
                "{{instance}}",
                instant=True,
            ),
        ),
        light(
            "Sources",
            "Is each channel and stream read? On a standby none is. Down on the active sidecar: it misses events.",
            UP,
            Query(
                "max by (source) (flash_sale_sidecar_source_connected{SCOPE}"
                " and on (job, instance) flash_sale_info{SCOPE})",
                "{{source}}",
                instant=True,
            ),
        ).no_value("no active sidecar"),
        verdict(
            "Age of the numbers",
            "Time from the last commit to the last scrape. It is normally below the commit interval (0.5 s).",
            units.Seconds,
            steps("green", (3, "orange"), (5, "red")),
            Query(COMMIT_AGE, "age"),
        )
        .decimals(1)
        .no_value("no commit yet"),
        alerts().span(24),
    ]


def _events() -> Panels:
    received = "sum by (source) (rate(flash_sale_sidecar_events_received_total{SCOPE}[$__rate_interval]))"
    return [
        lines(
            "Events received",
            "Distinct events per second, by source. 0 while orders flow: the backend publishes elsewhere.",
            PER_SECOND,
            Query(received, "{{source}}"),
        ),
        lines(
            "Lag",
            "How long events waited in Redis before they were read. Rising: more arrive than can be counted.",
            units.Seconds,
            Query("max by (source) (flash_sale_sidecar_source_lag_seconds{SCOPE})", "{{source}}"),
        ),
        lines(
            "Time since the last event",
            "By source. It rises in a steady line when the backend stops publishing.",
            units.Seconds,
            Query(
                "min by (source) (timestamp(flash_sale_sidecar_source_last_event_timestamp_seconds{SCOPE})"
                " - flash_sale_sidecar_source_last_event_timestamp_seconds{SCOPE})",
                "{{source}}",
            ),
        ),
        verdict(
            "Completeness",
            "Share of the published events that was counted. If it is below 100 %, see *missed* below.",
            units.PercentUnit,
            steps("red", (1, "green")),
            Query("min by (instance) (flash_sale_completeness_ratio{SCOPE})", "{{instance}}"),
        )
        .decimals(3)
        .height(8)
        .no_value("unknown"),
        verdict(
            "Streams replaced",
            "How often a stream was found deleted or replaced, in the time range: by an operator, or by a failover.",
            units.Short,
            steps("green", (1, "orange")),
            Query("sum by (source) (increase(flash_sale_sidecar_source_resets_total{SCOPE}[$__range]))", "{{source}}"),
        )
        .decimals(0)
        .height(8),
    ]


def _oddities() -> Panels:
    return [
        lines(
            "Missed, duplicate, late and ignored",
            "Events per second. Missed: published but never seen. Duplicate: sent again, counted once. "
            "Late: more than 5 s old. Ignored: of a type that nothing counts.",
            PER_SECOND,
            *(
                Query(
                    f"sum(rate(flash_sale_sidecar_events_{what}_total{{SCOPE}}[$__rate_interval])) or vector(0)", what
                )
                for what in ("missed", "recovered", "duplicate", "late", "ignored")
            ),
        ),
        lines(
            "Invalid events",
            "Rejected events per second, by reason. `sidecar rejected` shows their payloads. If a new reason appears "
            "after a release of the backend, the backend has a bug.",
            PER_SECOND,
            Query(
                "sum by (reason) (rate(flash_sale_sidecar_events_invalid_total{SCOPE}[$__rate_interval]))",
                "{{reason}}",
            ),
        ),
        bars(
            "Label overflow",
            "Values beyond the limit of a label, counted under __other__. For products, raise metrics.max_products.",
            units.Short,
            Query("sum by (label) (flash_sale_sidecar_label_overflow_total{SCOPE})", "{{label}}", instant=True),
        )
        .thresholds(steps("green", (1, "orange")))
        .span(24),
    ]


def _commits() -> Panels:
    duration = "flash_sale_sidecar_commit_duration_seconds"
    rate = f"rate({duration}_%s{{SCOPE}}[$__rate_interval])"
    return [
        stacked(
            lines(
                "Commits by outcome",
                "Per second. conflict: two sidecars on one prefix. failed: Redis did not answer, or rejected it.",
                PER_SECOND,
                Query(
                    "sum by (outcome) (rate(flash_sale_sidecar_commits_total{SCOPE}[$__rate_interval]))", "{{outcome}}"
                ),
            )
        ),
        lines(
            "Commit duration: average, p99",
            "Near the commit interval (0.5 s) the sidecar no longer keeps up: look at Redis and the network.",
            units.Seconds,
            Query(f"sum({rate % 'sum'}) / (sum({rate % 'count'}) > 0)", "average"),
            Query(f"histogram_quantile(0.99, sum by (le) ({rate % 'bucket'}))", "p99"),
        ),
    ]


def _readers() -> Panels:
    return [
        lines(
            "WebSocket clients",
            "Open connections. A sudden 0: a proxy or the sidecar restarted; clients reconnect by themselves.",
            units.Short,
            Query("sum by (instance) (flash_sale_sidecar_websocket_clients{SCOPE})", "{{instance}}"),
        ),
        lines(
            "WebSocket updates",
            "Per second. skipped: a client reads too slowly and gets only the newest. failed: the client was gone.",
            PER_SECOND,
            Query(
                "sum by (outcome) (rate(flash_sale_sidecar_websocket_updates_total{SCOPE}[$__rate_interval]))",
                "{{outcome}}",
            ),
        ),
        lines(
            "Denied requests",
            "Per second, by server and reason. token: somebody guesses, or a reader has an old token. "
            "host, origin: a proxy or page that the configuration does not name. busy: too many at once.",
            PER_SECOND,
            Query(
                "sum by (server, reason) (rate(flash_sale_sidecar_requests_refused_total{SCOPE}[$__rate_interval]))",
                "{{server}} {{reason}}",
            ),
        ).span(24),
    ]


def _process() -> Panels:
    return [
        lines(
            "CPU",
            "Cores in use. The daemon mostly runs in one thread: near 1 it is at its limit.",
            units.PercentUnit,
            Query(
                f"sum by (instance) (rate(process_cpu_seconds_total{{SCOPE}}[$__rate_interval]) {OF_SIDECARS})",
                "{{instance}}",
            ),
        ),
        lines(
            "Memory",
            "Resident memory. It levels off once every product was seen; a curve that keeps rising is a leak.",
            units.BytesIEC,
            Query(f"sum by (instance) (process_resident_memory_bytes{{SCOPE}} {OF_SIDECARS})", "{{instance}}"),
        ),
        lines(
            "Event loop lag",
            "Longest delay of the event loop in the last second. Above 0.1 s every answer of the sidecar is late.",
            units.Seconds,
            Query("max by (instance) (flash_sale_sidecar_loop_lag_seconds{SCOPE})", "{{instance}}"),
        ),
        lines(
            "Open files",
            "Share of the allowed file descriptors. Connections need them: at 100 % no new client can connect.",
            units.PercentUnit,
            Query(
                f"max by (instance) (process_open_fds{{SCOPE}} / process_max_fds{{SCOPE}} {OF_SIDECARS})",
                "{{instance}}",
            ),
        ),
    ]
