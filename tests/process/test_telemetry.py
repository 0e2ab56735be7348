"""The sidecar's own metrics: what is there from the start, and troubles that pass."""

import math
import time

import pytest
from prometheus_client import CollectorRegistry

from sidecar.process.telemetry import OUTCOMES, TROUBLE_SECONDS, Telemetry
from sidecar.redis.errors import COMMAND_ERROR_REASONS

SOURCES = ("pubsub:c", "stream:s")


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def telemetry(registry: CollectorRegistry) -> Telemetry:
    return Telemetry(registry, version="1.2.3", sources=SOURCES)


def sample(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(f"flash_sale_sidecar_{name}", labels)


@pytest.mark.usefixtures("telemetry")
def test_every_known_series_is_there_from_the_start(registry: CollectorRegistry) -> None:
    for source in SOURCES:
        for name in ("source_connected", "source_lag_seconds", "source_resets_total"):
            assert sample(registry, name, source=source) == 0
    for outcome in OUTCOMES:
        assert sample(registry, "commits_total", outcome=outcome) == 0
    for reason in ("token", "host", "origin", "busy"):
        assert sample(registry, "requests_refused_total", server="websocket", reason=reason) == 0
    for outcome in ("written", "refused", "dropped"):
        assert sample(registry, "influx_points_total", outcome=outcome) == 0
    for outcome in ("sent", "skipped", "failed"):
        assert sample(registry, "websocket_updates_total", outcome=outcome) == 0
    assert sample(registry, "build_info", version="1.2.3") == 1


@pytest.mark.usefixtures("telemetry")
def test_what_is_not_known_yet_has_no_value(registry: CollectorRegistry) -> None:
    assert math.isnan(sample(registry, "last_commit_timestamp_seconds") or 0)
    assert sample(registry, "source_last_event_timestamp_seconds", source=SOURCES[0]) is None


def test_one_reason_at_a_time_says_why_redis_rejects_commits(telemetry: Telemetry, registry: CollectorRegistry) -> None:
    first, second, *_ = COMMAND_ERROR_REASONS
    for why in (first, second, ""):
        telemetry.commit_error(why)
        shown = {reason: sample(registry, "redis_refuses_writes", reason=reason) for reason in COMMAND_ERROR_REASONS}
        assert shown == {reason: float(reason == why) for reason in COMMAND_ERROR_REASONS}


def test_a_trouble_is_over_when_it_did_not_recur_for_a_minute(
    telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    telemetry.trouble("log", "full")
    telemetry.trouble("listeners", "no files")
    now += TROUBLE_SECONDS - 1
    telemetry.trouble("log", "fuller")
    now += 1
    assert telemetry.troubles() == {"log": "fuller", "listeners": "no files"}
    now += 1
    assert telemetry.troubles() == {"log": "fuller"}


def test_what_mappings_took_is_exposed_as_it_is_at_the_moment() -> None:
    registry = CollectorRegistry()
    taken: dict[tuple[str, ...], int] = {("pubsub:shop", "shop", "paid", "mapped"): 0}
    Telemetry(registry, version="1", sources=()).count_mapped(lambda: taken)
    taken["pubsub:shop", "shop", "paid", "mapped"] = 3
    labels = {"source": "pubsub:shop", "mapping": "shop", "rule": "paid", "outcome": "mapped"}
    assert registry.get_sample_value("flash_sale_sidecar_mapped_payloads_total", labels) == 3
