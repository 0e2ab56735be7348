"""Beyond the limit: 1.2 times the rate the daemon holds, over pub/sub and stream, with Redis's own defaults."""

import time
from collections.abc import Callable
from typing import Any

from benchmarks.capacity import held_rate
from benchmarks.events import CHANNEL
from benchmarks.lab import BY_DEFAULT, Lab, Sidecar, lab
from benchmarks.processes import Program, memory_mb, published
from benchmarks.results import Report, Row, Sample, number
from benchmarks.subjects import watched_sidecar

TITLE = "Overload: 1.2 times the rate it can hold"
FACTOR = 1.2
SECONDS, FULL_SECONDS = 15, 60
SETTLE_SECONDS = 90.0
MEMORY_MB = 200.0
POLL_SECONDS = 0.5


def run(say: Callable[[str], None], full: bool) -> Report:
    """Overload both transports."""
    report = Report(TITLE)
    for transport in ("pubsub", "stream"):
        say(f"the rate it can hold over {transport} ...")
        rate = int(FACTOR * held_rate(transport))
        _overload(report, transport, rate, rate * (FULL_SECONDS if full else SECONDS), say)
    if not full:
        report.note(f"{SECONDS} s each; a minute with `make bench ONLY=overload FULL=1`.")
    return report


def _overload(report: Report, transport: str, rate: int, events: int, say: Callable[[str], None]) -> None:
    with lab(*BY_DEFAULT) as place, watched_sidecar(place) as sidecar:
        # Nothing is trimmed: what waits must be there when the daemon comes to it.
        publisher = place.start_publishing(events, rate=rate, transport=transport, maxlen=events * 2)
        most, unwell, lag = _watched(sidecar, publisher, f"{transport}:{CHANNEL}")
        told = published(publisher)
        say(f"{transport}: published, {most:.0f} MB, {', '.join(sorted(set(unwell)))}")
        began = time.monotonic()
        complete = _settled(place, sidecar, told, transport)
        settled = time.monotonic() - began
        status = _health(sidecar)
    lost = told["events"] - complete["received"] - complete["missed"]
    report.rows += [
        Row(f"{transport}: published - received - missed", Sample([abs(lost)], "events"), 0, "0"),
        Row(f"{transport}: health says so", Sample([len(unwell) * POLL_SECONDS], "s"), 1, ">= 1 s", at_least=True),
        Row(f"{transport}: memory at most", Sample([most], "MB"), MEMORY_MB, f"<= {MEMORY_MB:.0f} MB"),
    ]
    if transport == "stream":
        report.rows.append(Row("stream: missed", Sample([complete["missed"]], "events"), 0, "0"))
    said = ", ".join(sorted(set(unwell))) or "ok throughout"
    report.note(
        f"{transport}: {number(told['events'] / told['seconds'])} of {number(rate)} events a second reached, "
        f"{told['events']:,} in all; received {complete['received']:,}, missed {complete['missed']:,}; "
        f"health said {said}, and {status} {settled:.0f} s after the end; lag at most {lag:.1f} s."
    )


def _watched(sidecar: Sidecar, publisher: Program, source: str) -> tuple[float, list[str], float]:
    """Return the most memory, what health complained of, and the longest lag, while the publisher runs."""
    memory, unwell, lag = 0.0, list[str](), 0.0
    while publisher.running():
        time.sleep(POLL_SECONDS)
        memory = max(memory, memory_mb(sidecar.pid))
        unwell += [said for said in [_health(sidecar)] if said != "ok"]
        lag = max(lag, sidecar.own_metric("flash_sale_sidecar_source_lag_seconds", f'{{source="{source}"}}'))
    return memory, unwell, lag


def _health(sidecar: Sidecar) -> str:
    """Return the overall status, and what is not well."""
    status, answer = sidecar.daemon.ask("/monitoring/health")
    if status == 0:
        return "no answer"
    unwell = [name for name, found in answer["components"].items() if found["status"] not in ("ok", "connected")]
    return f"{answer['status']} ({', '.join(unwell)})" if unwell else str(answer["status"])


def _settled(place: Lab, sidecar: Sidecar, told: dict[str, Any], transport: str) -> dict[str, int]:
    """Wait until the account is complete, or does not change any more; return it."""
    end = time.monotonic() + SETTLE_SECONDS
    while True:
        if transport == "pubsub":
            place.heartbeats(told["last"])
        time.sleep(POLL_SECONDS)
        complete = dict(sidecar.daemon.snapshot()["completeness"])
        if complete["received"] + complete["missed"] == told["events"] or time.monotonic() > end:
            return complete
