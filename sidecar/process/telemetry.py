"""Metrics of this process: live, not committed, back at 0 after a restart."""

import math
import time
from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from sidecar.redis.errors import COMMAND_ERROR_REASONS

TROUBLE_SECONDS = 60.0  # a trouble that did not recur for this long is over
OUTCOMES = ("ok", "conflict", "cleared", "reread", "rolled_back", "emptied", "failed")


LabelCounts = Mapping[tuple[str, ...], int]


class Counted(Collector):
    """A counter whose values are kept elsewhere: by the values of its labels."""

    def __init__(self, name: str, text: str, labels: tuple[str, ...], read: Callable[[], LabelCounts]) -> None:
        self._name, self._text, self._labels, self._read = name, text, labels, read

    def collect(self) -> Iterator[Metric]:
        """Yield the family as it is now."""
        family = CounterMetricFamily(self._name, self._text, labels=self._labels)
        for values, number in self._read().items():
            family.add_metric(values, number)
        yield family


class Telemetry:
    """The sidecar's own metrics, in a registry that is passed in."""

    def __init__(self, registry: CollectorRegistry, *, version: str, sources: tuple[str, ...]) -> None:
        """Create every metric, with its known label values at 0. `sources` are `pubsub:<name>`, `stream:<name>`."""

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"flash_sale_sidecar_{name}", text, labels, registry=registry)

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"flash_sale_sidecar_{name}", text, labels, registry=registry)

        self.source_connected = gauge("source_connected", "1 while the source is subscribed or read.", "source")
        self.source_lag_seconds = gauge("source_lag_seconds", "How long the events read now waited in Redis.", "source")
        self.source_last_event = gauge(
            "source_last_event_timestamp_seconds", "When the newest event of the source arrived.", "source"
        )
        self.source_resets = counter("source_resets", "Times a stream was found deleted or replaced.", "source")
        self.commit_duration = Histogram(
            "flash_sale_sidecar_commit_duration_seconds",
            "Time from freezing the pending counts to the answer of Redis.",
            registry=registry,
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
        )
        self.commits = counter("commits", "Commits by outcome.", "outcome")
        self.last_commit = gauge("last_commit_timestamp_seconds", "When the last commit was written.")
        self.last_commit.set(math.nan)  # unknown, so it is not exposed: no alert on its age fires on a standby
        self.checkpoints_damaged = counter("checkpoints_damaged", "Times the stored state was damaged and set aside.")
        self.clock_steps = counter("clock_steps", "Times the clock of this machine was set.")
        self.redis_up = gauge("redis_up", "1 while Redis answers.")
        self.redis_refuses_writes = gauge(
            "redis_refuses_writes", "1 while Redis answers but rejects commits for this reason.", "reason"
        )
        self.producers_doubted = gauge(
            "producers_doubted", "Producers that restart in a loop, or whose name several processes seem to use."
        )
        self.websocket_clients = gauge("websocket_clients", "Open WebSocket connections.")
        self.websocket_updates = counter(
            "websocket_updates", "Updates sent, skipped for a slow client, or failed.", "outcome"
        )
        self.influx_points = counter(
            "influx_points", "Points written to InfluxDB, refused by it, or dropped during its outage.", "outcome"
        )
        self.requests_refused = counter("requests_refused", "Requests and handshakes denied.", "server", "reason")
        self.loop_lag_seconds = gauge("loop_lag_seconds", "Longest delay of the event loop in the last second.")
        self.loop_lag_max_seconds = gauge("loop_lag_max_seconds", "The same in the last minute.")
        self.task_running = gauge("task_running", "1 while the task of the daemon runs.", "task")
        self.task_failures = counter("task_failures", "Times a task of the daemon failed and was restarted.", "task")
        self.accept_failures = counter("accept_failures", "Times a client could not connect: no file descriptors left.")
        self.log_lines_dropped = counter("log_lines_dropped", "Log lines that could not be written.")
        self._registry = registry
        self._troubles: dict[str, tuple[float, str]] = {}
        gauge("build_info", "The running version.", "version").labels(version).set(1)
        self._start_at_zero(sources)

    def _start_at_zero(self, sources: tuple[str, ...]) -> None:
        for source in sources:
            self.source_connected.labels(source).set(0)
            self.source_lag_seconds.labels(source).set(0)
            self.source_resets.labels(source)
        self.commit_error("")
        for outcome in OUTCOMES:
            self.commits.labels(outcome)
        for server in ("http", "websocket"):
            for reason in ("token", "host", "origin", "busy"):
                self.requests_refused.labels(server, reason)
        for outcome in ("written", "refused", "dropped"):
            self.influx_points.labels(outcome)
        for outcome in ("sent", "skipped", "failed"):
            self.websocket_updates.labels(outcome)

    def count_mapped(self, read: Callable[[], LabelCounts]) -> None:
        """Show how often each rule took a payload: `read` returns that by source, mapping, rule and outcome."""
        text = "Payloads that a rule of a mapping took, by what became of them."
        labels = ("source", "mapping", "rule", "outcome")
        self._registry.register(Counted("flash_sale_sidecar_mapped_payloads", text, labels, read))

    def count_recorded(self, read: Callable[[], tuple[int, int, int]]) -> None:
        """Show what the flight recorder wrote: `read` returns events written and dropped, and bytes."""
        text = "Events that the flight recorder wrote, or had to drop."

        def events() -> LabelCounts:
            written, dropped, _ = read()
            return {("written",): written, ("dropped",): dropped}

        self._registry.register(Counted("flash_sale_sidecar_recorder_events", text, ("outcome",), events))
        text = "Bytes that the flight recorder wrote."
        self._registry.register(Counted("flash_sale_sidecar_recorder_bytes", text, (), lambda: {(): read()[2]}))

    def commit_error(self, reason: str) -> None:
        """Note why Redis rejected the last commit: one of `COMMAND_ERROR_REASONS`, "" if it did not."""
        for known in COMMAND_ERROR_REASONS:
            self.redis_refuses_writes.labels(known).set(known == reason)

    def trouble(self, name: str, detail: str) -> None:
        """Note what is wrong with a part of this process, for health."""
        self._troubles[name] = (time.monotonic(), detail)

    def troubles(self) -> dict[str, str]:
        """Return what went wrong in the last minute, by part."""
        since = time.monotonic() - TROUBLE_SECONDS
        return {name: detail for name, (at, detail) in self._troubles.items() if at >= since}
